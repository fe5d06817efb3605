import assert from "node:assert/strict";
import { CniError } from "../../lib/cni/errors.ts";
import { KubeError } from "../kube/kube_error.ts";
import type { Pod } from "../resources/core.ts";
import { createPodLookup, trimPod } from "./pod_lookup.ts";

const signal = new AbortController().signal;

function podOf(uid: string, annotations: Record<string, string> = {}): Pod {
  return { metadata: { name: "web-0", namespace: "shop", uid, annotations } };
}

/** A lookup in a cache and at an API that each have a pod, none, or trouble. */
function lookup(world: { cached?: Pod; stored?: Pod | Error }) {
  const requests: string[] = [];
  const sources: string[] = [];
  const find = createPodLookup({
    cache: { get: (key) => key === "shop/web-0" ? world.cached : undefined },
    client: {
      get: (key) => {
        requests.push(key);
        const { stored } = world;
        return stored instanceof Error ? Promise.reject(stored) : Promise.resolve(stored);
      },
    },
    found: (source) => sources.push(source),
  });
  return {
    requests,
    sources,
    find: (uid = "u-1", name = "web-0") => find({ namespace: "shop", name, uid }, signal),
  };
}

async function assertTryAgain(task: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(task, (thrown) => {
    assert.ok(thrown instanceof CniError, String(thrown));
    assert.equal(thrown.cniCode, 11);
    assert.match(thrown.message, message);
    return true;
  });
}

Deno.test("names that no API can have are not asked for", async () => {
  for (const name of ["", "../nodes/x", "Web", "a".repeat(254), "a/b", "a b"]) {
    const { find, requests } = lookup({ stored: new Error("asked") });
    assert.equal(await find("u-1", name), undefined);
    assert.deepEqual(requests, []);
  }
});

Deno.test("a pod that is unknown while the API is away is for a later attempt", async () => {
  const stored = new KubeError("Unavailable", "The API server is down");
  const { find } = lookup({ stored });
  await assertTryAgain(find(), /"shop\/web-0".*The API server is down/);
});

Deno.test("a pod that was deleted and made anew is another one, in the cache and at the API", async () => {
  const { find, requests } = lookup({ cached: podOf("u-0"), stored: podOf("u-1") });
  assert.equal((await find("u-1"))?.metadata.uid, "u-1");
  assert.deepEqual(requests, ["shop/web-0"]);
  await assertTryAgain(lookup({ stored: podOf("u-2") }).find("u-1"), /"u-1".*found one with "u-2"/);
});

Deno.test("a pod that the node has seen needs no request", async () => {
  const { find, requests, sources } = lookup({ cached: podOf("u-1"), stored: new Error("asked") });
  assert.equal((await find())?.metadata.uid, "u-1");
  assert.equal((await find(""))?.metadata.uid, "u-1");
  assert.deepEqual(requests, []);
  assert.deepEqual(sources, ["cache", "cache"]);
});

Deno.test("a pod that starts before the node has seen it is asked for once", async () => {
  const { find, requests, sources } = lookup({ stored: podOf("u-1") });
  assert.equal((await find())?.metadata.uid, "u-1");
  assert.deepEqual(requests, ["shop/web-0"]);
  assert.deepEqual(sources, ["api"]);
});

Deno.test("a name that the API does not know has no pod", async () => {
  const { find, sources } = lookup({});
  assert.equal(await find(), undefined);
  assert.deepEqual(sources, ["none"]);
});

Deno.test("a static pod is found by its own UID, which its mirror tells in an annotation", async () => {
  for (const key of ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"]) {
    const { find, requests } = lookup({ cached: trimPod(podOf("api-uid", { [key]: "u-1" })) });
    assert.equal((await find("u-1"))?.metadata.uid, "api-uid");
    assert.deepEqual(requests, []);
  }
});

Deno.test("what is kept of a pod is identity, our annotations and the controller", () => {
  const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: "web", uid: "s-1" };
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...podOf("u-1", { "cni.pyroute2.org/mac": "m", "example.org/large": "x" }).metadata,
      labels: { app: "web" },
      ownerReferences: [{ ...owner, kind: "Node" }, { ...owner, controller: true }],
    },
    spec: { nodeName: "node-a" },
  };
  assert.deepEqual(trimPod(pod), {
    metadata: {
      name: "web-0",
      namespace: "shop",
      uid: "u-1",
      annotations: { "cni.pyroute2.org/mac": "m" },
      ownerReferences: [{ ...owner, controller: true }],
    },
  });
});
