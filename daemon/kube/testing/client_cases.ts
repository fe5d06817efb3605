/** What the client must do on any Kubernetes API. The embedded one and a kube-apiserver run the same cases. */
import assert from "node:assert/strict";
import { type Event, eventKind, type Lease, leaseKind, podKind } from "../../resources/core.ts";
import { type VRFDomain, vrfDomainKind } from "../../resources/vrf_domain.ts";
import { createEventRecorder } from "../events.ts";
import { addFinalizer, removeFinalizer } from "../finalizer.ts";
import { KubeError, type KubeErrorCode } from "../kube_error.ts";
import { startLeaderElection } from "../leader_election.ts";
import type { ResourceClient } from "../port.ts";
import { type CacheTiming, startCache } from "../resource_cache.ts";
import { createResourceClient } from "../resource_client.ts";
import { createLogger } from "../../log.ts";
import type { KubeConnection } from "../transport.ts";
import { wait } from "../wait.ts";
import { eventually } from "./eventually.ts";

/** An API that a case may stop. */
export interface ClientCaseApi {
  /** The way to it. */
  readonly connection: KubeConnection;
  /** Stops the server; its objects stay. */
  stop(): Promise<void>;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
}

/** A sentence about behaviour, and how to see that it holds on an API without VRFDomains. */
export interface ClientCase {
  /** The sentence. */
  readonly name: string;
  /** Throws when it does not hold. */
  readonly run: (api: ClientCaseApi) => Promise<void>;
}

const quiet = createLogger("error", () => {});
const quick: CacheTiming = { retryBaseMs: 1, retryMaxMs: 10 };

function domain(name: string, vrf: number): VRFDomain {
  return {
    metadata: { name },
    spec: {
      vrf,
      table: vrf + 2000,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: vrf + 50000, port: 4789 }],
    },
  };
}

async function codeOf(run: Promise<unknown>): Promise<KubeErrorCode> {
  try {
    await run;
  } catch (thrown) {
    assert(thrown instanceof KubeError, String(thrown));
    return thrown.code;
  }
  throw new Error("Expected a failure");
}

/** A client whose requests can be cut off, as those of a killed process are. */
function severable(client: ResourceClient<Lease>): { client: ResourceClient<Lease>; cut(): void } {
  let alive = true;
  const guard = <R>(run: () => Promise<R>): Promise<R> =>
    alive ? run() : Promise.reject(new KubeError("Unavailable", "Cut off"));
  return {
    client: {
      ...client,
      get: (...given) => guard(() => client.get(...given)),
      create: (...given) => guard(() => client.create(...given)),
      patch: (...given) => guard(() => client.patch(...given)),
    },
    cut: () => {
      alive = false;
    },
  };
}

