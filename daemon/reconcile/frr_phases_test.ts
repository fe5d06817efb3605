import assert from "node:assert/strict";
import { domainReports } from "./domain_report.ts";
import { createExtraGuard } from "./extra_config.ts";
import type { FrrFollower } from "./frr_follower.ts";
import type { FrrState } from "../../frr/protocol.ts";
import { createLogger } from "../log.ts";
import { applyFrr, type ApplyFrrDeps, createAddressSync, settle } from "./frr_phases.ts";
import type { Run } from "./run.ts";
import { makeRun } from "./testing/make_run.ts";

function settling(settle: FrrFollower["settle"]): FrrFollower {
  const unused = () => {
    throw new Error("Not asked here");
  };
  return {
    awaitVrfs: () => Promise.resolve([]),
    apply: unused,
    carries: unused,
    inStep: unused,
    expectChange: unused,
    settle,
    daemons: unused,
    awaitEmpty: unused,
    forget: unused,
    state: unused,
  };
}

function withFollower(follower: FrrFollower): ApplyFrrDeps {
  const log = createLogger("error", () => {});
  return { kernel: { announceVrf: () => {} }, follower, extras: createExtraGuard(), log };
}

Deno.test("a VRF that zebra does not know fails alone, and one that FRR carries already goes on", async () => {
  for (const carried of [false, true]) {
    const applied: string[] = [];
    const announced: string[] = [];
    const state = makeRun();
    const follower: FrrFollower = {
      ...settling(() => Promise.resolve([])),
      awaitVrfs: (vrfs, _signal, missed) => {
        missed(vrfs.slice(0, 1));
        return Promise.resolve(vrfs.slice(0, 1));
      },
      carries: () => carried,
      daemons: () => Promise.resolve(["bgpd", "zebra"]),
      apply: (_text, model) => {
        applied.push(...model.vrfs.map(({ name }) => name));
        return Promise.resolve();
      },
    };
    const kernel = { announceVrf: (name: string) => void announced.push(name) };
    await applyFrr({ ...withFollower(follower), kernel }, state);
    const [first = "", ...others] = state.plan.frr.vrfs.map(({ name }) => name);
    assert.ok(others.length > 0);
    assert.deepEqual(announced, [first]);
    assert.deepEqual(applied, carried ? [first, ...others] : others);
    assert.deepEqual(
      [...state.failures.values()].map(({ reason }) => reason),
      carried ? [] : ["FrrBehind"],
    );
    assert.match(state.problems.join(), new RegExp(`"${first}" as active`));
  }
});

Deno.test("a domain whose VNI stays down says so, and no other does", async () => {
  const state = makeRun();
  await settle(settling(() => Promise.resolve([{ vrf: "vrf-200", vni: 200 }])), state);
  const [first, second] = domainReports(state, new Set());
  assert.deepEqual([first?.phase, first?.reason], ["Failed", "VNIDown"]);
  assert.match(first?.message ?? "", /VNI 200 of "vrf-200"/);
  assert.deepEqual([second?.phase, second?.reason], ["Ready", "Applied"]);
  assert.equal(state.problems.length, 1);
});

Deno.test("an FRR that does not answer in the end is the node's problem, not a domain's", async () => {
  const state = makeRun();
  await settle(settling(() => Promise.reject(new Error("FRR is away"))), state);
  assert.deepEqual(state.problems, ["FRR is away"]);
  assert.deepEqual(domainReports(state, new Set()).map(({ phase }) => phase), ["Ready", "Ready"]);
});

Deno.test("peers go on without BFD where its daemon does not run, and the node says so", async () => {
  const applied: string[] = [];
  const follower = (daemons: readonly string[]): FrrFollower => ({
    ...settling(() => Promise.resolve([])),
    daemons: () => Promise.resolve(daemons),
    apply: (text) => {
      applied.push(text);
      return Promise.resolve();
    },
  });
  const wanting = (): Run => {
    const state = makeRun();
    const frr = { ...state.plan.frr, vrfs: [], neighbors: [] };
    const neighbors = [{ address: "192.0.2.1", remoteAs: "internal", bfd: {} } as const];
    return { ...state, plan: { ...state.plan, frr: { ...frr, neighbors } } };
  };
  const [without, with_] = [wanting(), wanting()];
  await applyFrr(withFollower(follower(["bgpd", "zebra"])), without);
  await applyFrr(withFollower(follower(["bfdd", "bgpd", "zebra"])), with_);
  assert.deepEqual(applied.map((text) => text.includes("neighbor 192.0.2.1 bfd")), [false, true]);
  assert.equal(without.frrFailure?.reason, "BfdUnavailable");
  assert.equal(without.problems.length, 1);
  assert.equal(with_.frrFailure, undefined);
  assert.equal(without.failures.size, 0);
});

/** What is done about addresses, by VRF, in runs in which the kernel has two and zebra as many as each says. */
async function addressSync(
  runs: readonly { readonly known: number; readonly established: boolean }[],
): Promise<string[]> {
  const done: string[] = [];
  let now = runs[0];
  const state = (): FrrState => ({
    ...{ ready: true, epoch: "1", vrfs: [] },
    vnis: [200, 300].map((vni) => ({
      ...{ vrf: `vrf-${vni}`, vni, type: "l2vni" as const, state: "Up" as const },
      // In the other subnet all is well.
      neighbors: vni === 200 ? now?.known : 2,
    })),
    peers: [{
      ...{ address: "192.0.2.1", state: "", prefixesReceived: 0 },
      established: now?.established === true,
    }],
  });
  const sync = createAddressSync(
    {
      countAddresses: () => 2,
      announcePods: (name) => void done.push(`announce ${name}`),
      askAddressesBack: (name) => void done.push(`ask back ${name}`),
    },
    { ...settling(() => Promise.resolve([])), state, expectChange: () => {} },
    createLogger("error", () => {}),
  );
  for (now of runs) await sync(makeRun());
  return done;
}

const announced = (times: number) => Array<string>(times).fill("announce vrf-200");

Deno.test("addresses that zebra lacks are told again, and others' asked back where that does not help", async () => {
  const lacking = { known: 1, established: true };
  assert.deepEqual(await addressSync([{ known: 2, established: true }]), []);
  assert.deepEqual(await addressSync(Array(4).fill(lacking)), announced(4));
  assert.deepEqual(await addressSync(Array(5).fill(lacking)), [
    ...announced(4),
    "ask back vrf-200",
  ]);
});

Deno.test("others' addresses are not asked back while FRR may still learn them, nor after it had all", async () => {
  const alone = { known: 1, established: false };
  assert.deepEqual(await addressSync(Array(9).fill(alone)), announced(9));
  const lacking = { known: 1, established: true };
  const runs = [...Array(4).fill(lacking), { known: 2, established: true }, lacking];
  assert.deepEqual(await addressSync(runs), announced(5));
});
