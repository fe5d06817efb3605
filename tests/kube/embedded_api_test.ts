import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { CustomObjectsApi, KubeConfig, makeInformer } from "@kubernetes/client-node";
import type { KubernetesObject } from "@kubernetes/client-node";
import { type ApiServerOptions, startApiServer } from "../../daemon/apiserver/server.ts";
import { StoreError } from "../../daemon/apiserver/store.ts";
import { createLogger } from "../../daemon/log.ts";
import { apiCases } from "./api_cases.ts";
import { type ApiClient, at, connectByKubeconfig, listAt, textAt } from "./api_cases_client.ts";
import {
  type CaseWorld,
  cleanUp,
  createDomain,
  domain,
  domainPath,
  domainsPath,
  grant,
  leasesPath,
  patchType,
  refuse,
} from "./api_cases_world.ts";

const quiet = createLogger("error", (line) => console.error(line));

function options(dataDir: string, more: Partial<ApiServerOptions> = {}): ApiServerOptions {
  return { dataDir, host: "127.0.0.1", port: 0, log: quiet, ...more };
}

async function withDataDir(use: (dataDir: string) => Promise<void>): Promise<void> {
  const parent = await Deno.makeTempDir({ prefix: "pr2t-" });
  try {
    await use(join(parent, "data"));
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

function worldOf(api: ApiClient): CaseWorld {
  const tag = `pr2t-${randomBytes(4).toString("hex")}`;
  const world: CaseWorld = { api, tag, expiredVersion: () => writeBeyondHistory(world) };
  return world;
}

/** The history of these servers is 20 changes long, and at most a quarter more. */
async function writeBeyondHistory(world: CaseWorld): Promise<string> {
  for (let count = 0; count < 30; count++) await createDomain(world, `filler${count}`);
  return "1";
}

async function withServer(
  more: Partial<ApiServerOptions>,
  use: (world: CaseWorld, kubeconfigPath: string) => Promise<void>,
): Promise<void> {
  await withDataDir(async (dataDir) => {
    await using server = await startApiServer(options(dataDir, more));
    using api = await connectByKubeconfig(server.kubeconfigPath);
    await use(worldOf(api), server.kubeconfigPath);
  });
}

for (const { name, run } of apiCases) {
  Deno.test(`embedded API: ${name}`, () =>
    withServer({ history: 20 }, async (world) => {
      await run(world);
      await cleanUp(world);
    }));
}

Deno.test("embedded API: a request without the token, or with another, is refused with 401", () =>
  withServer({}, async (_world, kubeconfigPath) => {
    for (const token of ["", "x".repeat(43)]) {
      using api = await connectByKubeconfig(kubeconfigPath, token);
      for (const path of [domainsPath, "/api", "/version", "/openapi/v2", "/nothing"]) {
        const answer = await api.ask("GET", path);
        assert.deepEqual([answer.status, answer.body["reason"]], [401, "Unauthorized"]);
      }
      assert.equal((await api.ask("GET", "/readyz")).status, 200);
    }
  }));

Deno.test("embedded API: its directory and all in it are closed to other users", () =>
  withDataDir(async (dataDir) => {
    const kubeconfigPath = join(dataDir, "..", "config", "kubeconfig");
    await using _server = await startApiServer(options(dataDir, { kubeconfigPath }));
    const mode = async (path: string) => ((await Deno.stat(path)).mode ?? 0) & 0o777;
    assert.equal(await mode(dataDir), 0o700);
    assert.equal(await mode(kubeconfigPath), 0o600);
    for await (const { name } of Deno.readDir(dataDir)) {
      assert.equal(await mode(join(dataDir, name)), 0o600, name);
    }
  }));

Deno.test("embedded API: a restart keeps objects, versions, token, certificates and history", () =>
  withDataDir(async (dataDir) => {
    let world: CaseWorld;
    let before: Record<string, unknown>;
    const files = ["ca.crt", "server.crt", "token"];
    const read = () => Promise.all(files.map((name) => Deno.readTextFile(join(dataDir, name))));
    let kept: string[];
    {
      await using server = await startApiServer(options(dataDir));
      using api = await connectByKubeconfig(server.kubeconfigPath);
      world = worldOf(api);
      before = await createDomain(world, "a");
      await createDomain(world, "b");
      kept = await read();
    }
    await using server = await startApiServer(options(dataDir));
    assert.deepEqual(await read(), kept);
    using api = await connectByKubeconfig(server.kubeconfigPath);
    const again: CaseWorld = { ...world, api };
    assert.deepEqual(await grant(again, "GET", domainPath(again, "a")), before);
    const version = textAt(before, "metadata.resourceVersion");
    await using watch = await api.watch(`${domainsPath}?watch=1&resourceVersion=${version}`);
    assert.equal(textAt(await watch.next(), "object.metadata.name"), `${world.tag}-b`);
    const made = await createDomain(again, "c");
    assert.ok(Number(textAt(made, "metadata.resourceVersion")) > Number(version) + 1);
  }));

Deno.test("embedded API: a restart under another address makes a certificate that names it", () =>
  withDataDir(async (dataDir) => {
    await using _first = await startApiServer(options(dataDir));
    await _first[Symbol.asyncDispose]();
    await using server = await startApiServer(options(dataDir, { host: "127.0.0.2" }));
    assert.match(server.url, /^https:\/\/127\.0\.0\.2:/);
    using api = await connectByKubeconfig(server.kubeconfigPath);
    assert.equal((await api.ask("GET", "/version")).status, 200);
  }));

Deno.test("embedded API: a second server on the same directory is refused", () =>
  withDataDir(async (dataDir) => {
    await using _server = await startApiServer(options(dataDir));
    await assert.rejects(startApiServer(options(dataDir)), (error: unknown) => {
      return error instanceof StoreError && error.code === "StoreUnavailable";
    });
  }));

Deno.test("embedded API: a taken port is refused and leaves the directory free", () =>
  withDataDir(async (dataDir) => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    await assert.rejects(startApiServer(options(dataDir, { port })), Deno.errors.AddrInUse);
    await using server = await startApiServer(options(dataDir));
    assert.match(server.url, /^https:/);
  }));

Deno.test("embedded API: aborting the signal ends open watches and the server", () =>
  withDataDir(async (dataDir) => {
    const stop = new AbortController();
    const server = await startApiServer(options(dataDir, { signal: stop.signal }));
    using api = await connectByKubeconfig(server.kubeconfigPath);
    await using watch = await api.watch(`${domainsPath}?watch=1`);
    stop.abort();
    assert.equal(await watch.next(), undefined);
    await server.finished;
    await assert.rejects(api.ask("GET", "/version"));
  }));

Deno.test("embedded API: bookmarks tell how far an idle watch is", () =>
  withServer({ bookmarkInterval: 20 }, async (world) => {
    const made = await createDomain(world, "a");
    await grant(world, "POST", leasesPath, { body: { metadata: { name: world.tag } } });
    const version = textAt(made, "metadata.resourceVersion");
    await using watch = await world.api.watch(
      `${domainsPath}?watch=1&allowWatchBookmarks=true&resourceVersion=${version}`,
    );
    const bookmark = await watch.next();
    assert.equal(at(bookmark, "type"), "BOOKMARK");
    assert.ok(Number(textAt(bookmark, "object.metadata.resourceVersion")) > Number(version));
  }));

const podsPath = "/api/v1/namespaces/tenant/pods";

function pod(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...more },
    spec: { nodeName: "node-a", containers: [{ name: "main", image: "busybox" }] },
  };
}

