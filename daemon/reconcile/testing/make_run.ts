/** What the phases of a run are tested with. */
import { parsePrefix } from "../../../lib/net/prefix.ts";
import { planNode } from "../plan.ts";
import type { Run } from "../run.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.168.124.11", mtu: 1500 };

/** A run over a node that carries two domains, with nothing to do. */
export function makeRun(): Run {
  const numbers = [200, 300];
  const plan = planNode({
    node: "node1",
    underlay,
    asn: 65000,
    routerId: underlay.address,
    peers: [],
    domains: numbers.map((vrf) => ({
      name: `tenant-${vrf}`,
      vrf,
      table: vrf,
      prefixes: [parsePrefix("10.150.0.0/16")],
      attachments: [{ type: "l2vni", vni: vrf, port: 4789 }],
    })),
    blocks: [],
    ports: new Map(),
    policies: [],
    serviceVrfMax: 0,
  });
  return {
    signal: new AbortController().signal,
    carried: numbers.map((vrf) => ({ name: `tenant-${vrf}`, uid: "u", generation: 1, vrf })),
    underlay,
    plan,
    steps: { ensureVrfs: [], ensureOverlays: [], fitPods: [], removeOverlays: [], removeVrfs: [] },
    keep: new Set(),
    going: [],
    failures: new Map(),
    policies: [{ name: "east", uid: "p", generation: 3, domain: "tenant-200" }],
    refusedPolicies: new Map(),
    problems: [],
    announced: new Set(numbers.map((vrf) => `tenant-${vrf}`)),
    overLimit: [],
    limited: false,
  };
}
