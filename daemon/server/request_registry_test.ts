import assert from "node:assert/strict";
import { CniError } from "../../lib/cni/errors.ts";
import { type RegistryOptions, RequestRegistry } from "./request_registry.ts";

class Handle implements Disposable {
  closed = 0;
  [Symbol.dispose](): void {
    this.closed++;
  }
}

const signal = new AbortController().signal;
const root = { pid: 10, uid: 0 };

function fixture(options: Partial<RegistryOptions> = {}) {
  const state = { now: 0, ids: 0, processes: new Map([[10, "10:1"], [11, "11:1"]]) };
  const registry = new RequestRegistry<Handle>({
    now: () => state.now,
    randomId: () => (++state.ids).toString(16).padStart(32, "0"),
    processIdentity: (pid) => state.processes.get(pid),
    ...options,
  });
  return { state, registry };
}

Deno.test("An unknown request id is refused, and its descriptor stays with the caller", () => {
  const { registry } = fixture();
  const handle = new Handle();
  assert.throws(() => registry.claim("0".repeat(32)), CniError);
  assert.equal(registry.deliver("0".repeat(32), root, handle), "unknown");
  assert.equal(handle.closed, 0);
});

Deno.test("A process that the daemon does not see gets no request id", () => {
  assert.throws(() => fixture().registry.create(99), /PID namespace/);
});

Deno.test("A request id works once", () => {
  const { registry } = fixture();
  const rid = registry.create(10);
  {
    using _claimed = registry.claim(rid);
    assert.throws(() => registry.claim(rid), CniError);
  }
  assert.throws(() => registry.claim(rid), CniError);
  assert.equal(registry.size, 0);
});

Deno.test("An unused request id expires and its descriptor is closed", () => {
  const { registry, state } = fixture({ lifetimeMs: 100 });
  const rid = registry.create(10);
  const handle = new Handle();
  assert.equal(registry.deliver(rid, root, handle), "delivered");
  state.now = 101;
  registry.sweep();
  assert.equal(handle.closed, 1);
  assert.throws(() => registry.claim(rid), CniError);
});

Deno.test("A running request does not expire", async () => {
  const { registry, state } = fixture({ lifetimeMs: 100 });
  const rid = registry.create(10);
  using claimed = registry.claim(rid);
  state.now = 1_000;
  registry.sweep();
  const handle = new Handle();
  assert.equal(registry.deliver(rid, root, handle), "delivered");
  assert.equal(await claimed.descriptor(signal), handle);
});

Deno.test("A request is awaited as long as its own process runs", () => {
  const { registry, state } = fixture();
  using claimed = registry.claim(registry.create(10));
  assert.ok(claimed.isAwaited());
  state.processes.set(10, "10:2");
  assert.ok(!claimed.isAwaited(), "another process with the same id");
  state.processes.delete(10);
  assert.ok(!claimed.isAwaited());
});

Deno.test("A stranger's descriptor is not taken and does not harm the request", async () => {
  const { registry, state } = fixture({ fdTimeoutMs: 5 });
  const rid = registry.create(10);
  const handle = new Handle();
  assert.equal(registry.deliver(rid, { pid: 11, uid: 0 }, handle), "stranger");
  assert.equal(registry.deliver(rid, { pid: 10, uid: 65534 }, handle), "stranger");
  state.processes.set(10, "10:2");
  assert.equal(registry.deliver(rid, root, handle), "stranger");
  const wrong = new CniError("RequestRefused", "Wrong");
  assert.equal(registry.reject(rid, { pid: 11, uid: 0 }, wrong), "stranger");
  {
    state.processes.set(10, "10:1");
    using claimed = registry.claim(rid);
    await assert.rejects(
      claimed.descriptor(signal),
      (thrown: unknown) => thrown instanceof CniError && /process "11"/.test(thrown.details ?? ""),
    );
  }
  assert.equal(handle.closed, 0);
});

Deno.test("A second descriptor is not taken", async () => {
  const { registry } = fixture();
  const rid = registry.create(10);
  const [first, second] = [new Handle(), new Handle()];
  assert.equal(registry.deliver(rid, root, first), "delivered");
  assert.equal(registry.deliver(rid, root, second), "duplicate");
  using claimed = registry.claim(rid);
  assert.equal(await claimed.descriptor(signal), first);
  assert.equal(registry.deliver(rid, root, second), "duplicate");
  assert.equal(second.closed, 0);
});

Deno.test("A wrong descriptor fails the request with its reason", async () => {
  const { registry } = fixture();
  const rid = registry.create(10);
  using claimed = registry.claim(rid);
  const waiting = claimed.descriptor(signal);
  registry.reject(rid, root, new CniError("RequestRefused", "Two of them"));
  await assert.rejects(waiting, /Two of them/);
});

Deno.test("A descriptor that never comes fails the request", async () => {
  const { registry } = fixture({ fdTimeoutMs: 5 });
  using claimed = registry.claim(registry.create(10));
  await assert.rejects(claimed.descriptor(signal), /within 5 ms/);
});

Deno.test("A wait for a descriptor ends with its signal", async () => {
  const { registry } = fixture();
  using claimed = registry.claim(registry.create(10));
  const controller = new AbortController();
  const waiting = claimed.descriptor(controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(waiting, /gone/);
  await assert.rejects(claimed.descriptor(controller.signal), /gone/);
});

Deno.test("A descriptor that nobody took is closed with its request", () => {
  const { registry } = fixture();
  const rid = registry.create(10);
  const handle = new Handle();
  registry.deliver(rid, root, handle);
  registry.claim(rid)[Symbol.dispose]();
  assert.equal(handle.closed, 1);
});

Deno.test("Outstanding requests are bounded, and expired ones make room", () => {
  const { registry, state } = fixture({ maxOutstanding: 2, lifetimeMs: 100 });
  registry.create(10);
  registry.create(10);
  assert.throws(
    () => registry.create(10),
    (thrown: unknown) => thrown instanceof CniError && thrown.cniCode === 11,
  );
  state.now = 101;
  registry.create(10);
  assert.equal(registry.size, 1);
});
