import assert from "node:assert/strict";
import { followAttachments } from "./attachment_follower.ts";
import type { PoolDomain } from "./ipam/port.ts";
import type { VRFDomain } from "./resources/vrf_domain.ts";

function domain(name: string, vrf: number, table: number, deleting = false): VRFDomain {
  return {
    metadata: { name, ...deleting ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {} },
    spec: {
      vrf,
      table,
      prefix: `10.${vrf}.0.0`,
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: vrf, port: 4789 }],
    },
  };
}

/** A follower whose pool counts how often it is asked; the domain with VRF 100 is a service VRF. */
function bench(accepted: readonly VRFDomain[], options: { readonly synced?: boolean } = {}) {
  const stop = new AbortController();
  const told = Promise.withResolvers<ReadonlyMap<number, number>>();
  const seen = { counts: 0, held: [] as string[], left: 0 };
  const pools: readonly PoolDomain[] = accepted.map(({ metadata, spec }) => ({
    name: metadata.name,
    vrf: spec.vrf,
    ranges: [],
  }));
  const follower = followAttachments({
    pool: {
      countByVrf: () => {
        seen.counts++;
        return new Map([[200, 3]]);
      },
      hold: ({ name }) => seen.held.push(name),
    },
    domains: { acceptance: () => ({ accepted, refused: [] }), pools: () => pools },
    serviceVrfMax: 512,
    asn: 65000,
    synced: () => options.synced ?? true,
    metrics: { setAttachments: told.resolve },
    left: () => seen.left++,
    signal: stop.signal,
  });
  return { follower, seen, told: told.promise, stop };
}

const blue = domain("blue", 200, 2200);
const services = domain("services", 100, 100);

Deno.test("Before the domains are known no block is held for anybody", () => {
  const { follower, seen } = bench([services, blue], { synced: false });
  follower.holdServiceBlocks();
  assert.deepEqual(seen.held, []);
});

Deno.test("Blocks are held in the service VRFs that pods of other VRFs may use, and in no other", () => {
  const { follower, seen } = bench([services, blue]);
  follower.holdServiceBlocks();
  assert.deepEqual(seen.held, ["services"]);
});

Deno.test("A hundred changes at once are counted together, and not while the command waits", async () => {
  const { follower, seen, told } = bench([services, blue]);
  for (let change = 0; change < 100; change++) follower.changed();
  assert.equal(seen.counts, 0);
  assert.deepEqual(await told, new Map([[200, 3]]));
  assert.ok(seen.counts <= 2, "once for the metric, once for the blocks");
});

Deno.test("What the last attachment of a domain that goes leaves is told at once", () => {
  const { follower, seen, stop } = bench([domain("red", 300, 2300, true)]);
  follower.changed();
  stop.abort();
  assert.equal(seen.left, 1);
});
