/**
 * Leaves a service account of a real API a single request at a time, and keeps that one busy, so that each further request is
 * refused with 429 (kubernetes.io/docs/concepts/cluster-administration/flow-control).
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { createAuthority, createServerCertificate } from "../../daemon/apiserver/certificate.ts";
import { loadKube } from "../../daemon/kube/connect.ts";
import { isKubeError } from "../../daemon/kube/kube_error.ts";
import { eventually } from "../../daemon/kube/testing/eventually.ts";
import type { RealServer } from "./real_server.ts";

const name = "pr2t-single-seat";

/** A seat that is taken; disposing of it gives everything back. */
export interface TakenSeat extends AsyncDisposable {
  /** How many requests of the account the server has refused so far, by its own count. */
  refused(): Promise<number>;
}

/** Who is left a single seat. */
export interface SeatOptions {
  /** Runs kubectl as administrator. */
  readonly kubectl: RealServer["kubectl"];
  /** The service account. */
  readonly account: { readonly name: string; readonly namespace: string };
  /** Path of a kubeconfig of the account. */
  readonly kubeconfigPath: string;
}

/** Takes the account's only seat: with a request that an admission webhook holds up. */
export async function takeSeat(options: SeatOptions): Promise<TakenSeat> {
  const { kubectl, account, kubeconfigPath } = options;
  await using stack = new AsyncDisposableStack();
  const connection = stack.use(loadKube({ kubeconfigPath, attempts: 1, timeoutMs: 60_000 }));
  const webhook = startWebhook();
  stack.defer(() => webhook.shutdown());
  const objects = manifests(account, webhook);
  stack.defer(() => kubectl(["delete", "--ignore-not-found", "-f", "-"], objects).then(() => {}));
  await kubectl(["apply", "-f", "-"], objects);
  const path = `/api/v1/namespaces/${account.namespace}/configmaps`;
  // The server comes to know of the objects one after the other.
  await eventually("the seat to be taken", async () => {
    const held = webhook.hold();
    const request = connection.json({
      method: "POST",
      path,
      body: { metadata: { generateName: `${name}-` } },
      about: "create a ConfigMap that is held up",
    }).then(() => false);
    const taken = await Promise.race([held.then(() => true), request]) &&
      await connection.json({ path, about: "list ConfigMaps" }).then(
        () => false,
        (thrown) => isKubeError(thrown, "Throttled"),
      );
    if (taken) {
      stack.defer(async () => {
        webhook.release();
        await request;
      });
    } else webhook.release();
    return taken;
  }, 60_000);
  const moved = stack.move();
  return {
    refused: async () => {
      const metrics = await kubectl(["get", "--raw", "/metrics"]);
      const metric = "apiserver_flowcontrol_rejected_requests_total";
      const line = new RegExp(`^${metric}{.*flow_schema="${name}".*} (\\d+)$`, "gm");
      return [...metrics.matchAll(line)].reduce((sum, [, count]) => sum + Number(count), 0);
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

interface Webhook {
  readonly url: string;
  readonly authority: string;
  /** Holds reviews up from now on; resolves at the first. */
  hold(): Promise<void>;
  /** Lets everything pass. */
  release(): void;
  shutdown(): Promise<void>;
}

/** An admission webhook that can hold up what it is asked about, and refuses nothing. */
function startWebhook(): Webhook {
  const authority = createAuthority(name, new Date());
  const key = createPrivateKey(authority.key);
  const issuer = { commonName: name, key, publicKey: createPublicKey(key) };
  const pair = createServerCertificate(issuer, ["127.0.0.1"], new Date());
  let arrived = Promise.withResolvers<void>();
  let open = Promise.withResolvers<void>();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: pair.certificate,
    key: pair.key,
    onListen: () => {},
  }, async (request) => {
    const { request: { uid } } = await request.json();
    arrived.resolve();
    await open.promise;
    const review = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview" };
    return Response.json({ ...review, response: { uid, allowed: true } });
  });
  return {
    url: `https://127.0.0.1:${server.addr.port}/`,
    authority: authority.certificate,
    hold: () => {
      arrived = Promise.withResolvers();
      open = Promise.withResolvers();
      return arrived.promise;
    },
    release: () => open.resolve(),
    shutdown: () => server.shutdown(),
  };
}

function manifests(account: SeatOptions["account"], webhook: Webhook): string {
  const flowControl = "flowcontrol.apiserver.k8s.io/v1";
  return JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingWebhookConfiguration",
        metadata: { name },
        webhooks: [{
          name: "holds.pyroute2.org",
          clientConfig: { url: webhook.url, caBundle: btoa(webhook.authority) },
          rules: [{
            operations: ["CREATE"],
            apiGroups: [""],
            apiVersions: ["v1"],
            resources: ["configmaps"],
          }],
          matchConditions: [{
            name: "of-the-account",
            expression:
              `request.userInfo.username == "system:serviceaccount:${account.namespace}:${account.name}"`,
          }],
          sideEffects: "None",
          admissionReviewVersions: ["v1"],
          timeoutSeconds: 30,
        }],
      },
      {
        apiVersion: flowControl,
        kind: "PriorityLevelConfiguration",
        metadata: { name },
        spec: {
          type: "Limited",
          limited: {
            // One request passes where no other is under way.
            nominalConcurrencyShares: 0,
            borrowingLimitPercent: 0,
            limitResponse: { type: "Reject" },
          },
        },
      },
      {
        apiVersion: flowControl,
        kind: "FlowSchema",
        metadata: { name },
        spec: {
          priorityLevelConfiguration: { name },
          matchingPrecedence: 2,
          rules: [{
            subjects: [{ kind: "ServiceAccount", serviceAccount: account }],
            resourceRules: [{
              verbs: ["*"],
              apiGroups: ["*"],
              resources: ["*"],
              clusterScope: true,
              namespaces: ["*"],
            }],
          }],
        },
      },
    ],
  });
}
