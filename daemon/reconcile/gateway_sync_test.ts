import assert from "node:assert/strict";
import type { FrrState } from "../../frr/protocol.ts";
import type { OverlaySpec } from "../kernel/port.ts";
import { createLogger } from "../log.ts";
import { syncGateways } from "./gateway_sync.ts";
import { makeRun } from "./testing/make_run.ts";

/** Which VRFs' gateways are announced, when zebra shows these addresses, one look after the other. */
async function announced(
  type: OverlaySpec["type"],
  ...looks: readonly FrrState["addresses"][]
): Promise<string[]> {
  const run = makeRun();
  const gateways = [
    { address: "10.150.0.1", prefixLength: 26 },
    { address: "fd00:150::1", prefixLength: 64 },
  ];
  const vrfs = run.plan.vrfs.map((spec) => ({
    ...spec,
    overlays: spec.overlays.map((overlay): OverlaySpec => ({ ...overlay, type, gateways })),
  }));
  const done: string[] = [];
  let look = 0;
  const unused = () => {
    throw new Error("Not asked here");
  };
  await syncGateways(
    { announceGateways: (name) => void done.push(name) },
    {
      ...{ awaitVrfs: unused, apply: unused, carries: unused, inStep: unused, daemons: unused },
      ...{ awaitEmpty: unused, forget: unused },
      expectChange: () => {},
      settle: () => {
        look++;
        return Promise.resolve([]);
      },
      state: () => ({
        ...{ ready: true, epoch: "1", vrfs: [], vnis: [], peers: [] },
        addresses: looks[look],
      }),
    },
    createLogger("error", () => {}),
    { ...run, plan: { ...run.plan, vrfs } },
  );
  return done;
}

const both = ["10.150.0.1/26", "fd00:150::1/64"];

Deno.test("gateways that zebra lacks are told again, and no others", async () => {
  const [first, second] = makeRun().plan.vrfs.map(({ overlays }) => overlays[0]?.bridge ?? "");
  assert.ok(first && second);
  const all = { [first]: both, [second]: both };
  assert.deepEqual(await announced("l3vni", all, all), []);
  const withoutIpv6 = { ...all, [second]: both.slice(0, 1) };
  assert.deepEqual(await announced("l3vni", withoutIpv6, withoutIpv6), ["vrf-300"]);
  const bare = { [first]: [], [second]: [] };
  assert.deepEqual(await announced("l3vni", bare, bare), ["vrf-200", "vrf-300"]);
  assert.deepEqual(await announced("l2vni", bare, bare), []);
});

Deno.test("gateways are not told again when zebra has them at a second look", async () => {
  const [first, second] = makeRun().plan.vrfs.map(({ overlays }) => overlays[0]?.bridge ?? "");
  assert.ok(first && second);
  const all = { [first]: both, [second]: both };
  assert.deepEqual(await announced("l3vni", { ...all, [first]: [] }, all), []);
});

Deno.test("nothing is told of a bridge that zebra does not know, nor where the agent shows no addresses", async () => {
  assert.deepEqual(await announced("l3vni", {}, {}), []);
  assert.deepEqual(await announced("l3vni", undefined, undefined), []);
});
