import assert from "node:assert/strict";
import type { KernelState, ObservedVrf, OverlaySpec, VrfSpec } from "../kernel/port.ts";
import { difference } from "./difference.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.168.124.11", mtu: 1500 };

function overlay(bridge: string): OverlaySpec {
  return {
    type: "l3vni",
    vni: 1,
    port: 4789,
    local: "192.168.124.11",
    bridge,
    vxlan: "l3vx-1",
    mac: "02:00:00:00:00:01",
    mtu: 1450,
    gateways: [],
    ports: [],
  };
}

function spec(vrf: number, ...bridges: string[]): VrfSpec {
  return {
    vrf,
    name: `vrf-${vrf}`,
    table: vrf,
    overlays: bridges.map(overlay),
    prefixes: ["10.0.0.0/16"],
    blocks: [],
  };
}

function observed(vrf: number, bridges: readonly string[], sound = true): ObservedVrf {
  return {
    vrf,
    name: `vrf-${vrf}`,
    table: vrf,
    blocks: [],
    overlays: bridges.map((bridge) => ({
      bridge,
      gateways: [],
      misfits: ({ ports }) => sound ? [] : ports,
      matches: () => sound,
    })),
    matches: () => sound,
  };
}

function state(...vrfs: ObservedVrf[]): KernelState {
  return { vrfs: new Map(vrfs.map((vrf) => [vrf.vrf, vrf])), rules: [] };
}

Deno.test("a node that is in step needs no step", () => {
  const steps = difference([spec(1, "l3br-1")], state(observed(1, ["l3br-1"])), underlay);
  assert.deepEqual(Object.values(steps).flat(), []);
});

Deno.test("what is missing or damaged is ensured, what is sound is left alone", () => {
  const wanted = [spec(1, "l3br-1"), spec(2, "l3br-2"), spec(3, "l3br-3")];
  const present = state(observed(1, ["l3br-1"]), observed(2, ["l3br-2"], false));
  const steps = difference(wanted, present, underlay);
  assert.deepEqual(steps.ensureVrfs.map(({ vrf }) => vrf), [2, 3]);
  assert.deepEqual(steps.ensureOverlays.map(({ overlay: { bridge } }) => bridge), [
    "l3br-2",
    "l3br-3",
  ]);
  assert.deepEqual(steps.removeVrfs, []);
});

Deno.test("pods are fitted to the MTU of their overlay, where the overlay says that they are not", () => {
  const port = {
    name: "veth1",
    mac: "02:00:00:00:00:02",
    addresses: [],
    ifname: "eth0",
    netnsPath: "/run/pods/1",
  };
  const withPod = (vrf: VrfSpec): VrfSpec => ({
    ...vrf,
    overlays: vrf.overlays.map((each) => ({ ...each, ports: [port] })),
  });
  const wanted = [
    withPod(spec(1, "l3br-1")),
    withPod(spec(2, "l3br-2")),
    withPod(spec(3, "l3br-3")),
  ];
  const present = state(observed(1, ["l3br-1"]), observed(2, ["l3br-2"], false));
  const { fitPods } = difference(wanted, present, underlay);
  assert.deepEqual(fitPods.map(({ vrf: { vrf }, mtu, port: { name } }) => [vrf, mtu, name]), [
    [2, 1450, "veth1"],
  ]);
});

Deno.test("a VRF that nothing wants goes with its overlays; of one that stays only what nothing wants goes", () => {
  const present = state(observed(1, ["l2br-1", "l3br-1"]), observed(9, ["l3br-9"]));
  const steps = difference([spec(1, "l3br-1")], present, underlay);
  assert.deepEqual(
    steps.removeOverlays.map(({ vrf, overlay: { bridge } }) => [vrf, bridge]),
    [["vrf-1", "l2br-1"], ["vrf-9", "l3br-9"]],
  );
  assert.deepEqual(steps.removeVrfs.map(({ vrf }) => vrf), [9]);
});
