import assert from "node:assert/strict";
import { chain, type NftContent, type NftJson, type NftTransaction, rule } from "./nft_json.ts";
import { readStanding, stepsTo, type TableSteps } from "./nft_transactions.ts";

/** A table with one rule that asks for each of the sets. */
function content(sets: { readonly [name: string]: readonly NftJson[] }, prio = 0): NftContent {
  return {
    sets: Object.entries(sets).map(([name, elements]) => ({
      kind: "set",
      name,
      type: { type: "mark" },
      elements,
    })),
    chains: (nameOf) => [
      chain(
        "input",
        "filter",
        "input",
        prio,
        Object.keys(sets).map((name) => rule(`@${nameOf(name)}`)),
      ),
    ],
  };
}

/** The listing of a table that has these sets and chains. */
function listing(sets: readonly string[], prios: { readonly [chain: string]: number }): string {
  return JSON.stringify({
    nftables: [
      { metainfo: { version: "1.0.6" } },
      { table: { family: "inet", name: "pyroute2-cni", handle: 1 } },
      ...Object.entries(prios).map(([name, prio]) => ({
        chain: { name, type: "filter", hook: "input", prio, policy: "accept", handle: 2 },
      })),
      ...sets.map((name) => ({ set: { name, handle: 3 } })),
      { rule: { chain: "input", handle: 4, expr: [] } },
    ],
  });
}

const nothing = readStanding(undefined);

/** Commands in short: `add set inside-1`. */
function short(transaction: NftTransaction | undefined): string[] {
  return (transaction?.nftables ?? []).map((command) => {
    const text = JSON.stringify(command);
    const [, verb, kind] = /^\{"(\w+)":\{"(\w+)":/.exec(text) ?? [];
    return `${verb} ${kind} ${/"(?:name|chain)":"([^"]+)"/.exec(text)?.[1]}`;
  });
}

function namesOf({ left }: TableSteps): string[] {
  return [...left.sets.values()].map(({ name }) => name);
}

Deno.test("sets are made before the rules that ask for them, in a transaction of their own", () => {
  const { prepare, commit } = stepsTo(content({ inside: [1], marks: [2] }), nothing, undefined);
  assert.deepEqual(short(prepare), [
    "add table pyroute2-cni",
    "add set inside-1",
    "add set marks-1",
  ]);
  assert.deepEqual(short(commit), [
    "add table pyroute2-cni",
    "add chain input",
    "add rule input",
    "add rule input",
  ]);
});

Deno.test("a set that differs gets a new name, and the old one goes once no rule asks for it", () => {
  const first = stepsTo(content({ inside: [1], marks: [2] }), nothing, undefined);
  const standing = readStanding(listing(namesOf(first), { input: 0 }));
  const second = stepsTo(content({ inside: [1, 3], marks: [2] }), standing, first.left);
  assert.deepEqual(short(second.prepare), ["add table pyroute2-cni", "add set inside-2"]);
  assert.deepEqual(short(second.commit), [
    "add table pyroute2-cni",
    "flush chain input",
    "add rule input",
    "add rule input",
  ]);
  assert.deepEqual(short(second.sweep), ["add table pyroute2-cni", "delete set inside-1"]);
  assert.match(JSON.stringify(second.commit), /"@inside-2".*"@marks-1"/);
});

Deno.test("a chain with a map in itself stands beside the one that it replaces until the rules are led to the new sets", () => {
  const wanted = (map: number): NftContent => {
    const { sets, chains } = content({ marks: [map] });
    const zones = chain("zones", "filter", "prerouting", -300, [rule(map)]);
    return { sets, chains: (nameOf) => [{ ...zones, renewed: true }, ...chains(nameOf)] };
  };
  const first = stepsTo(wanted(1), nothing, undefined);
  const standing = readStanding(listing(["marks-1"], { "zones-1": -300, input: 0 }));
  const again = stepsTo(wanted(1), standing, first.left);
  assert.deepEqual([again.prepare, again.sweep], [undefined, undefined]);
  const { prepare, commit, sweep, undo } = stepsTo(wanted(2), standing, first.left);
  const made = ["add set marks-2", "add chain zones-2", "add rule zones-2"];
  assert.deepEqual(short(prepare), ["add table pyroute2-cni", ...made]);
  assert.ok(!short(commit).some((each) => /zones|set/.test(each)), short(commit).join());
  assert.deepEqual(short(sweep), [
    "add table pyroute2-cni",
    "flush chain zones-1",
    "delete chain zones-1",
    "delete set marks-1",
  ]);
  assert.deepEqual(short(undo), [
    "add table pyroute2-cni",
    "flush chain zones-2",
    "delete chain zones-2",
    "delete set marks-2",
  ]);
});

Deno.test("no step changes a set that stands, whatever is known of it", () => {
  const wanted = content({ inside: [1], marks: [2] });
  const standing = readStanding(listing(["inside", "inside-7", "marks-1"], { input: 0 }));
  for (const left of [undefined, stepsTo(wanted, nothing, undefined).left]) {
    const { prepare, commit } = stepsTo(wanted, standing, left);
    const made = [...short(prepare), ...short(commit)].filter((each) => each.startsWith("add set"));
    for (const each of made) {
      assert.ok(!standing.sets.some(({ name }) => each === `add set ${name}`), each);
    }
  }
});

Deno.test("what is not known to be as it was left is made anew under free names, and what stood goes", () => {
  const chains = { input: 0, odd: 5, rest: 5 };
  const standing = readStanding(listing(["inside", "inside-7", "other"], chains));
  const { prepare, commit, sweep } = stepsTo(content({ inside: [1] }), standing, undefined);
  assert.deepEqual(short(prepare), ["add table pyroute2-cni", "add set inside-8"]);
  assert.deepEqual(short(commit), [
    "add table pyroute2-cni",
    "flush chain input",
    "add rule input",
    "flush chain odd",
    "flush chain rest",
    "delete chain odd",
    "delete chain rest",
  ]);
  assert.deepEqual(short(sweep), [
    "add table pyroute2-cni",
    "delete set inside",
    "delete set inside-7",
    "delete set other",
  ]);
});

Deno.test("a chain at another hook or priority is made anew, and one of the same rules is not touched", () => {
  const wanted = content({ marks: [2] });
  const first = stepsTo(wanted, nothing, undefined);
  const same = readStanding(listing(namesOf(first), { input: 0 }));
  assert.deepEqual(short(stepsTo(wanted, same, first.left).commit), ["add table pyroute2-cni"]);
  const moved = stepsTo(content({ marks: [2] }, 10), same, first.left);
  assert.equal(moved.prepare, undefined);
  assert.deepEqual(short(moved.commit), [
    "add table pyroute2-cni",
    "flush chain input",
    "delete chain input",
    "add chain input",
    "add rule input",
  ]);
});

Deno.test("undoing takes away what was prepared, and nothing else", () => {
  const standing = readStanding(listing(["marks-1"], { input: 0 }));
  const { undo } = stepsTo(content({ inside: [1], marks: [2] }), standing, undefined);
  assert.deepEqual(short(undo), [
    "add table pyroute2-cni",
    "delete set inside-1",
    "delete set marks-2",
  ]);
});
