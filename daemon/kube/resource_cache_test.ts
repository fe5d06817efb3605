import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import { type VRFDomain, vrfDomainKind } from "../resources/vrf_domain.ts";
import { podKind } from "../resources/core.ts";
import { type KubeConnection, loadKube } from "./connect.ts";
import { type CacheTiming, type RunningCache, startCache } from "./resource_cache.ts";
import { eventually } from "./testing/eventually.ts";
import { KubeConfigFile, kubeconfigText } from "./testing/kubeconfig.ts";
import {
  jsonAnswer,
  openWatch,
  type ScriptedApi,
  type ScriptedApiOptions,
  type ScriptedWatch,
  startScriptedApi,
  statusAnswer,
  testCertificate,
} from "./testing/scripted_api.ts";

const quick: CacheTiming = { retryBaseMs: 1, retryMaxMs: 5, healthyAfterMs: 0 };
const quiet = createLogger("error", () => {});

function domain(name: string, resourceVersion: string, vrf = 200): unknown {
  return {
    metadata: { name, resourceVersion },
    spec: {
      vrf,
      table: 2200,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 50200 }],
    },
  };
}

/** A server with one collection: the list and what becomes of each watch are the test's to say. */
class Bench implements AsyncDisposable {
  readonly api: ScriptedApi;
  readonly watches: ScriptedWatch[] = [];
  readonly versions: (string | null)[] = [];
  lists = 0;
  items: unknown[] = [];
  listVersion = "10";
  onList: () => Response | undefined = () => undefined;
  onWatch: () => Response | undefined = () => undefined;

  constructor(options: ScriptedApiOptions = {}) {
    this.api = startScriptedApi((_, url) => {
      if (url.searchParams.get("watch") === "true") {
        this.versions.push(url.searchParams.get("resourceVersion"));
        const other = this.onWatch();
        if (other !== undefined) return other;
        const watch = openWatch();
        this.watches.push(watch);
        return watch.response;
      }
      this.lists += 1;
      return this.onList() ??
        jsonAnswer({ items: this.items, metadata: { resourceVersion: this.listVersion } });
    }, options);
  }

  async watch(count: number): Promise<ScriptedWatch> {
    await eventually(`watch ${count} is opened`, () => this.watches.length >= count);
    const watch = this.watches[count - 1];
    assert(watch);
    return watch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.watches) watch.end();
    await this.api[Symbol.asyncDispose]();
  }
}

function cacheOf(connection: KubeConnection, timing: CacheTiming = quick): RunningCache<VRFDomain> {
  return startCache({ connection, resource: vrfDomainKind, log: quiet, timing });
}

function names(cache: RunningCache<VRFDomain>): string {
  return cache.list().map(({ metadata }) => metadata.name).sort().join();
}

const soon = () => AbortSignal.timeout(15_000);

Deno.test("the cache follows the list and each kind of event", async () => {
  await using bench = new Bench();
  bench.items = [domain("a", "5"), domain("b", "6")];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  assert.equal(cache.synced, false);
  await cache.whenSynced(soon());
  assert.equal(cache.synced, true);
  assert.equal(names(cache), "a,b");
  assert.equal(cache.get("a")?.spec.attachments[0]?.port, 4789, "defaults are filled in");
  const watch = await bench.watch(1);
  assert.deepEqual(bench.versions, ["10"]);
  watch.send("ADDED", domain("c", "11"));
  watch.send("MODIFIED", domain("a", "12", 300));
  watch.send("DELETED", domain("b", "13"));
  await eventually("all is seen", () => names(cache) === "a,c");
  assert.equal(cache.get("a")?.spec.vrf, 300);
  assert.equal(cache.get("b"), undefined);
  assert.equal(cache.connected, true);
});

