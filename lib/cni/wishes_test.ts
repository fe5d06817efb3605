import assert from "node:assert/strict";
import { CniError } from "./errors.ts";
import { parseNetworkWishes } from "./wishes.ts";

const nothing = { ips: {}, macs: {} };

Deno.test("Wishes of wrong types are refused with code 7 and told in the details", () => {
  const cases: [unknown, RegExp][] = [
    [{ domain: 7 }, /domain/],
    [{ domain: "" }, /domain/],
    [{ domain: "d".repeat(254) }, /domain/],
    [{ isDefaultGateway: "yes" }, /isDefaultGateway/],
    [{ runtimeConfig: [] }, /runtimeConfig/],
    [{ runtimeConfig: { ips: "10.0.0.1" } }, /runtimeConfig\.ips/],
    [{ runtimeConfig: { ips: [1] } }, /ips\[0\]/],
    [{ runtimeConfig: { mac: 1 } }, /runtimeConfig\.mac/],
    [{ runtimeConfig: { "io.kubernetes.cri.pod-annotations": { a: 1 } } }, /pod-annotations/],
    [{ args: { cni: { ips: {} } } }, /args\.cni\.ips/],
    ["text", /object/],
  ];
  for (const [config, details] of cases) {
    assert.throws(() => parseNetworkWishes(config), (thrown) => {
      assert.ok(thrown instanceof CniError);
      assert.equal(thrown.cniCode, 7);
      assert.match(thrown.details ?? "", details);
      return true;
    });
  }
});

Deno.test("What is null or empty is no wish, and keys of others are passed over", () => {
  const configs = [
    {},
    { runtimeConfig: null, args: null },
    { runtimeConfig: { ips: null, mac: "", portMappings: [] }, args: { cni: null, labels: [] } },
    { runtimeConfig: { ips: [], mac: null }, args: { cni: { ips: [], mac: "" } }, mtu: 9000 },
  ];
  for (const config of configs) assert.deepEqual(parseNetworkWishes(config), nothing);
});

Deno.test("All wishes are read, by the place where they are asked for", () => {
  const annotations = { "cni.pyroute2.org/mac": "02:00:00:00:00:01" };
  const wishes = parseNetworkWishes({
    domain: "tenant-b",
    isDefaultGateway: false,
    runtimeConfig: {
      ips: ["10.0.0.1/24"],
      mac: "02:00:00:00:00:01",
      "io.kubernetes.cri.pod-annotations": annotations,
    },
    args: { cni: { ips: ["10.0.0.1"], mac: "02:00:00:00:00:02" } },
  });
  assert.deepEqual(wishes, {
    domain: "tenant-b",
    isDefaultGateway: false,
    ips: { "runtimeConfig.ips": ["10.0.0.1/24"], "args.cni.ips": ["10.0.0.1"] },
    macs: { "runtimeConfig.mac": "02:00:00:00:00:01", "args.cni.mac": "02:00:00:00:00:02" },
    podAnnotations: annotations,
  });
});
