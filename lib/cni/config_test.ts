import assert from "node:assert/strict";
import fc from "fast-check";
import { parseNetworkConfig } from "./config.ts";
import { CniError } from "./errors.ts";
import { requireCommandVersion, supportedVersions } from "./version.ts";

function code(value: unknown): number {
  try {
    parseNetworkConfig(value);
  } catch (thrown) {
    if (thrown instanceof CniError) return thrown.cniCode;
    throw thrown;
  }
  return 0;
}

const base = { cniVersion: "1.0.0", name: "net", type: "pyroute2-cni-plugin" };

Deno.test("What is no JSON object is refused", () => {
  for (const value of [null, [], 1, "x", undefined]) assert.equal(code(value), 6);
});

Deno.test("A version that is not spoken is refused with code 1, a missing one too", () => {
  for (const cniVersion of ["0.1.0", "0.2.0", "0.3.0", "2.0.0", "", 1, null, undefined]) {
    assert.equal(code({ ...base, cniVersion }), 1);
  }
});

Deno.test("Wrong fields are refused with code 7 and told in the details", () => {
  const wrong = [
    { name: "" },
    { name: "a b" },
    { name: 5 },
    { prevResult: [] },
    { prevResult: { ips: [{ address: "10.0.0.1" }] } },
    { prevResult: { ips: [{ address: "10.0.0.1/24", interface: 0 }] } },
    { prevResult: { interfaces: [{ mac: "x" }] } },
    { "cni.dev/valid-attachments": null },
    { "cni.dev/valid-attachments": [{ containerID: "x" }] },
  ];
  for (const fields of wrong) assert.equal(code({ ...base, ...fields }), 7, JSON.stringify(fields));
});

Deno.test("Keys of others and lists that Go wrote as null are accepted", () => {
  const config = parseNetworkConfig({
    ...base,
    capabilities: { x: true },
    prevResult: { cniVersion: "1.0.0", interfaces: null, ips: [{ address: "fd00::1/64" }] },
  });
  assert.equal(config.cniVersion, "1.0.0");
  assert.deepEqual(config.prevResult?.interfaces, []);
  assert.equal(config.prevResult?.ips[0]?.address, "fd00::1/64");
});

Deno.test("Valid attachments are read", () => {
  const config = parseNetworkConfig({
    ...base,
    "cni.dev/valid-attachments": [{ containerID: "a", ifname: "eth0" }],
  });
  assert.deepEqual(config.validAttachments, [{ containerId: "a", ifname: "eth0" }]);
});

Deno.test("A command is refused in versions that do not know it", () => {
  const since = { CHECK: 1, GC: 3, STATUS: 3, ADD: 0, DEL: 0 };
  for (const [command, first] of Object.entries(since)) {
    for (const [at, version] of supportedVersions.entries()) {
      if (at >= first) requireCommandVersion(command, version);
      else assert.throws(() => requireCommandVersion(command, version), CniError);
    }
  }
});

Deno.test("Any JSON gives a configuration or a CNI error, never another one", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assert.ok([0, 1, 6, 7].includes(code(value)));
    if (typeof value === "object" && value !== null) {
      assert.ok([0, 1, 6, 7].includes(code({ ...base, prevResult: value })));
    }
  }));
});
