import assert from "node:assert/strict";
import { CniError } from "../../lib/cni/errors.ts";
import { IpamError } from "../ipam/errors.ts";
import { createAddHandler } from "./add.ts";
import { createCheckHandler } from "./check.ts";
import { createDelHandler } from "./del.ts";
import { createGcHandler } from "./gc.ts";
import { recover } from "./recover.ts";
import { createStatusHandler } from "./status.ts";
import { callOf, type Fixture, fixture } from "./testing/fakes.ts";

const signal = new AbortController().signal;

async function refused(promise: Promise<unknown>): Promise<CniError> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof CniError) return thrown;
    throw thrown;
  }
  throw new assert.AssertionError({ message: "Expected a CniError, found success" });
}

async function add(f: Fixture, containerId = "c1"): Promise<void> {
  await createAddHandler(f.deps)(callOf("ADD", f.log, {}, containerId), signal);
}

function assertNothingLeft(f: Fixture): void {
  assert.deepEqual([...f.pool.rows.keys()], []);
  assert.deepEqual([...f.network.hostEnds], []);
  assert.equal(f.deps.locks.size, 0);
}

Deno.test("ADD in a namespace without its domain tells why and leaves nothing", async () => {
  const f = fixture({
    resolveDomain: () => {
      throw new CniError("InvalidConfig", 'VRFDomain "blue" not found');
    },
  });
  const error = await refused(add(f));
  assert.equal(error.cniCode, 7);
  assertNothingLeft(f);
});

Deno.test("ADD without a free address tells so", async () => {
  const f = fixture();
  f.pool.failure = new IpamError("BlocksExhausted", "Full");
  assert.equal((await refused(add(f))).cniCode, 101);
  f.pool.failure = new IpamError("ClaimFailed", "Away");
  assert.equal((await refused(add(f))).cniCode, 11);
  assertNothingLeft(f);
});

Deno.test("ADD that cannot make the interface gives the address back", async () => {
  const f = fixture();
  f.network.attachFailure = new Error("no");
  assert.equal((await refused(add(f))).cniCode, 100);
  assertNothingLeft(f);
});

Deno.test("ADD into a container that has the interface is refused with code 4", async () => {
  const f = fixture();
  await add(f);
  const error = await refused(add(f));
  assert.equal(error.cniCode, 4);
  assert.equal(f.pool.rows.size, 1);
  assert.equal(f.network.hostEnds.size, 1);
});

Deno.test("ADD whose VRF never gets ready gives up with its signal and undoes itself", async () => {
  const controller = new AbortController();
  const f = fixture({
    awaitReady: (_vrf, _blocks, given) =>
      new Promise((_, reject) => {
        given.addEventListener("abort", () => reject(given.reason));
        controller.abort(new Error("gone"));
      }),
  });
  await assert.rejects(createAddHandler(f.deps)(callOf("ADD", f.log), controller.signal), /gone/);
  assertNothingLeft(f);
});

Deno.test("ADD whose caller is gone when the interface stands undoes it", async () => {
  const controller = new AbortController();
  const f = fixture();
  const attach = f.network.attach.bind(f.network);
  f.network.attach = async (...given) => {
    const attached = await attach(...given);
    controller.abort(new Error("gone"));
    return attached;
  };
  await assert.rejects(
    createAddHandler(f.deps)(callOf("ADD", f.log), controller.signal),
    /gone/,
  );
  assertNothingLeft(f);
});

Deno.test("ADD cleans what an interrupted one left, then attaches", async () => {
  for (const left of ["reserved", "releasing"] as const) {
    const f = fixture();
    const call = callOf("ADD", f.log);
    const row = await f.pool.reserve(
      f.deps.resolveDomain(""),
      { ...call.args, network: "net", namespace: "", pod: "", podUid: "", netnsPath: "" },
      signal,
    );
    if (left === "releasing") f.pool.markReleasing(row);
    f.network.hostEnds.add(row.hostIfname);
    const result = await createAddHandler(f.deps)(call, signal);
    assert.deepEqual(result.interfaces.map((item) => item.name), [row.hostIfname, "eth0"]);
    assert.deepEqual(f.pool.list().map((item) => item.state), ["attached"]);
  }
});

