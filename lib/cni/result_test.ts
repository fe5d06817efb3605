import assert from "node:assert/strict";
import { CniError } from "./errors.ts";
import { type CniResult, mergeResults, toVersionedResult } from "./result.ts";

const result: CniResult = {
  interfaces: [
    { name: "pr2abc", mac: "02:00:00:00:00:01" },
    { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x", mtu: 1450 },
  ],
  ips: [{ address: "10.0.0.5/26", gateway: "10.0.0.1", interface: 1 }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1", mtu: 1450 }],
};

Deno.test("An error object carries the caller's version, and details only when there are some", () => {
  const plain = new CniError("TryAgainLater", "Later");
  assert.deepEqual(plain.toErrorObject("0.4.0"), { cniVersion: "0.4.0", code: 11, msg: "Later" });
  const detailed = new CniError("InvalidConfig", "Wrong", { details: "why" });
  assert.deepEqual(detailed.toErrorObject("1.1.0"), {
    cniVersion: "1.1.0",
    code: 7,
    msg: "Wrong",
    details: "why",
  });
});

Deno.test("Before 1.0.0 each address tells its IP version and nothing newer appears", () => {
  for (const cniVersion of ["0.3.1", "0.4.0"] as const) {
    assert.deepEqual(toVersionedResult(result, cniVersion), {
      cniVersion,
      interfaces: [
        { name: "pr2abc", mac: "02:00:00:00:00:01" },
        { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x" },
      ],
      ips: [{ version: "4", address: "10.0.0.5/26", gateway: "10.0.0.1", interface: 1 }],
      routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
      dns: {},
    });
  }
});

Deno.test("1.0.0 has no IP version and no MTU, 1.1.0 has the MTU", () => {
  const middle = toVersionedResult(result, "1.0.0");
  assert.deepEqual(middle["ips"], [{
    address: "10.0.0.5/26",
    gateway: "10.0.0.1",
    interface: 1,
  }]);
  assert.ok(!JSON.stringify(middle).includes("mtu"));
  const newest = toVersionedResult(result, "1.1.0");
  assert.deepEqual(newest["interfaces"], result.interfaces);
  assert.deepEqual(newest["routes"], result.routes);
});

Deno.test("An IPv6 address tells version 6", () => {
  const six = { ...result, ips: [{ address: "fd00::5/64" }] };
  assert.deepEqual(toVersionedResult(six, "0.4.0")["ips"], [{
    version: "6",
    address: "fd00::5/64",
  }]);
});

Deno.test("A previous result comes first and the own addresses point behind it", () => {
  const previous: CniResult = {
    interfaces: [{ name: "a" }, { name: "b" }],
    ips: [{ address: "192.0.2.1/24", interface: 1 }, { address: "192.0.2.2/24" }],
    routes: [{ dst: "192.0.2.0/24" }],
    dns: { nameservers: ["192.0.2.53"] },
  };
  const merged = mergeResults(previous, result);
  assert.deepEqual(merged.interfaces.map((item) => item.name), ["a", "b", "pr2abc", "eth0"]);
  assert.deepEqual(merged.ips.map((ip) => ip.interface), [1, undefined, 3]);
  assert.equal(merged.routes.length, 2);
  assert.deepEqual(merged.dns, previous.dns);
  assert.deepEqual(mergeResults(undefined, result), result);
});
