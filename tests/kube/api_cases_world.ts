/** What the cases share: a client, unique names, and objects to begin with. */
import assert from "node:assert/strict";
import { type Answer, type ApiClient, type AskOptions, type Json } from "./api_cases_client.ts";

/** What a case has at hand. */
export interface CaseWorld {
  /** The API. */
  readonly api: ApiClient;
  /** A label value and name prefix of this case alone. */
  readonly tag: string;
  /** Makes and returns a resourceVersion that the API no longer knows. */
  readonly expiredVersion: () => Promise<string>;
}

/** A sentence about behaviour, and how to see that it holds. */
export interface ApiCase {
  /** The sentence. */
  readonly name: string;
  /** Whether kube-apiserver can do it only on an etcd that tells the progress of watches (3.4.25, 3.5.8 and later). */
  readonly needsWatchProgress?: boolean;
  /** Throws when it does not hold. */
  readonly run: (world: CaseWorld) => Promise<void>;
}

/** Where VRFDomains are. */
export const domainsPath = "/apis/cni.pyroute2.org/v1alpha1/vrfdomains";
/** Where Leases of the default namespace are. */
export const leasesPath = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
/** Media types of patches. */
export const patchType = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

/** A VRFDomain of this case. */
export function domain(world: CaseWorld, name: string, change: Json = {}): Json {
  const { metadata, spec, ...rest } = change;
  return {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFDomain",
    metadata: {
      name: `${world.tag}-${name}`,
      labels: { case: world.tag },
      ...(typeof metadata === "object" ? metadata : {}),
    },
    spec: {
      vrf: 200,
      table: 2200,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 50200 }],
      ...(typeof spec === "object" ? spec : {}),
    },
    ...rest,
  };
}

/** Path of a VRFDomain of this case. */
export function domainPath(world: CaseWorld, name: string): string {
  return `${domainsPath}/${world.tag}-${name}`;
}

/** A request that must be granted; returns its body. */
export async function grant(
  world: CaseWorld,
  method: string,
  path: string,
  options?: AskOptions,
): Promise<Json> {
  const answer = await world.api.ask(method, path, options);
  assert.ok(
    answer.status >= 200 && answer.status < 300,
    `${method} ${path} was refused: ${JSON.stringify(answer)}`,
  );
  return answer.body;
}

/** A request that must be refused with a status and a reason; returns the answer. */
export async function refuse(
  world: CaseWorld,
  expected: readonly [status: number, reason: string],
  method: string,
  path: string,
  options?: AskOptions,
): Promise<Answer> {
  const answer = await world.api.ask(method, path, options);
  assert.deepEqual(
    [answer.status, answer.body["reason"], answer.body["kind"], answer.body["status"]],
    [...expected, "Status", "Failure"],
    `${method} ${path}: ${JSON.stringify(answer)}`,
  );
  return answer;
}

/** Creates a VRFDomain of this case. */
export async function createDomain(
  world: CaseWorld,
  name: string,
  change: Json = {},
): Promise<Json> {
  return await grant(world, "POST", domainsPath, { body: domain(world, name, change) });
}

/** Removes what a case has left, whatever holds it. */
export async function cleanUp(world: CaseWorld): Promise<void> {
  for (const collection of [domainsPath, leasesPath]) {
    const selected = `${collection}?labelSelector=case%3D${world.tag}`;
    const { body } = await world.api.ask("GET", selected);
    const items: readonly Json[] = Array.isArray(body["items"]) ? body["items"] : [];
    for (const item of items) {
      const path = `${collection}/${String(Object(item["metadata"]).name)}`;
      const body = { metadata: { finalizers: null } };
      await world.api.ask("PATCH", path, { body, type: patchType.merge });
      await world.api.ask("DELETE", path);
    }
  }
}