Deno.test("many events in one turn are told to a subscriber once, until it unsubscribes", async () => {
  await using bench = new Bench();
  bench.items = [domain("a", "5")];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  await cache.whenSynced(soon());
  const watch = await bench.watch(1);
  let calls = 0;
  cache.subscribe(() => {
    throw new Error("a bad subscriber hurts no other");
  });
  const unsubscribe = cache.subscribe(() => calls += 1);
  const burst = Array.from({ length: 100 }, (_, i) => domain(`d${i}`, String(11 + i)));
  watch.write(burst.map((object) => JSON.stringify({ type: "ADDED", object }) + "\n").join(""));
  await eventually("all are seen", () => cache.list().length === 101);
  assert(calls >= 1 && calls < 20, `told ${calls} times`);
  unsubscribe();
  const before = calls;
  watch.send("DELETED", domain("a", "200"));
  await eventually("the deletion is seen", () => cache.get("a") === undefined);
  assert.equal(calls, before);
});

Deno.test("an invalid object is kept out with its reason, and comes in when it is mended", async () => {
  await using bench = new Bench();
  bench.items = [domain("good", "5"), domain("bad", "6", -1)];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  await cache.whenSynced(soon());
  assert.equal(names(cache), "good");
  assert.match(cache.invalid().get("bad") ?? "", /spec\.vrf/);
  const watch = await bench.watch(1);
  watch.send("MODIFIED", domain("good", "11", -1));
  await eventually("it leaves", () => names(cache) === "");
  watch.send("MODIFIED", domain("bad", "12", 5));
  watch.send("DELETED", domain("good", "13", -1));
  await eventually(
    "it comes, and the other one is nobody's any more",
    () => names(cache) === "bad" && cache.invalid().size === 0,
  );
});

Deno.test("a watch that is cut or ended goes on from the last version, without a new list", async () => {
  await using bench = new Bench();
  bench.items = [domain("a", "5")];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  (await bench.watch(1)).send("ADDED", domain("b", "11"));
  await eventually("b is seen", () => names(cache) === "a,b");
  (await bench.watch(1)).cut();
  const second = await bench.watch(2);
  second.send("BOOKMARK", { metadata: { resourceVersion: "17" } });
  second.end();
  const third = await bench.watch(3);
  third.write('{"type":"ADDED","object":{"meta');
  third.cut();
  await bench.watch(4);
  assert.deepEqual(bench.versions, ["10", "11", "17", "17"]);
  assert.equal(bench.lists, 1);
  assert.equal(names(cache), "a,b");
  assert.equal(cache.synced, true);
});

Deno.test("an outdated version, as status or as event, makes a new list and drops what is gone", async () => {
  await using bench = new Bench();
  bench.items = [domain("a", "5"), domain("b", "6")];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  const first = await bench.watch(1);
  bench.items = [domain("b", "6"), domain("c", "19")];
  bench.listVersion = "20";
  first.send("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old" });
  await eventually("the new list is there", () => names(cache) === "b,c");
  const second = await bench.watch(2);
  let gone = 3;
  bench.onWatch = () => gone-- > 0 ? statusAnswer(410, "Expired", "too old") : undefined;
  second.cut();
  await bench.watch(3);
  assert.equal(bench.lists, 5);
  assert.deepEqual(bench.versions, ["10", "20", "20", "20", "20", "20"]);
});

Deno.test("what is no event ends the watch, and the third failure in a row makes a new list", async () => {
  await using bench = new Bench();
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection);
  await cache.whenSynced(soon());
  const garbage = [
    "no json\n",
    '{"type":"ADDED"}\n',
    '{"type":"ADDED","object":{"metadata":{}}}\n',
  ];
  for (const [index, text] of garbage.entries()) (await bench.watch(index + 1)).write(text);
  await bench.watch(4);
  assert.equal(bench.lists, 2);
  assert.deepEqual(bench.versions, ["10", "10", "10", "10"]);
});

