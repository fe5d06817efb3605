import assert from "node:assert/strict";
import { lostPrefixes } from "./route_changes.ts";

const frrs =
  "10.150.0.64/26 nhid 19 via 192.168.124.12 dev l3br-200 table 2200 proto bgp metric 20 onlink ";
const held =
  "10.150.0.64/26 via 192.168.124.12 dev l3br-200 table 2200 proto bgp metric 20142 onlink ";

Deno.test("a prefix is lost once its last route has been deleted, whatever its metric", () => {
  assert.deepEqual(lostPrefixes([`Deleted ${frrs}`]), ["10.150.0.64/26"]);
  assert.deepEqual(lostPrefixes([`Deleted ${frrs}`, held]), []);
  assert.deepEqual(lostPrefixes([`Deleted ${frrs}`, held, `Deleted ${held}`]), ["10.150.0.64/26"]);
  assert.deepEqual(lostPrefixes([`Deleted ${frrs}`, held, frrs, `Deleted ${held}`]), []);
});

Deno.test("a route without a metric, of another type or of IPv6, is one as well, and other lines are none", () => {
  const blackhole = "blackhole 203.0.113.0/24 table 2200 ";
  assert.deepEqual(lostPrefixes(["started", "", blackhole]), []);
  assert.deepEqual(lostPrefixes([blackhole, `Deleted ${blackhole}`]), ["203.0.113.0/24"]);
  assert.deepEqual(lostPrefixes(["Deleted fd00::/64 dev eth0 metric 256 "]), ["fd00::/64"]);
});
