import assert from "node:assert/strict";
import { applyConfig } from "./apply.ts";
import { normaliseConfig } from "./config_tree.ts";
import { FrrError } from "./errors.ts";
import { readState } from "./state.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import { goldenNames, readGolden } from "./testing/goldens.ts";
import { checkConfig, runVtysh, type VtyshTarget } from "./vtysh.ts";

const signal = () => AbortSignal.timeout(30_000);

async function runningConfig(target: VtyshTarget): Promise<string> {
  const [reply] = await runVtysh(target, ["show running-config"], signal());
  return normaliseConfig(reply?.output ?? "");
}

Deno.test("vtysh knows every line of every golden", async () => {
  for (const name of await goldenNames()) await checkConfig({}, await readGolden(name), signal());
});

Deno.test("vtysh names the line that it does not know", async () => {
  const text = await readGolden("refused");
  await assert.rejects(checkConfig({}, text, signal()), (error) => {
    assert(error instanceof FrrError);
    assert.equal(error.code, "FrrRefused");
    assert.match(error.line ?? "", /line 7: .*advertise-all-vnis/);
    return true;
  });
});

Deno.test("a line that vtysh would not take as text is refused before vtysh sees it", async () => {
  for (const line of ["vrf x?", "vrf x\u0007", "vrf \u00e9", "vrf\tx", "vrf x\r"]) {
    await assert.rejects(
      checkConfig({}, line, signal()),
      { code: "FrrRefused" },
      JSON.stringify(line),
    );
  }
});

Deno.test("FRR that does not run is unavailable, and a signal ends the waiting", async () => {
  const target = { vtyDir: "/nonexistent" };
  await assert.rejects(applyConfig(target, "", undefined, signal()), { code: "FrrUnavailable" });
  await assert.rejects(readState(target.vtyDir, "", signal()), { code: "FrrUnavailable" });
  await assert.rejects(readState(target.vtyDir, "", AbortSignal.abort()), { code: "FrrTimeout" });
});

Deno.test("a line that is longer than a terminal is wide is given and answered like any other", async () => {
  // A service has no terminal: only then readline scrolls.
  const terminal = Deno.env.get("TERM");
  Deno.env.delete("TERM");
  using restoring = new DisposableStack();
  restoring.defer(() => terminal === undefined ? undefined : Deno.env.set("TERM", terminal));
  await using frr = await startFrrInstance();
  const text = `ip prefix-list ${"a".repeat(120)} seq 10 permit 10.150.0.0/16 le 32\n`;
  assert.equal((await applyConfig(frr, text, undefined, signal())).changed, true);
  assert.equal((await applyConfig(frr, text, undefined, signal())).changed, false);
});

Deno.test("every golden reaches a running FRR from every other in turn, and is empty the second time", async () => {
  await using frr = await startFrrInstance();
  const names = await goldenNames();
  const walk = [
    ...names,
    ...names.toReversed(),
    ...names.filter((_, i) => i % 2 === 0),
    ...names.filter((_, i) => i % 3 === 0),
  ];
  let last = "";
  for (const name of walk) {
    const text = await readGolden(name);
    const first = await applyConfig(frr, text, undefined, signal());
    assert.equal(first.changed, name !== last, `${last} to ${name}`);
    assert.equal(
      await runningConfig(frr),
      normaliseConfig(text),
      `${last} to ${name}: ${first.lines.join("\n")}`,
    );
    const second = await applyConfig(frr, text, undefined, signal());
    assert.deepEqual(second.lines, [], `${last} to ${name}, again`);
    last = name;
  }
});

Deno.test("a bgpd that started anew without its filters has them again, though zebra shows them all the time", async () => {
  await using frr = await startFrrInstance();
  const text = await readGolden("two_tenants_same_prefix");
  // As after an attempt that reached zebra while bgpd was away, and was not written to the file that bgpd starts from.
  await frr.run("vtysh", ...filtersOf(text).flatMap((line) => ["-c", line]));
  await frr.run(
    "sh",
    "-ec",
    "pid=$(cat /run/frr/bgpd.pid); kill -9 $pid; tail --pid=$pid -f /dev/null",
  );
  await untilDaemons(frr);
  const own = async () =>
    filtersOf((await runVtysh(frr, ["show running-config bgpd"], signal()))[0]?.output ?? "");
  assert.deepEqual(await own(), ["configure terminal"]);
  await applyConfig(frr, text, undefined, signal());
  assert.deepEqual(await own(), filtersOf(text));
  assert.deepEqual((await applyConfig(frr, text, undefined, signal())).lines, []);
});

/** Lines that make a configuration's filters. */
function filtersOf(text: string): string[] {
  const filter = /^(?:ip prefix-list|route-map| match) .*$/gm;
  return ["configure terminal", ...[...text.matchAll(filter)].map(([line]) => line)];
}

/** Waits until all daemons are there. */
async function untilDaemons(target: FrrInstance): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    const state = await readState(target.vtyDir, "", signal()).catch((error: unknown) => {
      if (!(error instanceof FrrError) || error.code !== "FrrUnavailable") throw error;
    });
    if (state?.ready === true) return;
    if (performance.now() > end) throw new Error("FRR's daemons do not come back");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Deno.test("what bgpd refuses leaves the last good configuration", async () => {
  await using frr = await startFrrInstance();
  const good = await readGolden("two_tenants_same_prefix");
  await applyConfig(frr, good, undefined, signal());
  const bad = await readGolden("refused_by_bgpd");
  for (const lastGood of [undefined, good]) {
    await assert.rejects(applyConfig(frr, bad, lastGood, signal()), (error) => {
      assert(error instanceof FrrError);
      assert.equal(error.code, "FrrRefused");
      assert.match(error.line ?? "", /neighbor 192\.168\.124\.9 activate: % Specify remote-as/);
      assert.match(error.message, /the last good configuration is back$/);
      return true;
    });
    assert.equal(await runningConfig(frr), normaliseConfig(good));
  }
});

Deno.test("a VRF that is neither wanted nor in the kernel is forgotten", async () => {
  await using frr = await startFrrInstance();
  await applyConfig(frr, await readGolden("two_tenants_same_prefix"), undefined, signal());
  const configured = await readState(frr.vtyDir, "", signal());
  assert.deepEqual(configured.vrfs.map(({ name, state }) => ({ name, state })), [
    { name: "vrf-200", state: "inactive" },
    { name: "vrf-300", state: "inactive" },
  ]);
  await applyConfig(frr, await readGolden("alone"), undefined, signal());
  const removed = await readState(frr.vtyDir, "", signal());
  assert.deepEqual(removed.vrfs, []);
  assert.deepEqual(removed.vnis, []);
});

Deno.test("settings of somebody else survive", async () => {
  await using frr = await startFrrInstance();
  const foreign = ["ip route 192.0.2.0/24 Null0", "bgp community-list 1 seq 5 permit 65000:1"];
  await runVtysh(frr, ["configure terminal", ...foreign, "end"], signal());
  await applyConfig(frr, await readGolden("default_domain"), undefined, signal());
  await applyConfig(frr, await readGolden("alone"), undefined, signal());
  const running = await runningConfig(frr);
  for (const line of foreign) assert(running.includes(line), running);
});
