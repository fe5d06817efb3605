import assert from "node:assert/strict";
import { KernelError } from "./errors.ts";
import {
  chooseHostLegAddresses,
  hostLegAddresses6,
  hostLegAddressesOf,
} from "./host_leg_address.ts";

Deno.test("with every pair taken the error says so", () => {
  const all = function* () {
    for (let c = 0; c < 256; c++) for (let d = 0; d < 256; d += 2) yield `169.254.${c}.${d}`;
  };
  assert.throws(
    () => chooseHostLegAddresses(1, all()),
    (error) => error instanceof KernelError && error.code === "HostLegsExhausted",
  );
});

Deno.test("an address that is no host leg's is recognised as such", () => {
  assert.equal(hostLegAddressesOf("169.254.2.1", 31), undefined);
  assert.equal(hostLegAddressesOf("169.254.2.0", 30), undefined);
  assert.equal(hostLegAddressesOf("10.0.0.0", 31), undefined);
  assert.deepEqual(hostLegAddressesOf("169.254.2.0", 31), {
    host: "169.254.2.0",
    vrf: "169.254.2.1",
  });
});

Deno.test("a VRF's number decides its pair, as long as nobody else holds it", () => {
  const first = chooseHostLegAddresses(200, []);
  assert.deepEqual(first, { host: "169.254.2.144", vrf: "169.254.2.145" });
  const second = chooseHostLegAddresses(200, [first.vrf, "10.0.0.1", "fe80::1"]);
  assert.deepEqual(second, { host: "169.254.2.146", vrf: "169.254.2.147" });
});

Deno.test("addresses that others commonly use on a node are never taken", () => {
  const given = new Set<string>();
  for (let vrf = 0; vrf < 32768; vrf++) {
    const pair = chooseHostLegAddresses(vrf, []);
    given.add(pair.host).add(pair.vrf);
  }
  for (const address of ["169.254.169.254", "169.254.1.1", "169.254.20.10", "169.254.0.1"]) {
    assert.ok(!given.has(address), address);
  }
});

Deno.test("each VRF has an IPv6 pair of its own", () => {
  assert.deepEqual(hostLegAddresses6(200), {
    host: "fd26:492c:1670::c8:0",
    vrf: "fd26:492c:1670::c8:1",
  });
  const last = 2 ** 31 - 1;
  assert.equal(hostLegAddresses6(last).vrf, "fd26:492c:1670::7fff:ffff:1");
});
