/** What the client must do on any Kubernetes API. The embedded one and a kube-apiserver run the same cases. */
import assert from "node:assert/strict";
import { type Event, eventKind, podKind } from "../../resources/core.ts";
import { vrfDomainKind } from "../../resources/vrf_domain.ts";
import { createEventRecorder } from "../events.ts";
import { addFinalizer, removeFinalizer } from "../finalizer.ts";
import type { ResourceClient } from "../port.ts";
import { type CacheTiming, startCache } from "../resource_cache.ts";
import { createResourceClient } from "../resource_client.ts";
import { createLogger } from "../../log.ts";
import { type ClientCase, codeOf, domain } from "./case_api.ts";
import { eventually } from "./eventually.ts";

const quiet = createLogger("error", () => {});
const quick: CacheTiming = { retryBaseMs: 1, retryMaxMs: 10 };

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