/** All cases. */
export const clientCases: readonly ClientCase[] = [
  {
    name: "the client's contract holds",
    run: async (api) => {
      const client = createResourceClient(api.connection, vrfDomainKind);
      assert.equal(await client.get("blue"), undefined);
      const made = await client.create(domain("blue", 200));
      assert.equal(made.metadata.generation, 1);
      assert.equal(await codeOf(client.create(domain("blue", 200))), "AlreadyExists");
      assert.equal(await codeOf(client.create(domain("bad", -1))), "Invalid");
      assert.equal(await codeOf(client.patch("none", { spec: {} })), "NotFound");
      const changed = await client.patch("blue", { spec: { attachments: [] } });
      assert.equal(changed.metadata.generation, 2);
      assert.equal(await codeOf(client.replace(made)), "Conflict");
      const stale = {
        metadata: { resourceVersion: made.metadata.resourceVersion },
        spec: { vrf: 1 },
      };
      assert.equal(await codeOf(client.patch("blue", stale)), "Conflict");
      const reported = await client.patchStatus("blue", {
        status: { nodes: { ready: 1, total: 2 } },
      });
      assert.deepEqual(reported.status?.nodes, { ready: 1, total: 2 });
      assert.equal(reported.metadata.generation, 2);
      assert.equal(await codeOf(client.delete("blue", { uid: "other" })), "Conflict");
      await client.delete("blue", { uid: made.metadata.uid ?? "" });
      await client.delete("blue");
      assert.deepEqual(await client.list(), []);
    },
  },
  {
    name: "a cache lives through a stop and a restart of the server, and misses nothing",
    run: async (api) => {
      const client = createResourceClient(api.connection, vrfDomainKind);
      await client.create(domain("a", 1));
      await using cache = startCache({
        connection: api.connection,
        resource: vrfDomainKind,
        log: quiet,
        timing: quick,
      });
      await cache.whenSynced(AbortSignal.timeout(15_000));
      for (let round = 0; round < 3; round++) {
        await api.stop();
        await eventually("the loss is noticed", () => !cache.connected);
        assert.equal(cache.list().length, 1 + round, "the content stays");
        await api.restart();
        await client.create(domain(`r${round}`, 10 + round));
        await eventually("the new one is seen", () => cache.get(`r${round}`) !== undefined);
      }
      await client.delete("a");
      await eventually("the deletion is seen", () => cache.get("a") === undefined);
    },
  },
  {
    name: "a cache of one node's pods follows those alone",
    run: async (api) => {
      const pods = createResourceClient(api.connection, podKind);
      const pod = (name: string, nodeName: string) => ({
        metadata: { name, namespace: "default" },
        spec: { nodeName, containers: [{ name: "main", image: "none" }] },
      });
      await pods.create(pod("mine", "n1"));
      await pods.create(pod("other", "n2"));
      await using cache = startCache({
        connection: api.connection,
        resource: podKind,
        fieldSelector: "spec.nodeName=n1",
        log: quiet,
      });
      await cache.whenSynced(AbortSignal.timeout(15_000));
      await pods.create(pod("later", "n1"));
      await eventually("it is seen", () => cache.get("default/later") !== undefined);
      assert.deepEqual(cache.list().map(({ metadata }) => metadata.name).sort(), ["later", "mine"]);
    },
  },
  {
    name: "finalizers are added and removed through conflicts, and the last one lets the object go",
    run: async (api) => {
      const client = createResourceClient(api.connection, vrfDomainKind);
      const seen = await client.create(domain("blue", 200));
      await client.patch("blue", { metadata: { labels: { touched: "yes" } } });
      assert.equal(await addFinalizer(client, seen, "example.org/one"), true);
      assert.equal(await addFinalizer(client, seen, "example.org/two"), true);
      const present = await client.get("blue");
      assert(present);
      assert.deepEqual(present.metadata.finalizers, ["example.org/one", "example.org/two"]);
      await client.delete("blue");
      assert.equal(await addFinalizer(client, present, "example.org/late"), false);
      await removeFinalizer(client, seen, "example.org/one");
      await removeFinalizer(client, present, "example.org/one");
      assert.notEqual(await client.get("blue"), undefined);
      await removeFinalizer(client, present, "example.org/two");
      assert.equal(await client.get("blue"), undefined);
      await removeFinalizer(client, present, "example.org/two");
      await client.create(domain("blue", 201));
      assert.equal(
        await addFinalizer(client, present, "example.org/old"),
        false,
        "it is another one",
      );
    },
  },
  {
    name: "one candidate leads at a time, and another follows one that is cut off or steps down",
    run: async (api) => {
      const leases = createResourceClient(api.connection, leaseKind);
      const timing = { leaseDurationMs: 2_000, renewDeadlineMs: 1_500, retryPeriodMs: 20 };
      let leading: string[] = [];
      let together = 0;
      const stand = (identity: string) => {
        const stop = new AbortController();
        const way = severable(leases);
        const election = startLeaderElection({
          leases: way.client,
          key: "kube-system/test",
          identity,
          lead: async (signal) => {
            leading.push(identity);
            together = Math.max(together, leading.length);
            await wait(1_000_000, signal).catch(() => {});
            leading = leading.filter((name) => name !== identity);
          },
          log: quiet,
          signal: stop.signal,
          timing,
        });
        return { election, cut: way.cut, stop: () => stop.abort(new Error("stopped")) };
      };
      const a = stand("a");
      await eventually("a leads", () => leading.includes("a"));
      const b = stand("b");
      await eventually("b knows", () => b.election.leader === "a");
      assert.equal(b.election.leading, false);
      a.cut();
      await eventually("b leads", () => leading.includes("b"));
      assert.equal(a.election.leading, false);
      const c = stand("c");
      await eventually("c knows", () => c.election.leader === "b");
      b.stop();
      await b.election.stopped;
      assert.deepEqual(leading.filter((name) => name === "b"), []);
      await eventually("c leads", () => leading.includes("c"));
      const lease = await leases.get("kube-system/test");
      assert.equal(lease?.spec?.holderIdentity, "c");
      assert.match(lease?.spec?.renewTime ?? "", /\.\d{6}Z$/);
      assert.equal(lease?.spec?.leaseTransitions, 2);
      for (const each of [a, c]) each.stop();
      await Promise.all([a.election.stopped, c.election.stopped]);
      assert.equal((await leases.get("kube-system/test"))?.spec?.holderIdentity, "");
      assert.equal(together, 1);
    },
  },
  {
    name: "an event that repeats is counted in one object",
    run: async (api) => {
      const events: ResourceClient<Event> = createResourceClient(api.connection, eventKind);
      const stop = new AbortController();
      const recorder = createEventRecorder({
        client: events,
        component: "test",
        host: "n1",
        log: quiet,
        signal: stop.signal,
        repeatMs: 0,
      });
      const about = {
        apiVersion: "cni.pyroute2.org/v1alpha1",
        kind: "VRFDomain",
        ...domain("blue", 1),
      };
      for (let i = 0; i < 3; i++) {
        recorder.record(about, { type: "Warning", reason: "VRFInUse", message: "taken" });
      }
      recorder.record(about, { type: "Normal", reason: "Other", message: "else" });
      await recorder.flush();
      stop.abort();
      const list = await events.list();
      assert.deepEqual(
        list.map(({ reason, count, metadata }) => [metadata.namespace, reason, count]).sort(),
        [["default", "Other", 1], ["default", "VRFInUse", 3]],
      );
    },
  },
];
