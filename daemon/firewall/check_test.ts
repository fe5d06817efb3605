import assert from "node:assert/strict";
import { hostileTexts } from "../../tests/fuzz/hostile_texts.ts";
import { renderFirewall, renderVrfFirewall, type VrfFirewallModel } from "./render.ts";
import { FirewallModelError } from "./check.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";
import { defaultMarkMask } from "./marks.ts";

const vrf: FirewallVrf = {
  mark: 200,
  ingress: ["l3br-200"],
  prefixes: ["10.150.0.0/16", "fd00:150::/48"],
  blocks: ["10.150.0.0/26"],
  neighbors: ["10.150.0.0/26"],
  egress: "nat",
};
const model: FirewallModel = { outward: ["eth0"], markMask: defaultMarkMask, vrfs: [vrf] };
const own: VrfFirewallModel = {
  hostLink: "host0",
  hostPrefixes: ["169.254.0.0/16"],
  gateways: ["10.150.0.1"],
};

function refuses(act: () => unknown, path: string, value: unknown): void {
  assert.throws(act, (thrown) => {
    assert.ok(thrown instanceof FirewallModelError, `${JSON.stringify(value)} at ${path}`);
    assert.ok(thrown.message.startsWith(`${path}: `), thrown.message);
    return true;
  }, `${JSON.stringify(value)} at ${path}`);
}

Deno.test("no text of a model is a set, a wildcard or anything else to nft", () => {
  for (const text of hostileTexts) {
    for (const list of ["prefixes", "blocks", "neighbors"] as const) {
      const change = { ...model, vrfs: [{ ...vrf, [list]: [text] }] };
      refuses(() => renderFirewall(change), `vrfs[0].${list}[0]`, text);
    }
    refuses(
      () => renderVrfFirewall({ ...own, hostPrefixes: [text] }),
      "hostPrefixes[0]",
      text,
    );
    if (!text.startsWith("::ffff:")) {
      refuses(() => renderVrfFirewall({ ...own, gateways: [text] }), "gateways[0]", text);
    }
  }
  const long = "x".repeat(16);
  for (const name of ["@set", "eth*", 'x"', "x\\", "a b", "a/b", "..", "x\n", "", "\ud800", long]) {
    refuses(() => renderFirewall({ ...model, outward: [name] }), "outward[0]", name);
    const change = { ...model, vrfs: [{ ...vrf, ingress: [name] }] };
    refuses(() => renderFirewall(change), "vrfs[0].ingress[0]", name);
    refuses(() => renderVrfFirewall({ ...own, hostLink: name }), "hostLink", name);
  }
});

Deno.test("absurd numbers are no marks", () => {
  for (const value of [NaN, Infinity, 1e308, -0, 0, -1, 0.5, 2 ** 32, 2 ** 53 + 1]) {
    refuses(() => renderFirewall({ ...model, markMask: value }), "markMask", value);
    const change = { ...model, vrfs: [{ ...vrf, mark: value }] };
    refuses(() => renderFirewall(change), "vrfs[0].mark", value);
  }
});

Deno.test("links may have the names that administrators give them", () => {
  for (const name of ["eth0", "bond0.100", "br-lan", "wlan_1", "ens3f0np0", "brücke", "a"]) {
    renderFirewall({ ...model, outward: [name] });
  }
});
