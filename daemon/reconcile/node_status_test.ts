import assert from "node:assert/strict";
import { findCondition } from "../resources/conditions.ts";
import type { VRFNodeStateStatus } from "../resources/vrf_node_state.ts";
import type { DomainReport } from "./domain_report.ts";
import type { NodeReport } from "./node_reconciler.ts";
import { type NodeStatusInput, renderNodeStatus } from "./node_status.ts";

const report: NodeReport = {
  domains: [200, 300].map((vrf): DomainReport => ({
    name: `t${vrf}`,
    uid: "u",
    generation: 1,
    vrf,
    phase: vrf === 200 ? "Ready" : "Failed",
    reason: vrf === 200 ? "Applied" : "VrfFailed",
    message: "",
  })),
  policies: [],
  frr: undefined,
  problems: [],
  underlay: undefined,
};

function render(change: Partial<NodeStatusInput> = {}): VRFNodeStateStatus {
  return renderNodeStatus({
    report,
    notReady: [],
    blocks: 1,
    poolProblems: [],
    before: [],
    now: new Date("2026-01-01T00:00:00Z"),
    ...change,
  });
}

Deno.test("a domain without addresses stays applied and says so, as does the node", () => {
  const exhausted = { code: "BlocksExhausted", message: "none is left" };
  const poolProblems = [{ ...exhausted, vrf: 200 }, { ...exhausted, vrf: 300 }];
  const { domains, conditions } = render({ poolProblems });
  assert.deepEqual(domains.map(({ phase, reason, message }) => `${phase} ${reason} ${message}`), [
    "Ready BlocksExhausted none is left",
    "Failed VrfFailed ",
  ]);
  const healthy = findCondition(conditions, "AddressesHealthy");
  assert.deepEqual(
    [healthy?.status, healthy?.reason, healthy?.message],
    ["False", "BlocksExhausted", "VRF 200: none is left; VRF 300: none is left"],
  );
});

Deno.test("a claim that is repeated by itself is no condition of the node", () => {
  const { domains, conditions } = render({
    poolProblems: [{ vrf: 200, code: "ClaimFailed", message: "the API is away" }],
  });
  assert.equal(domains[0]?.reason, "Applied");
  assert.equal(findCondition(conditions, "AddressesHealthy")?.status, "True");
});

Deno.test("a condition keeps the time of its last change while its status does", () => {
  const first = render({ poolProblems: [] });
  const later = render({ before: first.conditions, now: new Date("2026-01-02T00:00:00Z") });
  assert.deepEqual(later, first);
  const troubled = render({
    before: first.conditions,
    now: new Date("2026-01-02T00:00:00Z"),
    poolProblems: [{ vrf: 200, code: "BlockOverlap", message: "not unique" }],
  });
  const times = troubled.conditions.map(({ type, lastTransitionTime }) => [
    type,
    lastTransitionTime.slice(0, 10),
  ]);
  assert.deepEqual(Object.fromEntries(times), {
    Ready: "2026-01-01",
    FRRAvailable: "2026-01-01",
    Reconciled: "2026-01-01",
    AddressesHealthy: "2026-01-02",
  });
});

Deno.test("of a peer that is shut down stands why, of another one what FRR says", () => {
  const peer = { state: "Idle", established: false, prefixesReceived: 0, lastError: "Admin" };
  const peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((address) => ({ ...peer, address }));
  const frr = { ready: true, epoch: "1", vrfs: [], vnis: [], peers };
  const overLimit = [
    { address: "192.0.2.2", shut: true, message: "too many" },
    { address: "192.0.2.3", shut: false, message: "many" },
  ];
  const status = render({ report: { ...report, frr, overLimit } });
  assert.deepEqual(status.peers.map(({ lastError }) => lastError), ["Admin", "too many", "Admin"]);
});
