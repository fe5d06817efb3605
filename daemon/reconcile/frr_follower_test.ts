import assert from "node:assert/strict";
import type { FrrClient } from "../../frr/client.ts";
import type { FrrModel } from "../../frr/model.ts";
import type { FrrVniState } from "../../frr/protocol.ts";
import { createLogger } from "../log.ts";
import { createFrrFollower } from "./frr_follower.ts";

const { signal } = new AbortController();

const model: FrrModel = {
  asn: 65000,
  routerId: "192.168.124.11",
  neighbors: [],
  vrfs: [{
    name: "vrf-200",
    l3vni: 50201,
    l2vni: 50200,
    rd: "192.168.124.11:200",
    routerId: "192.168.124.11",
    routeTargets: { import: [], export: [] },
    prefix: "10.150.0.0/16",
  }],
};

/** An agent whose VNIs are as told, and whose every look takes as long as told. */
class Bench {
  now = 1_000_000;
  looks = 0;
  lookMs = 0;
  vnis: FrrVniState[] = [];
  active: string[] = ["vrf-200"];
  readonly applied: string[] = [];
  failing = false;
  readonly follower = createFrrFollower(
    this.#client(),
    createLogger("error", () => {}),
    () => this.now,
  );

  #client(): FrrClient {
    return {
      check: () => Promise.resolve(),
      apply: (text) => {
        this.applied.push(text);
        return this.failing
          ? Promise.reject(new Error("It broke off"))
          : Promise.resolve({ changed: true, lines: [], seconds: 0 });
      },
      state: () => {
        this.looks++;
        this.now += this.lookMs;
        const vrfs = this.active.map((name) => ({
          name,
          state: "active" as const,
          interfaces: [],
        }));
        return Promise.resolve({ ready: true, epoch: "1", vrfs, vnis: this.vnis, peers: [] });
      },
      routes: () => Promise.reject(new Error("Not asked here")),
      [Symbol.dispose]() {},
    };
  }
}

const up = (vni: number, type: FrrVniState["type"]): FrrVniState => ({
  vrf: "vrf-200",
  vni,
  type,
  state: "Up",
});

Deno.test("a VNI of either type that stays down is told, and is not waited for a second time", async () => {
  for (const missing of [50200, 50201]) {
    const bench = new Bench();
    await bench.follower.apply("text", model, signal);
    const vnis = [up(50200, "l2vni"), up(50201, "l3vni")];
    bench.vnis = vnis.map((vni) => vni.vni === missing ? { ...vni, state: "Down" } : vni);
    bench.lookMs = 20_000;
    const down = [{ vrf: "vrf-200", vni: missing }];
    assert.deepEqual(await bench.follower.settle(model, signal), down);
    const { looks } = bench;
    bench.follower.expectChange();
    assert.deepEqual(await bench.follower.settle(model, signal), down);
    assert.equal(bench.looks, looks + 1);
    bench.vnis = vnis;
    bench.follower.expectChange();
    assert.deepEqual(await bench.follower.settle(model, signal), []);
  }
});

Deno.test("a VNI that goes down again is waited for again", async () => {
  const bench = new Bench();
  await bench.follower.apply("text", model, signal);
  bench.vnis = [up(50200, "l2vni"), up(50201, "l3vni")];
  bench.follower.expectChange();
  assert.deepEqual(await bench.follower.settle(model, signal), []);
  bench.vnis = [];
  bench.lookMs = 20_000;
  bench.follower.expectChange();
  const { looks } = bench;
  assert.equal((await bench.follower.settle(model, signal)).length, 2);
  assert.ok(bench.looks > looks + 1);
});

Deno.test("after a configuration that broke off the one before is given again: FRR may have taken a part", async () => {
  const bench = new Bench();
  await bench.follower.apply("first", model, signal);
  await bench.follower.apply("first", model, signal);
  bench.failing = true;
  await assert.rejects(bench.follower.apply("second", model, signal), /broke off/);
  assert(bench.follower.carries("vrf-200"));
  bench.failing = false;
  await bench.follower.apply("first", model, signal);
  assert.deepEqual(bench.applied, ["first", "second", "first"]);
});

Deno.test("VRFs that zebra has missed are told while it is waited for them, and those that stay unknown are not waited for again", async () => {
  const bench = new Bench();
  bench.lookMs = 1_000;
  const told: (readonly string[])[] = [];
  const missed = (vrfs: readonly string[]) => void told.push(vrfs);
  const wanted = ["vrf-200", "vrf-300", "vrf-400"];
  assert.deepEqual(
    await bench.follower.awaitVrfs(wanted, signal, (vrfs) => {
      missed(vrfs);
      if (told.length === 2) bench.active.push("vrf-300");
    }),
    ["vrf-400"],
  );
  assert.deepEqual(told[0], ["vrf-300", "vrf-400"]);
  assert.deepEqual(told.at(-1), ["vrf-400"]);
  const { looks } = bench;
  bench.follower.expectChange();
  assert.deepEqual(await bench.follower.awaitVrfs(wanted, signal, missed), ["vrf-400"]);
  assert.equal(bench.looks, looks + 1);
  // It is told of them again all the same, once in half a minute.
  const before = told.length;
  bench.lookMs = 20_000;
  for (let run = 0; run < 4; run++) {
    bench.follower.expectChange();
    await bench.follower.awaitVrfs(wanted, signal, missed);
  }
  assert.deepEqual(told.slice(before), [["vrf-400"], ["vrf-400"]]);
  bench.active.push("vrf-400");
  assert.deepEqual(await bench.follower.awaitVrfs(wanted, signal, missed), []);
  // Nothing more is asked while the last look is fresh.
  const known = bench.looks;
  assert.deepEqual(await bench.follower.awaitVrfs(wanted, signal, missed), []);
  assert.equal(bench.looks, known);
});
