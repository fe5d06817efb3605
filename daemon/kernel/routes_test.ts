import assert from "node:assert/strict";
import { AddressError } from "../../lib/net/address.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import type { Route } from "../../lib/netlink/rtnl/route.ts";
import { diffRoutes, type OwnRoute, unreachableMetric, unreachablePrefixes } from "./routes.ts";

const found = (route: Partial<Route>): Route => ({
  family: 4,
  table: 2200,
  type: "unicast",
  protocol: 142,
  scope: 0,
  onlink: false,
  flags: 0,
  ...route,
});
const block: OwnRoute = {
  table: 2200,
  dst: parsePrefix("10.150.0.0/26"),
  gateway: "169.254.2.1",
  oif: 7,
};

Deno.test("a prefix that is none is refused", () => {
  assert.throws(() => unreachablePrefixes({ prefixes: ["10.150.0.0"] }, 2200), AddressError);
});

Deno.test("routes as the kernel tells them are recognised", () => {
  const { missing, surplus } = diffRoutes(
    [
      block,
      ...unreachablePrefixes({ prefixes: ["10.150.0.0/16", "fd00::/48"] }, 2200),
      { table: 254, family: 4, gateway: "169.254.2.0", oif: 3 },
    ],
    [
      found({ dst: parsePrefix("10.150.0.0/26"), gateway: "169.254.2.1", oif: 7 }),
      found({ dst: parsePrefix("10.150.0.0/16"), type: "unreachable", metric: unreachableMetric }),
      found({ table: 254, gateway: "169.254.2.0", oif: 3 }),
      // IPv6 ties such a route to the loopback link.
      found({
        family: 6,
        dst: parsePrefix("fd00::/48"),
        type: "unreachable",
        metric: unreachableMetric,
        oif: 1,
      }),
    ],
  );
  assert.deepEqual([missing, surplus], [[], []]);
});

Deno.test("a route that differs in anything is replaced", () => {
  for (const change of [{ table: 99 }, { gateway: "169.254.2.3" }, { oif: 8 }, { metric: 5 }]) {
    const other = found({ dst: block.dst, gateway: "169.254.2.1", oif: 7, ...change });
    assert.deepEqual(diffRoutes([block], [other]), { missing: [block], surplus: [other] });
  }
});

Deno.test("a default route of one IP version is not taken for the other's", () => {
  const six = found({ family: 6, table: 254, oif: 3 });
  const four: OwnRoute = { table: 254, family: 4, oif: 3 };
  assert.deepEqual(diffRoutes([four], [six]), { missing: [four], surplus: [six] });
});
