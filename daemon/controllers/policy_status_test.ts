import assert from "node:assert/strict";
import { domain } from "../kube/testing/case_api.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import {
  type NodePolicyState,
  type VRFNodeState,
  vrfNodeStateKind,
} from "../resources/vrf_node_state.ts";
import type { VRFRoutingPolicy, VRFRoutingPolicyStatus } from "../resources/vrf_routing_policy.ts";
import { acceptDomains } from "./domain_resolution.ts";
import { policyShares, policyStatus } from "./policy_status.ts";

const blue = domain("blue", 200);
const policy: VRFRoutingPolicy = {
  metadata: { name: "east", uid: "p", generation: 2 },
  spec: { vrfDomainRef: { name: "blue" }, match: [{ dst: "192.0.2.0/24" }] },
};
const share: NodePolicyState = {
  name: "east",
  uid: "p",
  generation: 2,
  ready: true,
  reason: "Applied",
  message: "",
};

function node(name: string, ...policies: NodePolicyState[]): VRFNodeState {
  return vrfNodeStateKind.schema.parse({ metadata: { name }, status: { policies } });
}

function statusOf(domains: readonly VRFDomain[], ...live: VRFNodeState[]): VRFRoutingPolicyStatus {
  return policyStatus(
    policy,
    acceptDomains(domains, { serviceVrfMax: 512, asn: 65000 }),
    live.map(({ metadata }) => metadata.name),
    policyShares(live),
    new Date("2026-01-01T00:00:00Z"),
  );
}

function told({ conditions, nodes }: VRFRoutingPolicyStatus): string[] {
  return [
    `${nodes?.ready}/${nodes?.total}`,
    ...(conditions ?? []).map(({ type, status, reason, message, observedGeneration }) =>
      `${type} ${status} ${reason} ${observedGeneration} ${message}`
    ),
  ];
}

Deno.test("a policy is ready once each node has its generation, and says which have not, and why", () => {
  assert.deepEqual(told(statusOf([blue], node("n1", share), node("n2", share))), [
    "2/2",
    "Accepted True Accepted 2 ",
    "Ready True Applied 2 ",
  ]);
  const refused = { ...share, ready: false, reason: "RuleRefused", message: "EINVAL" };
  const older = { ...share, generation: 1 };
  const other = { ...share, uid: "earlier object of that name" };
  const live = [node("n1", share), node("n2", older), node("n3", other), node("n4", refused)];
  assert.deepEqual(told(statusOf([blue], ...live)), [
    "1/4",
    "Accepted True Accepted 2 ",
    "Ready False RuleRefused 2 n4: RuleRefused: EINVAL; n2: carries generation 1; " +
    "n3: does not carry it yet",
  ]);
});

Deno.test("without nodes nothing is known of a policy, and one that is refused says so twice", () => {
  assert.deepEqual(told(statusOf([blue])).slice(2), [
    "Ready Unknown NoNodes 2 No node runs the daemon yet",
  ]);
  const [, accepted, ready] = told(statusOf([], node("n1")));
  assert.match(accepted ?? "", /^Accepted False DomainNotFound 2 .*"blue"/);
  assert.match(ready ?? "", /^Ready False Refused 2 .*"blue"/);
});