Deno.test("a refusal is told clearly, and the content stays until contact is regained", async () => {
  await using bench = new Bench();
  bench.items = [domain("a", "5")];
  const lines: string[] = [];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = startCache({
    connection,
    resource: vrfDomainKind,
    log: createLogger("info", (line) => lines.push(line)),
    timing: quick,
  });
  const first = await bench.watch(1);
  bench.onWatch = () => statusAnswer(401, "Unauthorized", "token expired");
  first.cut();
  await eventually("it is noticed", () => cache.lastError?.code === "Unauthorized");
  assert.match(cache.lastError?.message ?? "", /token expired.*check the token/);
  assert.equal(cache.connected, false);
  assert.equal(cache.synced, true);
  assert.equal(names(cache), "a");
  bench.onWatch = () => undefined;
  await eventually("contact is regained", () => cache.connected);
  assert.equal(cache.lastError, undefined);
  assert(lines.some((line) => line.includes("Unauthorized")));
  assert(lines.some((line) => line.includes("List and watch work again")));
});

Deno.test("a watch that is cut once in a while is no loss, and one that cannot be opened again is", async () => {
  await using bench = new Bench();
  const lines: string[] = [];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = startCache({
    connection,
    resource: vrfDomainKind,
    log: createLogger("info", (line) => lines.push(line)),
    timing: quick,
  });
  for (let count = 1; count <= 5; count++) {
    const watch = await bench.watch(count);
    // Only what the cache has heard of was open.
    watch.send("ADDED", domain(`heard-${count}`, `${10 + count}`));
    await eventually("it is heard", () => cache.get(`heard-${count}`) !== undefined);
    watch.cut();
  }
  const sixth = await bench.watch(6);
  await eventually("it goes on", () => cache.connected);
  assert.deepEqual(lines, []);
  bench.onWatch = () => statusAnswer(503, "ServiceUnavailable", "no");
  sixth.cut();
  await eventually("it is noticed", () => !cache.connected);
  assert.equal(lines.length, 1);
});

Deno.test("a server that asks to stay away is left alone for that time", async () => {
  await using bench = new Bench();
  const waits: number[] = [];
  let now = 0;
  bench.onList = () =>
    waits.length > 0
      ? undefined
      : statusAnswer(429, "TooManyRequests", "busy", { "retry-after": "60" });
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath, now: () => now });
  await using cache = cacheOf(connection, {
    ...quick,
    wait: (ms) => {
      waits.push(ms);
      now += ms;
      return Promise.resolve();
    },
  });
  await cache.whenSynced(soon());
  assert.deepEqual(waits, [60_000]);
});

Deno.test("each node waits for its turn where all begin anew at once, and not where a watch of its own has run out", async () => {
  await using bench = new Bench();
  const waits: number[] = [];
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  const timing: CacheTiming = {
    ...quick,
    turn: () => 7_000,
    wait: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
  };
  {
    await using _cache = cacheOf(connection, timing);
    (await bench.watch(1)).cut();
    // A server that goes ends its watches in the ordinary way, but too soon.
    (await bench.watch(2)).end();
    (await bench.watch(3)).send("ERROR", { code: 410, reason: "Expired" });
    await bench.watch(4);
    assert.ok(waits.every((ms) => ms >= 7_000 && ms < 7_010), waits.join());
    assert.equal(waits.length, 3);
  }
  await using _cache = cacheOf(connection, { ...timing, lifetimeMs: 0 });
  (await bench.watch(5)).end();
  await bench.watch(6);
  assert.deepEqual(waits.slice(3), [0]);
});

Deno.test("a wrong certificate keeps the cache unsynced and is named", async () => {
  await using bench = new Bench();
  using file = new KubeConfigFile(
    kubeconfigText({ server: `https://127.0.0.1:${bench.api.port}`, authority: "" }),
  );
  using connection = loadKube({ kubeconfigPath: file.path });
  await using cache = cacheOf(connection);
  await eventually("it is noticed", () => cache.lastError !== undefined);
  assert.equal(cache.lastError?.code, "CertificateInvalid");
  assert.equal(cache.synced, false);
  await assert.rejects(cache.whenSynced(AbortSignal.abort(new Error("given up"))), /given up/);
});