Deno.test("embedded API: a pod begins pending, is selected by node, and merges strategically", () =>
  withServer({}, async (world) => {
    const made = await grant(world, "POST", podsPath, { body: pod("a") });
    assert.deepEqual(made["status"], { phase: "Pending" });
    assert.equal(at(made, "metadata.generation"), undefined);
    const count = async (node: string) => {
      const selector = encodeURIComponent(`spec.nodeName=${node},status.phase!=Failed`);
      const list = await grant(world, "GET", `/api/v1/pods?fieldSelector=${selector}`);
      return listAt(list, "items").length;
    };
    assert.deepEqual([await count("node-a"), await count("node-b")], [1, 0]);
    const patched = await grant(world, "PATCH", `${podsPath}/a`, {
      body: { spec: { containers: [{ name: "side", image: "busybox" }] } },
      type: patchType.strategic,
    });
    assert.deepEqual(listAt(patched, "spec.containers").map((entry) => at(entry, "name")), [
      "main",
      "side",
    ]);
    const running = await grant(world, "PATCH", `${podsPath}/a/status`, {
      body: { status: { phase: "Running", podIP: "10.0.0.1" } },
      type: patchType.merge,
    });
    assert.equal(at(running, "status.podIP"), "10.0.0.1");
  }));

Deno.test("embedded API: a deleted namespace takes its content with it, and waits for what is held", () =>
  withServer({}, async (world) => {
    const namespace = "/api/v1/namespaces/tenant";
    await grant(world, "POST", "/api/v1/namespaces", { body: { metadata: { name: "tenant" } } });
    await grant(world, "POST", podsPath, { body: pod("free") });
    const finalizers = { finalizers: ["example.org/x"] };
    await grant(world, "POST", podsPath, { body: pod("held", finalizers) });
    const terminating = await grant(world, "DELETE", namespace);
    assert.equal(at(terminating, "status.phase"), "Terminating");
    await refuse(world, [404, "NotFound"], "GET", `${podsPath}/free`);
    await refuse(world, [403, "Forbidden"], "POST", podsPath, { body: pod("late") });
    await grant(world, "PATCH", `${podsPath}/held`, {
      body: { metadata: { finalizers: null } },
      type: patchType.merge,
    });
    await refuse(world, [404, "NotFound"], "GET", namespace);
  }));

