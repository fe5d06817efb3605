import assert from "node:assert/strict";
import { renderFirewall, renderVrfFirewall } from "./render.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";
import type { NftTransaction } from "./nft_json.ts";
import { readStanding, replacing, stepsTo } from "./nft_transactions.ts";
import { defaultMarkMask } from "./marks.ts";

function model(...vrfs: FirewallVrf[]): FirewallModel {
  return { outward: ["eth0"], markMask: defaultMarkMask, vrfs };
}

function vrf(mark: number, change: Partial<FirewallVrf> = {}): FirewallVrf {
  return {
    mark,
    ingress: [`l3br-${mark}`],
    prefixes: ["10.150.0.0/16"],
    blocks: ["10.150.0.0/26"],
    neighbors: [`10.150.${mark % 256}.0/26`],
    egress: "nat",
    ...change,
  };
}

/** What a set or map of the table holds. */
function elements(of: FirewallModel, name: string): readonly unknown[] | undefined {
  return renderFirewall(of).sets.find((set) => set.name === name)?.elements;
}

/** One command a line. */
async function golden(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`./goldens/${name}.jsonl`, import.meta.url));
}

const lines = (...transactions: readonly NftTransaction[]) =>
  transactions.flatMap(({ nftables }) => nftables)
    .map((command) => `${JSON.stringify(command)}\n`).join("");

Deno.test("the transactions are those of the goldens", async () => {
  const dual = vrf(200, {
    prefixes: ["10.150.0.0/16", "fd00:150::/48"],
    blocks: ["10.150.0.0/26", "fd00:150:0:7::/64"],
    neighbors: ["10.150.0.0/26", "fd00:150:0:7::/64"],
  });
  const closed = vrf(300, { blocks: ["10.150.0.64/26"], egress: "none" });
  const routed = vrf(400, {
    prefixes: ["10.160.0.0/16"],
    blocks: [],
    neighbors: [],
    egress: "routed",
  });
  const content = renderFirewall(model(dual, closed, routed));
  const { prepare, commit } = stepsTo(content, readStanding(undefined), undefined);
  assert.ok(prepare);
  assert.equal(lines(prepare, commit), await golden("host"));
  const namespace = {
    hostLink: "host",
    hostPrefixes: ["169.254.0.0/16", "fd26:492c:1670::/64"],
    gateways: ["10.150.0.1", "fd00:150:0:7::1"],
  };
  assert.equal(lines(replacing(renderVrfFirewall(namespace))), await golden("vrf_namespace"));
});

Deno.test("a hundred VRFs have as many rules as one", () => {
  const rules = (count: number) => {
    const vrfs = Array.from({ length: count }, (_, index) => vrf(200 + index));
    const { chains } = renderFirewall(model(...vrfs));
    return chains((set) => set).flatMap(({ rules }) => rules).length;
  };
  assert.equal(rules(1), rules(100));
});

Deno.test("the transaction depends on no order", () => {
  const [one, other] = [[vrf(200), vrf(300)], [vrf(300), vrf(200)]].map((vrfs) => {
    const { sets, chains } = renderFirewall(model(...vrfs));
    return { sets, chains: chains((set) => set) };
  });
  assert.deepEqual(one, other);
});

Deno.test("only VRFs with NAT are masqueraded outside, and only those without egress are closed", () => {
  const all = model(
    vrf(200),
    vrf(300, { egress: "routed" }),
    vrf(400, { egress: "none" }),
  );
  assert.deepEqual(elements(all, "natted"), [200]);
  assert.deepEqual(elements(all, "closed"), [400]);
  assert.deepEqual(elements(all, "marks"), [200, 300, 400]);
  assert.deepEqual(elements(all, "origins"), [200, 300, 400, defaultMarkMask]);
});

Deno.test("prefixes inside others of the same VRF are no elements of their own; those of other VRFs are", () => {
  const nested = vrf(200, { prefixes: ["10.150.0.0/16", "10.150.3.0/26", "10.150.0.0/16"] });
  const prefix = { prefix: { addr: "10.150.0.0", len: 16 } };
  assert.deepEqual(elements(model(nested, vrf(300)), "inside"), [
    { concat: [200, prefix] },
    { concat: [300, prefix] },
  ]);
});

Deno.test("a block that two VRFs have on one node leads to one of them", () => {
  const both = model(vrf(200), vrf(300, { blocks: ["10.150.0.0/26", "10.150.0.64/26"] }));
  assert.deepEqual(elements(both, "blocks"), [
    [{ prefix: { addr: "10.150.0.0", len: 26 } }, 200],
    [{ prefix: { addr: "10.150.0.64", len: 26 } }, 300],
  ]);
});

Deno.test("without VRFs the table stands with empty sets", () => {
  for (const { elements } of renderFirewall(model()).sets) assert.ok(elements.length <= 1);
  assert.deepEqual(elements(model(), "ingress"), []);
});
