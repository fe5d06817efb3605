import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { createLogger } from "../log.ts";
import type { Kernel, PodPort } from "../kernel/port.ts";
import { fitPods } from "./vrf_phases.ts";
import { makeRun } from "./testing/make_run.ts";

const quiet = createLogger("error", () => {});

/** A kernel with a place for each VRF's pods, which is all that fitting them asks for. */
function kernelOf(connection: NetlinkConnection): Kernel {
  return new Proxy({} as Kernel, {
    get: (_, name) => name === "connection" ? () => connection : undefined,
  });
}

function port(name: string): PodPort {
  return { name, mac: "", addresses: [], ifname: "eth0", netnsPath: `/run/pods/${name}` };
}

Deno.test("a domain fails while pods keep a larger MTU, but not because others have gone or keep a smaller one", () => {
  using connection = NetlinkConnection.open();
  const found = new Map<string, number | undefined>([
    ["fitted", 1350],
    ["gone", undefined],
    ["small", 1300],
    ["large", 1450],
  ]);
  const failuresWith = (vrf: number, names: readonly string[]) => {
    const state = makeRun();
    const spec = state.plan.vrfs.find((each) => each.vrf === vrf);
    assert.ok(spec);
    const misfits = names.map((name) => ({ vrf: spec, mtu: 1350, port: port(name) }));
    const steps = { ...state.steps, fitPods: misfits };
    const pods = { fit: (_: unknown, { name }: PodPort) => found.get(name) };
    fitPods(kernelOf(connection), pods, { ...state, steps }, quiet);
    return state.failures;
  };
  assert.equal(failuresWith(200, ["fitted", "gone", "small"]).size, 0);
  const failures = failuresWith(300, ["fitted", "large", "small"]);
  assert.deepEqual([...failures.keys()], [300]);
  assert.equal(failures.get(300)?.reason, "PodMTUTooLarge");
  assert.match(failures.get(300)?.message ?? "", /found 1 with more .* "\/run\/pods\/large"/);
});
