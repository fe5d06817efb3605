import assert from "node:assert/strict";
import type { VRFRouteTargets } from "../resources/vrf_domain.ts";
import { type ClaimSpec, createRouteTargetClaims } from "./route_target_claims.ts";

interface Wanted {
  readonly l3vni?: number;
  readonly l2vni?: number;
  readonly routeTargets?: VRFRouteTargets;
}

function spec(vrf: number, { l3vni, l2vni, routeTargets }: Wanted = {}): ClaimSpec {
  const attachments = [
    ...l2vni === undefined ? [] : [{ type: "l2vni", vni: l2vni, port: 4789 } as const],
    ...l3vni === undefined && l2vni !== undefined
      ? []
      : [{ type: "l3vni", vni: l3vni ?? vrf + 50_000, port: 4789 } as const],
  ];
  return { vrf, attachments, routeTargets };
}

/** What is said of the second domain beside the first, and of the first beside the second: it must be the same. */
function problemOf(one: ClaimSpec, other: ClaimSpec, asn = 65000): string | undefined {
  const [first, second] = [[one, other], [other, one]].map(([old, young]) => {
    assert.ok(old !== undefined && young !== undefined);
    const claims = createRouteTargetClaims(asn);
    assert.equal(claims.problemOf(old), undefined);
    claims.add("old", old);
    return claims.problemOf(young);
  });
  assert.deepEqual(first?.reason, second?.reason);
  if (first !== undefined) assert.match(first.message, /"old"/);
  return /by the route target "(.*?)"/.exec(first?.message ?? "")?.[1];
}

Deno.test("domains that name no targets never contradict each other", () => {
  assert.equal(problemOf(spec(200), spec(300)), undefined);
  assert.equal(problemOf(spec(200, { l3vni: 300 }), spec(300, { l3vni: 200 })), undefined);
});

Deno.test("a domain must not export what another takes as its own target", () => {
  const exporting = (target: string) => spec(300, { routeTargets: { export: [target] } });
  assert.equal(problemOf(spec(200), exporting("65000:200")), "65000:200");
  assert.equal(problemOf(spec(200), exporting("65001:200")), undefined);
  const named = spec(200, { routeTargets: { import: ["65000:1"], export: ["65000:1"] } });
  assert.equal(problemOf(named, exporting("65000:200")), "65000:200");
});

Deno.test("importing another's target, and sharing one that is nobody's own, is asking for it", () => {
  const importing = spec(300, { routeTargets: { import: ["65000:300", "65000:200"] } });
  assert.equal(problemOf(spec(200), importing), undefined);
  const shared = { routeTargets: { import: ["65000:1"], export: ["65000:1"] } };
  assert.equal(problemOf(spec(200, shared), spec(300, shared)), undefined);
});

Deno.test("a VRF's own target that FRR leaves automatic takes its number from any AS", () => {
  const automatic = spec(42, { l3vni: 42 });
  const exporting = (target: string) => spec(300, { routeTargets: { export: [target] } });
  assert.equal(problemOf(automatic, exporting("64999:42")), "64999:42");
  assert.equal(problemOf(automatic, exporting("192.0.2.1:42")), "192.0.2.1:42");
  assert.equal(problemOf(automatic, exporting("64999:43")), undefined);
  const named = { l3vni: 42, routeTargets: { import: ["65000:42", "65000:7"] } };
  assert.equal(problemOf(spec(42, named), exporting("64999:42")), undefined);
});

Deno.test("an l2vni's number is a target too: another VRF of that number would learn its hosts", () => {
  assert.equal(problemOf(spec(300), spec(200, { l2vni: 300 })), "65000:300");
  assert.equal(problemOf(spec(300), spec(200, { l2vni: 301 })), undefined);
  assert.equal(problemOf(spec(300), spec(300, { l2vni: 301 })), undefined);
});

Deno.test("beside a long AS number a VRF beyond 16 bits has no target of its own", () => {
  const claims = createRouteTargetClaims(4_200_000_000);
  assert.equal(claims.problemOf(spec(65_535)), undefined);
  assert.equal(claims.problemOf(spec(65_536))?.reason, "RouteTargetMissing");
  const both = { import: ["65000:1"], export: ["65000:1"] };
  assert.equal(
    claims.problemOf(spec(65_536, { routeTargets: both }))?.reason,
    "RouteTargetMissing",
  );
  assert.equal(claims.problemOf(spec(65_536, { l2vni: 7 })), undefined);
});