Deno.test("embedded API: the default namespace is there from the start, and others need not be", () =>
  withServer({}, async (world) => {
    await grant(world, "GET", "/api/v1/namespaces/default");
    await grant(world, "POST", podsPath, { body: pod("a") });
  }));

Deno.test("embedded API: an informer of client-node sees objects come, change and go", () =>
  withServer({}, async (world, kubeconfigPath) => {
    const config = new KubeConfig();
    config.loadFromFile(kubeconfigPath);
    const objects = config.makeApiClient(CustomObjectsApi);
    const place = { group: "cni.pyroute2.org", version: "v1alpha1", plural: "vrfdomains" };
    const informer = makeInformer<KubernetesObject>(
      config,
      domainsPath,
      () => objects.listClusterCustomObject(place),
    );
    const seen: string[] = [];
    const done = Promise.withResolvers<void>();
    for (const event of ["add", "update", "delete"] as const) {
      informer.on(event, (object) => {
        seen.push(`${event} ${object.metadata?.name?.slice(world.tag.length + 1) ?? ""}`);
        if (event === "add" && seen.length === 2) void change();
        if (event === "delete") done.resolve();
      });
    }
    const change = async () => {
      await objects.patchClusterCustomObjectStatus({
        ...place,
        name: `${world.tag}-b`,
        body: [{ op: "add", path: "/status", value: { nodes: { ready: 1, total: 1 } } }],
      });
      await objects.deleteClusterCustomObject({ ...place, name: `${world.tag}-b` });
    };
    await createDomain(world, "a");
    await informer.start();
    await objects.createClusterCustomObject({ ...place, body: domain(world, "b") });
    await done.promise;
    // Stopping aborts the watch, which client-node reports as an error.
    informer.on("error", () => {});
    await informer.stop();
    assert.deepEqual(seen, ["add a", "add b", "update b", "delete b"]);
  }));

Deno.test("embedded API: an applied list item without the key by which it is merged is refused with 400", () =>
  withServer({}, async (world) => {
    await createDomain(world, "a");
    const body = domain(world, "a", { status: { conditions: [{ status: "True" }] } });
    const path = `${domainPath(world, "a")}/status?fieldManager=test`;
    const answer = await world.api.ask("PATCH", path, { body, type: patchType.apply });
    assert.deepEqual([answer.status, answer.body["reason"]], [400, "BadRequest"]);
  }));

Deno.test("embedded API: an applied name that is no text is refused with 400, whatever it has as toString", () =>
  withServer({}, async (world) => {
    const body = domain(world, "a", { metadata: { name: { toString: 1, valueOf: 2 } } });
    const path = `${domainPath(world, "b")}?fieldManager=test`;
    const answer = await world.api.ask("PATCH", path, { body, type: patchType.apply });
    assert.deepEqual([answer.status, answer.body["reason"]], [400, "BadRequest"]);
  }));
