import assert from "node:assert/strict";
import { domainReports } from "./domain_report.ts";
import { reportCramped, unsupported } from "./reported_limits.ts";
import { makeRun } from "./testing/make_run.ts";

Deno.test("a stretched subnet is refused where tunnels run over IPv6, and IPv4 ones are not", () => {
  const { plan } = makeRun();
  assert.deepEqual(unsupported(plan), new Map());
  const [first, ...others] = plan.vrfs;
  assert.ok(first);
  const overlays = first.overlays.map((overlay) => ({ ...overlay, local: "fd00:124::11" }));
  const found = unsupported({ ...plan, vrfs: [{ ...first, overlays }, ...others] });
  assert.deepEqual([...found.keys()], [first.vrf]);
  assert.equal(found.get(first.vrf)?.reason, "UnderlayUnsupported");
});

Deno.test("a domain that asks for too large an MTU says what it has got", () => {
  const state = makeRun();
  const plan = { ...state.plan, cramped: [{ vrf: 300, wanted: 8950, given: 1450 }] };
  reportCramped({ ...state, plan });
  const [first, second] = domainReports(state, new Set());
  assert.deepEqual([first?.phase, first?.mtu], ["Ready", 1450]);
  assert.deepEqual([second?.phase, second?.reason], ["Failed", "MTUTooLarge"]);
  assert.match(second?.message ?? "", /MTU 8950 .* "eth0", found it with 1500: 1450 is used/);
});