Deno.test("a server that is stopped and started again on its port is found again", async () => {
  await using first = new Bench();
  first.items = [domain("a", "5")];
  using file = new KubeConfigFile(kubeconfigText({
    server: `https://127.0.0.1:${first.api.port}`,
    authority: testCertificate,
  }));
  using connection = loadKube({ kubeconfigPath: file.path });
  await using cache = cacheOf(connection);
  await first.watch(1);
  await first[Symbol.asyncDispose]();
  await eventually("the loss is noticed", () => cache.lastError?.code === "Unavailable");
  assert.equal(names(cache), "a");
  await using second = new Bench({ port: first.api.port });
  // Whether it asks for a list again depends on how often it tried meanwhile.
  second.items = first.items;
  (await second.watch(1)).send("ADDED", domain("b", "11"));
  await eventually("both are there", () => names(cache) === "a,b");
  await cache[Symbol.asyncDispose]();
});

Deno.test("a connection that falls silent is taken for dead", async () => {
  await using bench = new Bench();
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = cacheOf(connection, { ...quick, silenceMs: 20 });
  await bench.watch(3);
  assert(cache.restarts >= 2);
});

Deno.test("a cache can be stopped at any moment, and asks for nothing afterwards", async () => {
  await using bench = new Bench();
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  const hold = Promise.withResolvers<Response>();
  const pending = startCache({ connection, resource: vrfDomainKind, log: quiet, timing: quick });
  await pending[Symbol.asyncDispose]();
  await using watching = cacheOf(connection);
  await bench.watch(1);
  await watching[Symbol.asyncDispose]();
  await bench.watches[0]?.closed;
  bench.onList = () => statusAnswer(503, "ServiceUnavailable", "no");
  await using waiting = cacheOf(connection, { retryBaseMs: 1_000_000, retryMaxMs: 1_000_000 });
  await eventually("it waits", () => waiting.lastError !== undefined);
  await waiting[Symbol.asyncDispose]();
  hold.resolve(jsonAnswer({}));
});

Deno.test("selectors and the namespace go to the server with list and watch", async () => {
  await using bench = new Bench();
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  await using cache = startCache({
    connection,
    resource: podKind,
    namespace: "default",
    fieldSelector: "spec.nodeName=n1",
    labelSelector: "app=x",
    log: quiet,
    timing: quick,
  });
  const watch = await bench.watch(1);
  watch.send("ADDED", { metadata: { name: "p", namespace: "default", resourceVersion: "11" } });
  await eventually("the pod is there", () => cache.get("default/p") !== undefined);
  assert.equal(cache.get("p"), undefined);
  assert.equal(bench.api.asked.length, 2);
  for (const line of bench.api.asked) {
    assert.match(line, /^GET \/api\/v1\/namespaces\/default\/pods\?/);
    assert.match(line, /fieldSelector=spec.nodeName%3Dn1/);
    assert.match(line, /labelSelector=app%3Dx/);
  }
});

Deno.test("five hundred lost watches leave no socket and no timer behind", async () => {
  await using bench = new Bench({ plain: true });
  using connection = loadKube({ kubeconfigPath: bench.api.kubeconfigPath });
  const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await using cache = cacheOf(connection, { ...quick, retryBaseMs: 0, retryMaxMs: 0 });
  await bench.watch(1);
  const before = descriptors();
  for (let count = 1; count <= 500; count++) {
    const watch = await bench.watch(count);
    if (count % 2 === 0) watch.cut();
    else watch.end();
  }
  await bench.watch(501);
  await eventually(
    `no more than 10 descriptors above ${before}, now ${descriptors()}`,
    () => descriptors() <= before + 10,
  );
  await cache[Symbol.asyncDispose]();
  await bench.watches[500]?.closed;
});
