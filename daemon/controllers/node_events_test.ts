import assert from "node:assert/strict";
import type { PoolProblem } from "../ipam/port.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import { createNodeEvents, type NodeEventsOptions } from "./node_events.ts";

function domain(name: string, vrf: number): VRFDomain {
  return {
    metadata: { name, uid: `uid-${name}` },
    spec: {
      vrf,
      table: vrf + 2000,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [],
    },
  };
}

function bench(given: Partial<NodeEventsOptions> = {}) {
  const told: string[] = [];
  const node = createNodeEvents({
    events: {
      record: ({ metadata }, { type, reason, message }) =>
        told.push(`${metadata.name}: ${type} ${reason} ${message}`),
    },
    domains: () => [domain("blue", 200), domain("green", 300)],
    nodeState: () => ({ metadata: { name: "n1" } }),
    ...given,
  });
  return { told, node };
}

const exhausted: PoolProblem = { vrf: 200, code: "BlocksExhausted", message: "none is left" };

Deno.test("a problem is told when it comes and when it comes back, not while it lasts", () => {
  const { told, node } = bench();
  node.reported({}, [exhausted]);
  node.reported({}, [{ ...exhausted, message: "still none is left" }]);
  assert.deepEqual(told, ["blue: Warning BlocksExhausted none is left"]);
  node.reported({}, []);
  node.reported({}, [exhausted, { ...exhausted, vrf: 300 }]);
  assert.deepEqual(told.slice(1), [
    "blue: Warning BlocksExhausted none is left",
    "green: Warning BlocksExhausted none is left",
  ]);
});

Deno.test("FRR's refusal is told of the node; what heals by itself is told of nobody", () => {
  const { told, node } = bench();
  node.reported({ frrFailure: { reason: "FrrUnavailable", message: "no socket" } }, [
    { vrf: 200, code: "ClaimFailed", message: "the API is away" },
    { vrf: 999, code: "BlocksExhausted", message: "of a domain that is gone" },
  ]);
  assert.deepEqual(told, []);
  node.reported({ frrFailure: { reason: "FrrRefused", message: "line 3" } }, []);
  assert.deepEqual(told, ["n1: Warning FrrRefused line 3"]);
});

Deno.test("what cannot be told yet is told with the next run", () => {
  let known = false;
  const { told, node } = bench({
    nodeState: () => known ? { metadata: { name: "n1" } } : undefined,
  });
  const frrFailure = { reason: "FrrRefused", message: "line 3" };
  node.reported({ frrFailure }, []);
  known = true;
  node.reported({ frrFailure }, []);
  assert.deepEqual(told, ["n1: Warning FrrRefused line 3"]);
});
