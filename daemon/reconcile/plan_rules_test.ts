import assert from "node:assert/strict";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { planRules, type RuleDomain, type RuleInput } from "./plan_rules.ts";

const mask = 0xffff3fff;
const tenant: RuleDomain = {
  name: "tenant-a",
  vrf: 200,
  table: 2200,
  mark: 200,
  egress: "nat",
  prefixes: [parsePrefix("10.150.0.0/16")],
  blocks: ["10.150.0.0/26"],
};

function rules(domain: Partial<RuleDomain> = {}, input: Partial<RuleInput> = {}) {
  return planRules({
    domains: [{ ...tenant, ...domain }],
    policies: [],
    serviceVrfMax: 512,
    markMask: mask,
    outward: ["eth0", "eth1"],
    ...input,
  });
}

Deno.test("flows find back by their mark, pods use their own table, and the node reaches its own pods", () => {
  assert.deepEqual(rules(), [
    { priority: 900, table: 254, fwmark: mask, fwmask: mask },
    { priority: 900, table: 2200, fwmark: 200, fwmask: mask },
    { priority: 910, table: 2200, fromVrf: 200, noDefault: true },
    { priority: 32000, table: 2200, iifname: "lo", dst: "10.150.0.0/26" },
  ]);
});

Deno.test("a service VRF's prefix is looked up for everyone, before any VRF's default route", () => {
  const service = rules({ table: 511 }).filter(({ dst }) => dst === "10.150.0.0/16");
  assert.deepEqual(service, [{ priority: 920, table: 511, dst: "10.150.0.0/16" }]);
  assert.deepEqual(rules({ table: 512 }).filter(({ priority }) => priority === 920), []);
});

Deno.test("a VRF without egress ends before the host's table, after the policies that may lead elsewhere", () => {
  const end = rules({ egress: "none" }).filter(({ action }) => action === "unreachable");
  assert.deepEqual(end, [{ priority: 13000, table: 0, action: "unreachable", fromVrf: 200 }]);
});

Deno.test("pods that are known outside by their own address are reached from there, by the links that lead out alone", () => {
  const blocks = rules({ egress: "routed" }).filter(({ priority }) => priority === 32000);
  assert.deepEqual(blocks.map(({ iifname }) => iifname), ["lo", "eth0", "eth1"]);
});

Deno.test("a policy's matches become rules at 11000, but never one that matches everything", () => {
  const policies = [
    { name: "a", domain: "tenant-a", match: [{ dst: "10.0.0.0/8", iifname: "lo" }, {}] },
    { name: "b", domain: "someone-else", match: [{ dst: "10.0.0.0/8" }] },
  ];
  assert.deepEqual(
    rules({}, { policies }).filter(({ priority }) => priority === 11000),
    [{ policy: "a", priority: 11000, table: 2200, dst: "10.0.0.0/8", iifname: "lo" }],
  );
});

Deno.test("without VRFs there is no rule", () => {
  assert.deepEqual(rules({}, { domains: [] }), []);
});

Deno.test("rules are made in each IP version of their domain, and in no other", () => {
  const prefixes = ["10.150.0.0/16", "fd00:150::/48"].map(parsePrefix);
  const six = planRules({
    domains: [
      { ...tenant, prefixes, egress: "none", blocks: ["10.150.0.0/26", "fd00:150::/64"] },
      { ...tenant, name: "other", vrf: 300, mark: 300, table: 2300, blocks: [] },
    ],
    policies: [{
      name: "a",
      domain: "tenant-a",
      match: [{ iifname: "eth1" }, { dst: "fd00:9::/64" }],
    }],
    serviceVrfMax: 512,
    markMask: mask,
    outward: ["eth0", "eth1"],
  }).filter(({ family, dst }) => family === 6 || dst?.includes(":") === true);
  assert.deepEqual(six, [
    { family: 6, priority: 900, table: 254, fwmark: mask, fwmask: mask },
    { family: 6, priority: 900, table: 2200, fwmark: 200, fwmask: mask },
    { family: 6, priority: 910, table: 2200, fromVrf: 200, noDefault: true },
    { family: 6, policy: "a", priority: 11000, table: 2200, iifname: "eth1" },
    { policy: "a", priority: 11000, table: 2200, dst: "fd00:9::/64" },
    { family: 6, priority: 13000, table: 0, action: "unreachable", fromVrf: 200 },
    { priority: 32000, table: 2200, iifname: "lo", dst: "fd00:150::/64" },
  ]);
});
