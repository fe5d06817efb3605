import assert from "node:assert/strict";
import { KernelError } from "./errors.ts";
import {
  bridgeMac,
  bridgeName,
  hostLegName,
  parsePodAlias,
  podAlias,
  vrfName,
  vrfOfBridge,
  vrfOfHostLeg,
  vrfOfName,
  vxlanName,
} from "./names.ts";

const isInvalidName = (error: unknown) =>
  error instanceof KernelError && error.code === "InvalidName";

Deno.test("numbers that no VRF or VNI can have are refused", () => {
  for (const vrf of [0, -1, 1.5, NaN, 2 ** 32]) {
    assert.throws(() => vrfName(vrf), isInvalidName);
    assert.throws(() => bridgeName("l3vni", vrf), isInvalidName);
    assert.throws(() => hostLegName(vrf), isInvalidName);
  }
  assert.throws(() => vxlanName("l3vni", 2 ** 24), isInvalidName);
  assert.throws(() => vxlanName("l2vni", 0), isInvalidName);
});

Deno.test("names of others are not taken for a VRF's", () => {
  for (const name of ["vrf-", "vrf-0", "vrf-012", "vrf-4294967296", "vrf-1a", "xvrf-1", "vrf-1 "]) {
    assert.equal(vrfOfName(name), undefined);
  }
  assert.equal(vrfOfBridge("l4br-1"), undefined);
  assert.equal(vrfOfHostLeg("pr2h-"), undefined);
});

Deno.test("a name leads back to the VRF's number", () => {
  for (const vrf of [1, 200, 0xffffffff]) {
    assert.equal(vrfOfName(vrfName(vrf)), vrf);
    assert.equal(vrfOfBridge(bridgeName("l2vni", vrf)), vrf);
    assert.equal(vrfOfHostLeg(hostLegName(vrf)), vrf);
  }
});

Deno.test("every name fits an interface name", () => {
  const names = [vrfName(0xffffffff), bridgeName("l3vni", 0xffffffff), hostLegName(0xffffffff)];
  for (const name of [...names, vxlanName("l3vni", 0xffffff)]) assert.ok(name.length <= 15, name);
});

Deno.test("a bridge's MAC is unicast, locally administered, and different for each node and VRF", () => {
  const macs = new Set<string>();
  for (let vrf = 1; vrf <= 300; vrf++) {
    for (const node of ["node-1", "node-2"]) {
      const mac = bridgeMac(node, vrf);
      assert.match(mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
      assert.equal(bridgeMac(node, vrf), mac);
      macs.add(mac);
    }
  }
  assert.equal(macs.size, 600);
});

Deno.test("a pod's alias says whose it is, unless it was too long or is another's", () => {
  const pod = { containerId: "c0ffee", ifname: "eth0", network: "pyroute2" };
  assert.deepEqual(parsePodAlias(podAlias(pod)), pod);
  assert.deepEqual(parsePodAlias("pyroute2-cni/c0ffee/eth0"), { ...pod, network: "" });
  const long = podAlias({ ...pod, containerId: "c".repeat(300) });
  assert.equal(long.length, 255);
  for (const alias of [undefined, "", "pyroute2-cni", "pyroute2-cni/c0ffee", "x/y/z", long]) {
    assert.equal(parsePodAlias(alias), undefined);
  }
});
