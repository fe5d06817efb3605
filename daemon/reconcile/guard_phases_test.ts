import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import { failClosed, syncFirewall, syncRules } from "./guard_phases.ts";
import type { Run } from "./run.ts";
import { makeRun } from "./testing/make_run.ts";

const quiet = createLogger("error", () => {});

Deno.test("a rule that a policy asks for and the kernel refuses is the policy's fault alone", () => {
  const state = makeRun();
  const rules = [
    { policy: "east", priority: 11_000, table: 2200, dst: "192.0.2.0/24" },
    { priority: 32_000, table: 2200, dst: "10.150.0.0/26" },
  ];
  const refusing = (index: number): Parameters<typeof syncRules>[0] => ({
    syncRules: (given) => {
      const rule = given[index];
      assert.ok(rule);
      return { added: 1, deleted: 0, refused: [{ rule, message: "EINVAL" }] };
    },
  });
  const asked = { ...state, plan: { ...state.plan, rules } };
  syncRules(refusing(0), asked, quiet);
  assert.deepEqual([...state.refusedPolicies], [["east", "EINVAL"]]);
  assert.deepEqual(state.problems, ['VRFRoutingPolicy "east": EINVAL']);
  assert.equal(asked.unguarded, undefined, "nothing is left open by it");
  syncRules(refusing(1), asked, quiet);
  assert.equal(asked.unguarded, "EINVAL");
});

Deno.test("while rules or firewall cannot be applied, only domains without egress take no more pods", async () => {
  const closed = (state: Run): Run => ({
    ...state,
    plan: {
      ...state.plan,
      traffic: new Map([[200, { mark: 200, egress: "none" }], [300, { mark: 300, egress: "nat" }]]),
    },
  });
  const failure = new Error("nft is away");
  const kernel: Parameters<typeof syncRules>[0] = {
    syncRules: () => {
      throw failure;
    },
  };
  const byRules = closed(makeRun());
  syncRules(kernel, byRules, quiet);
  failClosed(byRules);
  const byFirewall = closed(makeRun());
  const names = {
    ingressInterfaces: () => [],
    neighborPrefixes: () => [],
    ownNamespace: () => undefined,
  };
  const firewall = {
    sync: () => Promise.reject(failure),
    syncNamespaces: () => Promise.resolve([]),
  };
  await syncFirewall(names, firewall, byFirewall);
  failClosed(byFirewall);
  for (const state of [byRules, byFirewall]) {
    assert.deepEqual([...state.failures.keys()], [200]);
    assert.equal(state.failures.get(200)?.reason, "EgressOpen");
    assert.deepEqual(state.problems, ["nft is away"]);
  }
  const sound = closed(makeRun());
  failClosed(sound);
  assert.equal(sound.failures.size, 0);
});
