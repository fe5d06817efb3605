import assert from "node:assert/strict";
import { CniError } from "../../lib/cni/errors.ts";
import { parsePodAnnotations } from "./pod_annotations.ts";

/** Parses one annotation of ours. */
function parse(name: string, value: string) {
  return parsePodAnnotations({
    "example.org/ips": "no address",
    [`cni.pyroute2.org/${name}`]: value,
  });
}

function refusal(name: string, value: string): CniError {
  try {
    parse(name, value);
  } catch (thrown) {
    if (thrown instanceof CniError) return thrown;
    throw thrown;
  }
  throw new assert.AssertionError({
    message: `Expected a refusal of ${name}=${value.slice(0, 80)}`,
  });
}

Deno.test("annotations that cannot be used are refused with their name and what was found", async (t) => {
  const cases: [string, string, RegExp][] = [
    ["ips", "", /found ""/],
    ["ips", " ", /found/],
    ["ips", "web-0", /an address such as .*found "web-0"/],
    ["ips", "10.150.0", /found "10\.150\.0"/],
    ["ips", "10.150.0.256", /found/],
    ["ips", "010.150.0.7", /found/],
    ["ips", "10.150.0.7/33", /found "10\.150\.0\.7\/33"/],
    ["ips", "10.150.0.7/", /found/],
    ["ips", "10.150.0.7/26/26", /found/],
    ["ips", "fd00::1/129", /found/],
    ["ips", "fe80::1%eth0", /found/],
    ["ips", "10.150.0.7,", /found ""/],
    ["ips", "10.150.0.7,10.150.0.8", /one address of each family/],
    ["ips", '["fd00::1","fd00::2"]', /one address of each family/],
    ["ips", "[", /JSON array/],
    ["ips", '["10.150.0.7"', /JSON array/],
    ["ips", "[]", /an address, found none/],
    ["ips", "[7]", /JSON array of texts/],
    ["ips", '[["10.150.0.7"]]', /JSON array of texts/],
    ["ips", '{"eth0":"10.150.0.7"}', /found/],
    ["ips", "1".repeat(300_000), /at most 256 characters.*found 300000/],
    ["ips", `[${'"10.150.0.7",'.repeat(30)}"10.150.0.7"]`, /at most 256 characters/],
    ["mac", "", /MAC address/],
    ["mac", "02-00-00-00-00-01", /MAC address/],
    ["mac", "02:00:00:00:00", /MAC address/],
    ["mac", "00:00:00:00:00:00", /nobody's/],
    ["mac", "ff:ff:ff:ff:ff:ff", /a group's/],
    ["mac", "01:00:5e:00:00:01", /a group's/],
    ["mac", "x".repeat(300_000), /found "x{64}…"/],
    ["domain", "", /name of a VRFDomain/],
    ["domain", "d".repeat(300_000), /name of a VRFDomain/],
    ["keep-address", "yes", /"true", "on-node" or "false", found "yes"/],
    ["keep-address", "", /found ""/],
    ["ip", "10.150.0.7", /found "cni\.pyroute2\.org\/ip"/],
    ["IPs", "10.150.0.7", /under "cni\.pyroute2\.org\/"/],
    ["toString", "x", /found "cni\.pyroute2\.org\/toString"/],
    ["__proto__", "x", /found "cni\.pyroute2\.org\/__proto__"/],
    ["", "x", /found "cni\.pyroute2\.org\/"/],
  ];
  for (const [name, value, message] of cases) {
    await t.step(`${name}: ${value.slice(0, 40)}`, () => {
      const error = refusal(name, value);
      assert.equal(error.cniCode, 7);
      assert.match(error.message, message);
      assert.ok(error.message.includes(`cni.pyroute2.org/${name}`), error.message);
      assert.ok(error.message.length < 500, `${error.message.length} characters`);
    });
  }
});

Deno.test("a pod without annotations of ours wishes for nothing, whatever others have written", () => {
  for (
    const annotations of [{}, { "k8s.v1.cni.cncf.io/networks": "[", "x.cni.pyroute2.org/ips": "" }]
  ) {
    assert.deepEqual(parsePodAnnotations(annotations), { addresses: [] });
  }
});

Deno.test("addresses come as a list with commas or as JSON, with or without a length", () => {
  const both = [{ address: "10.150.0.7", prefixLength: 26 }, { address: "fd00::7" }];
  assert.deepEqual(parse("ips", " 10.150.0.7/26 , FD00:0:0::7 ").addresses, both);
  assert.deepEqual(parse("ips", '["10.150.0.7/26", "fd00::7"]').addresses, both);
});

Deno.test("a MAC is taken in lower case, a domain by its name", () => {
  assert.equal(parse("mac", "02:AB:00:00:00:01").mac, "02:ab:00:00:00:01");
  assert.equal(parse("domain", "tenant-b").domain, "tenant-b");
});

Deno.test("an address is kept strictly, on its node alone, or not", () => {
  assert.equal(parse("keep-address", "true").keep, "strict");
  assert.equal(parse("keep-address", "on-node").keep, "on-node");
  assert.deepEqual(parse("keep-address", "false"), { addresses: [] });
});