Deno.test("ADD's result lists both ends, the addresses, gateways and default routes of both IP versions", async () => {
  const f = fixture();
  const result = await createAddHandler(f.deps)(callOf("ADD", f.log), signal);
  assert.deepEqual(result, {
    interfaces: [
      { name: "hc1", mac: "02:00:00:00:00:02", mtu: 1450 },
      { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/x", mtu: 1450 },
    ],
    ips: [
      { address: "10.150.0.2/26", gateway: "10.150.0.1", interface: 1 },
      { address: "fd00:150::3/64", gateway: "fd00:150::1", interface: 1 },
    ],
    routes: [
      { dst: "0.0.0.0/0", gw: "10.150.0.1" },
      { dst: "::/0", gw: "fd00:150::1" },
    ],
  });
});

Deno.test("ADD in a chain appends to the result of the plugins before it", async () => {
  const f = fixture();
  const prevResult = { interfaces: [{ name: "lo" }], ips: [], routes: [] };
  const result = await createAddHandler(f.deps)(callOf("ADD", f.log, { prevResult }), signal);
  assert.deepEqual(result.interfaces.map((item) => item.name), ["lo", "hc1", "eth0"]);
  assert.equal(result.ips[0]?.interface, 2);
});

Deno.test("ADD and DEL of one container run one after another, those of others at once", async () => {
  const gates = new Map<string, () => void>();
  const f = fixture({
    awaitReady: () => new Promise<void>((resolve) => gates.set(`g${gates.size}`, resolve)),
  });
  const first = createAddHandler(f.deps)(callOf("ADD", f.log, {}, "c1"), signal);
  const deleting = createDelHandler(f.deps)(callOf("DEL", f.log, {}, "c1"), signal);
  const other = createAddHandler(f.deps)(callOf("ADD", f.log, {}, "c2"), signal);
  while (gates.size < 2) await Promise.resolve();
  gates.get("g1")?.();
  await other;
  assert.equal(f.pool.rows.size, 2);
  gates.get("g0")?.();
  await first;
  await deleting;
  assert.deepEqual(f.pool.list().map((row) => row.containerId), ["c2"]);
});

Deno.test("DEL of an unknown container succeeds, and so does a second DEL", async () => {
  const f = fixture();
  const del = createDelHandler(f.deps);
  await del(callOf("DEL", f.log), signal);
  await add(f);
  await del(callOf("DEL", f.log), signal);
  await del(callOf("DEL", f.log), signal);
  assertNothingLeft(f);
});

Deno.test("DEL that the kernel refuses keeps the address and can be repeated", async () => {
  const f = fixture();
  await add(f);
  f.network.stuck.add("hc1");
  const del = createDelHandler(f.deps);
  await refused(del(callOf("DEL", f.log), signal));
  assert.deepEqual(f.pool.list().map((row) => row.state), ["releasing"]);
  f.network.stuck.clear();
  await del(callOf("DEL", f.log), signal);
  assertNothingLeft(f);
});

Deno.test("DEL works while the VRF has no bridge", async () => {
  const f = fixture();
  await add(f);
  f.setVrfReady(false);
  await createDelHandler(f.deps)(callOf("DEL", f.log), signal);
  assertNothingLeft(f);
});

Deno.test("CHECK of an unknown container is refused with code 3, without prevResult with 7", async () => {
  const f = fixture();
  const check = createCheckHandler(f.deps);
  assert.equal((await refused(check(callOf("CHECK", f.log), signal))).cniCode, 3);
  await add(f);
  assert.equal((await refused(check(callOf("CHECK", f.log), signal))).cniCode, 7);
});

Deno.test("CHECK tells every difference of result and kernel", async () => {
  const f = fixture();
  const prevResult = await createAddHandler(f.deps)(callOf("ADD", f.log), signal);
  const check = createCheckHandler(f.deps);
  await check(callOf("CHECK", f.log, { prevResult }), signal);
  f.network.faults = ["no default route"];
  const other = { ...prevResult, ips: [{ address: "10.9.9.9/26", interface: 1 }] };
  const error = await refused(check(callOf("CHECK", f.log, { prevResult: other }), signal));
  assert.equal(error.cniCode, 103);
  assert.match(error.details ?? "", /10\.150\.0\.2\/26.*fd00:150::3\/64.*no default route/);
  f.network.faults = [];
  const four = { ...prevResult, ips: prevResult.ips.slice(0, 1) };
  const six = await refused(check(callOf("CHECK", f.log, { prevResult: four }), signal));
  assert.match(six.details ?? "", /^prevResult has no address "fd00:150::3\/64"/);
});

Deno.test("GC without the list of attachments removes nothing", async () => {
  const f = fixture();
  await add(f);
  assert.equal((await refused(createGcHandler(f.deps)(callOf("GC", f.log), signal))).cniCode, 7);
  assert.equal(f.pool.rows.size, 1);
});

Deno.test("GC removes what is stale in its own network, goes on after failures and tells them", async () => {
  const f = fixture();
  for (const id of ["c1", "c2", "c3", "c4"]) await add(f, id);
  await createAddHandler(f.deps)(callOf("ADD", f.log, { name: "other" }, "c5"), signal);
  f.network.stuck.add("hc2");
  const validAttachments = [{ containerId: "c1", ifname: "eth0" }];
  const gc = createGcHandler(f.deps);
  const error = await refused(gc(callOf("GC", f.log, { validAttachments }), signal));
  assert.match(error.details ?? "", /"c2\/eth0"/);
  assert.deepEqual(f.pool.list().map((row) => row.containerId), ["c1", "c2", "c5"]);
});

Deno.test("STATUS tells 50 while pods cannot be added, 51 when running ones suffer", async () => {
  const status = (ready: boolean, connected: boolean) =>
    createStatusHandler(() => ({ ready, connected, reasons: ["FRR does not answer"] }))(
      callOf("STATUS", fixture().log),
      signal,
    );
  await status(true, true);
  const away = await refused(status(false, true));
  assert.deepEqual([away.cniCode, away.details], [50, "FRR does not answer"]);
  assert.equal((await refused(status(false, false))).cniCode, 51);
});

Deno.test("A start cleans interrupted commands and pods that went, and keeps the others", async () => {
  const f = fixture();
  for (const id of ["c1", "c2", "c3"]) await add(f, id);
  f.pool.markReleasing({ network: "net", containerId: "c1", ifname: "eth0" });
  f.network.hostEnds.delete("hc2");
  assert.deepEqual(await recover(f.deps, f.log, signal), { kept: 1, removed: 2, failed: 0 });
  assert.deepEqual(f.pool.list().map((row) => row.containerId), ["c3"]);
});

Deno.test("An address that cannot be seen unused is not released", async () => {
  const f = fixture();
  await add(f);
  f.setVrfThere(false);
  assert.deepEqual(await recover(f.deps, f.log, signal), { kept: 1, removed: 0, failed: 0 });
});

Deno.test("A pod's host end is found and deleted while its VRF has no bridge", async () => {
  const f = fixture();
  await add(f);
  f.setVrfReady(false);
  const asked: unknown[] = [];
  f.network.detach = (connection) => Promise.resolve(asked.push(connection) > 0);
  await createDelHandler(f.deps)(callOf("DEL", f.log), signal);
  assert.deepEqual(asked, [f.deps.kernel.connection(200)]);
  assert.equal(f.pool.rows.size, 0);
});

Deno.test("A look beside running commands waits for them and leaves their attachments alone", async () => {
  const gate = Promise.withResolvers<void>();
  const f = fixture({ awaitReady: () => gate.promise });
  const adding = createAddHandler(f.deps)(callOf("ADD", f.log), signal);
  while (f.pool.rows.size === 0) await Promise.resolve();
  const looking = recover(f.deps, f.log, signal);
  gate.resolve();
  await adding;
  assert.deepEqual(await looking, { kept: 1, removed: 0, failed: 0 });
  f.network.hostEnds.clear();
  assert.deepEqual(await recover(f.deps, f.log, signal), { kept: 0, removed: 1, failed: 0 });
  assertNothingLeft(f);
});
