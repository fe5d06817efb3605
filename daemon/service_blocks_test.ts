import assert from "node:assert/strict";
import type { VRFDomain } from "./resources/vrf_domain.ts";
import { servicesInUse } from "./service_blocks.ts";

function domain(vrf: number, table: number, change: Partial<VRFDomain> = {}): VRFDomain {
  return {
    metadata: { name: `vrf-${vrf}` },
    spec: {
      vrf,
      table,
      prefix: "10.0.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: vrf, port: 4789 }],
    },
    ...change,
  };
}

const dns = domain(42, 42);
const tenant = domain(200, 2200);

const options = { serviceVrfMax: 512, asn: 65000 };

Deno.test("a node without pods of others holds no block of a service VRF", () => {
  assert.deepEqual(servicesInUse([dns, tenant], new Map(), options), []);
  assert.deepEqual(servicesInUse([dns, tenant], new Map([[42, 3], [200, 0]]), options), []);
});

Deno.test("a tenant's pod makes its node hold a block of each service VRF, and of no tenant", () => {
  const storage = domain(43, 43);
  const attachments = new Map([[200, 1]]);
  assert.deepEqual(servicesInUse([dns, storage, tenant, domain(300, 2300)], attachments, options), [
    42,
    43,
  ]);
});

Deno.test("service VRFs use each other", () => {
  assert.deepEqual(servicesInUse([dns, domain(43, 43)], new Map([[43, 1]]), options), [42]);
});

Deno.test("a service VRF without overlay, or one that goes, needs no block", () => {
  const bare = domain(43, 43, { spec: { ...dns.spec, vrf: 43, attachments: [] } });
  const going = domain(44, 44, {
    metadata: { name: "vrf-44", deletionTimestamp: "2026-11-24T00:00:00Z" },
  });
  assert.deepEqual(servicesInUse([bare, going], new Map([[200, 1]]), options), []);
});

Deno.test("a domain whose route target is imported by one with pods here is held as a service is", () => {
  const other = domain(300, 2300);
  const importing = domain(200, 2200);
  const spec = { ...importing.spec, routeTargets: { import: ["65000:300"] } };
  const both = [{ ...importing, spec }, other];
  assert.deepEqual(servicesInUse(both, new Map([[200, 1]]), options), [300]);
  assert.deepEqual(servicesInUse(both, new Map([[300, 1]]), options), []);
});
