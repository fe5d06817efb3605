import assert from "node:assert/strict";
import { FrrError } from "../../frr/errors.ts";
import type { FrrModel, FrrVrf } from "../../frr/model.ts";
import { createExtraGuard, type ExtraGuard } from "./extra_config.ts";

function vrf(name: string, lines: readonly string[] | undefined, vni = 1): FrrVrf {
  const routeTargets = { import: [], export: [] };
  const extra = lines === undefined ? undefined : { bgp: lines };
  return { name, l3vni: vni, rd: `1:${vni}`, routerId: "192.0.2.1", routeTargets, extra };
}

function model(vrfs: readonly FrrVrf[], node?: readonly string[]): FrrModel {
  const neighbors = [{ address: "192.0.2.2", remoteAs: "internal" } as const];
  const extra = node === undefined ? undefined : { bgp: node };
  return { asn: 1, routerId: "192.0.2.1", neighbors, vrfs, extra };
}

/** FRR as it judges lines, and what it was given. */
class Judge {
  readonly bad = new Set<string>();
  readonly given: string[] = [];
  taken = "";
  fault: FrrError | undefined;

  /** Whether refusals name the line. */
  names = true;

  readonly give = (given: FrrModel): Promise<void> => {
    const lines = linesOf(given);
    this.given.push(lines.join(" "));
    if (this.fault !== undefined) return Promise.reject(this.fault);
    const refused = lines.find((line) => this.bad.has(line));
    if (refused !== undefined) {
      return Promise.reject(
        new FrrError("FrrRefused", this.names ? `FRR refused "${refused}"` : "No"),
      );
    }
    this.taken = lines.join(" ");
    return Promise.resolve();
  };

  async apply(guard: ExtraGuard, given: FrrModel): Promise<[string | undefined, string[]]> {
    this.given.length = 0;
    const { node, vrfs } = await guard.apply(given, this.give);
    return [node, [...vrfs].map(([name, said]) => `${name}: ${said}`)];
  }
}

function linesOf({ extra, vrfs }: FrrModel): string[] {
  return [...extra?.bgp ?? [], ...vrfs.flatMap((each) => [each.name, ...each.extra?.bgp ?? []])];
}

Deno.test("lines that FRR takes go with everything else, at once", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  const wanted = model([vrf("a", ["x"]), vrf("b", undefined)], ["n"]);
  assert.deepEqual(await judge.apply(guard, wanted), [undefined, []]);
  assert.deepEqual(judge.given, ["n a x b"]);
});

Deno.test("a bad line of one holder leaves out that holder's lines alone, and is not tried again", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  judge.bad.add("y");
  const wanted = model([vrf("a", ["x"]), vrf("b", ["y", "z"]), vrf("c", ["w"])], ["n"]);
  const refused = [undefined, ['b: FRR refused "y"']];
  assert.deepEqual(await judge.apply(guard, wanted), refused);
  assert.equal(judge.taken, "n a x b c w");
  assert.equal(judge.given.at(-1), judge.taken);
  assert.deepEqual(await judge.apply(guard, wanted), refused);
  assert.deepEqual(judge.given, ["n a x b c w"]);
  // Another domain's change does not wait for the bad one.
  assert.deepEqual(
    await judge.apply(guard, model([...wanted.vrfs, vrf("d", ["v"])], ["n"])),
    refused,
  );
  assert.deepEqual(judge.given, ["n a x b c w d v"]);
});

Deno.test("other lines are tried, and what was taken is not taken away for that", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  judge.bad.add("y").add("q");
  await judge.apply(guard, model([vrf("a", ["x"]), vrf("b", ["y"])]));
  assert.deepEqual(
    await judge.apply(guard, model([vrf("a", ["x"]), vrf("b", ["q"])])),
    [undefined, ['b: FRR refused "q"']],
  );
  assert(judge.given.every((lines) => lines.includes("x")), judge.given.join("; "));
  assert.deepEqual(
    await judge.apply(guard, model([vrf("a", ["x"]), vrf("b", ["z"])])),
    [undefined, []],
  );
  assert.equal(judge.taken, "a x b z");
});

Deno.test("lines that FRR may have taken from an earlier daemon stay where another's are bad", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  judge.bad.add("y");
  await judge.apply(guard, model([vrf("a", ["x"]), vrf("b", ["y"]), vrf("c", ["w"])], ["n"]));
  assert.deepEqual(judge.given, ["n a x b y c w", "n a x b c w"]);
});

Deno.test("of several with a bad line, or where FRR does not say which, only the bad ones stay out", async () => {
  for (const names of [true, false]) {
    const [judge, guard] = [new Judge(), createExtraGuard()];
    judge.names = names;
    judge.bad.add("y").add("z");
    const vrfs = [vrf("a", ["x"]), vrf("b", ["y"]), vrf("c", ["z"]), vrf("d", ["w"])];
    const [, said] = await judge.apply(guard, model(vrfs));
    assert.deepEqual(said, [
      `b: ${names ? 'FRR refused "y"' : "No"}`,
      `c: ${names ? 'FRR refused "z"' : "No"}`,
    ]);
    assert.equal(judge.taken, "a x b c d w");
    assert.equal(judge.given.at(-1), judge.taken);
  }
});

Deno.test("lines of the node are judged anew when its peers change, those of a VRF when the VRF does", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  judge.bad.add("n").add("x");
  const wanted = model([vrf("a", ["x"])], ["n"]);
  assert.deepEqual(
    await judge.apply(guard, wanted),
    ['FRR refused "n"', ['a: FRR refused "x"']],
  );
  judge.bad.clear();
  const neighbors = [{ address: "192.0.2.9", remoteAs: "internal" } as const];
  assert.deepEqual(
    await judge.apply(guard, { ...wanted, neighbors }),
    [undefined, ['a: FRR refused "x"']],
  );
  assert.equal(judge.taken, "n a");
  assert.deepEqual(await judge.apply(guard, model([vrf("a", ["x"], 2)], ["n"])), [undefined, []]);
  assert.equal(judge.taken, "n a x");
});

Deno.test("what is not the lines' fault is told as it is, and blames none of them", async () => {
  const [judge, guard] = [new Judge(), createExtraGuard()];
  const wanted = model([vrf("a", ["x"])]);
  for (const code of ["FrrRefused", "FrrUnavailable", "FrrTimeout"] as const) {
    judge.fault = new FrrError(code, "away");
    await assert.rejects(guard.apply(wanted, judge.give), { code });
  }
  judge.fault = undefined;
  assert.deepEqual(await judge.apply(guard, wanted), [undefined, []]);
  assert.equal(judge.taken, "a x");
});
