import assert from "node:assert/strict";
import { CniError } from "../../lib/cni/errors.ts";
import type { Attachment, PoolDomain, PoolRange } from "../ipam/port.ts";
import { checkDistinct, hasDefaultRoute, routesOf } from "./pod_routes.ts";
import { callOf, domain, FakePool, fixture } from "./testing/fakes.ts";

const signal = new AbortController().signal;

function range(prefix: string, blockLength = 24): PoolRange {
  return { prefix, blockLength, addressLength: blockLength };
}

/** A row of the container in a domain. */
function rowIn(pool: FakePool, of: PoolDomain, ifname: string): Promise<Attachment> {
  const owner = { network: ifname, containerId: "c1", ifname, namespace: "", pod: "", podUid: "" };
  return pool.reserve(of, { ...owner, netnsPath: "" }, signal);
}

Deno.test("interfaces of a container in domains that share addresses are refused", async () => {
  const four = { ...domain, ranges: [range("10.150.0.0/16")] };
  const red = (...ranges: PoolRange[]) => ({ name: "red", vrf: 300, ranges });
  const far = range("10.160.0.0/16");
  const shared4 = /"net1".*"eth0" in "blue" with "10\.150\.0\.0\/16"/;
  const cases: [string, PoolDomain, PoolDomain, RegExp?][] = [
    ["the same domain", domain, domain, shared4],
    ["the same prefix", domain, { ...domain, name: "red", vrf: 300 }, shared4],
    ["a wider prefix", domain, red(range("10.0.0.0/8")), shared4],
    ["a part of it", domain, red(range("10.150.128.0/24")), shared4],
    ["another prefix", domain, red(far)],
    ["another IP version", four, red(range("fd00:150::/48", 64))],
    ["the same IPv6 prefix", domain, red(far, range("fd00:150::/48", 64)), /"fd00:150::\/48"/],
    ["another IPv6 prefix", domain, red(far, range("fd00:160::/48", 64))],
  ];
  for (const [name, first, second, refusal] of cases) {
    const { pool } = fixture();
    const domains = [first, second];
    const deps = {
      pool,
      domainNamed: (name: string) => domains.find((each) => each.name === name),
    };
    await rowIn(pool, first, "eth0");
    const check = async () => checkDistinct(deps, await rowIn(pool, second, "net1"), second);
    if (refusal === undefined) await check();
    else {
      await assert.rejects(check, (thrown) => {
        assert.ok(thrown instanceof CniError, name);
        assert.equal(thrown.cniCode, 7);
        assert.match(thrown.message, refusal);
        return true;
      });
    }
  }
});

Deno.test("a domain that is gone is known by the block that the interface is in", async () => {
  const { pool } = fixture();
  await rowIn(pool, domain, "eth0");
  const second = { ...domain, name: "red", vrf: 300 };
  const row = await rowIn(pool, second, "net1");
  assert.throws(() => checkDistinct({ pool, domainNamed: () => undefined }, row, second), CniError);
});

Deno.test("another container's interfaces and the attachment itself do not count", async () => {
  const { pool, deps } = fixture();
  const owner = { network: "n", ifname: "eth0", namespace: "", pod: "", podUid: "", netnsPath: "" };
  await pool.reserve(domain, { ...owner, containerId: "c2" }, signal);
  checkDistinct(deps, await pool.reserve(domain, { ...owner, containerId: "c1" }, signal), domain);
});

Deno.test("the first interface has the default route, others reach their domain, unless asked otherwise", async () => {
  const { log, pool } = fixture();
  const call = callOf("ADD", log);
  const second = { ...call, args: { ...call.args, ifname: "net1" } };
  const asked = (isDefaultGateway: boolean) => ({ ips: {}, macs: {}, isDefaultGateway });
  assert.equal(hasDefaultRoute(call), true);
  assert.equal(hasDefaultRoute(second), false);
  assert.equal(hasDefaultRoute({ ...call, wishes: asked(false) }), false);
  assert.equal(hasDefaultRoute({ ...second, wishes: asked(true) }), true);
  const row = await rowIn(pool, domain, "net1");
  const routes = (of: Attachment, all: boolean) =>
    routesOf(of, domain, all).map(({ destination, gateway }) => `${destination} ${gateway}`);
  const gateways = ["10.150.0.1", "fd00:150::1"];
  assert.deepEqual(routes(row, true), [`0.0.0.0/0 ${gateways[0]}`, `::/0 ${gateways[1]}`]);
  const prefixes = [`10.150.0.0/16 ${gateways[0]}`, `fd00:150::/48 ${gateways[1]}`];
  assert.deepEqual(routes(row, false), prefixes);
  // Attached before the domain had IPv6.
  const old = { ...row, allocations: row.allocations.slice(0, 1) };
  assert.deepEqual(routes(old, false), prefixes.slice(0, 1));
  // Of a stretched subnet all is on the link.
  const [allocation] = row.allocations;
  assert.ok(allocation);
  const stretched = { ...row, allocations: [{ ...allocation, prefixLength: 16 }] };
  assert.deepEqual(routes(stretched, false), []);
});
