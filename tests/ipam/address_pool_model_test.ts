import fc from "fast-check";
import type { Fault } from "../../daemon/ipam/testing/fake_blocks.ts";
import { pass } from "../../daemon/ipam/testing/fake_blocks.ts";
import { domains, World } from "./world.ts";

/** The model holds nothing: what was answered is noted by the nodes, and the invariants are checked after each step. */
type Model = Record<string, never>;

class Step implements fc.AsyncCommand<Model, World> {
  readonly #text: string;
  readonly #act: (world: World) => Promise<void> | void;

  constructor(text: string, act: (world: World) => Promise<void> | void) {
    this.#text = text;
    this.#act = act;
  }

  check(): boolean {
    return true;
  }

  async run(_model: Model, world: World): Promise<void> {
    await this.#act(world);
    world.check();
  }

  toString(): string {
    return this.#text;
  }
}

const nodeIndex = fc.nat(2);
const container = fc.nat(60);
const domain = fc.constantFrom(...domains);

/** Containers are a node's own: the number of the node is the last digit in base three. */
const own = (node: number, index: number) => index * 3 + node;

const reserve = fc.tuple(nodeIndex, domain, container).map(([node, tenant, index]) =>
  new Step(
    `reserve(${node}, ${tenant.vrf}, ${index})`,
    (world) => world.node(node).reserve(tenant, own(node, index)),
  )
);

const reserveEverywhere = fc.tuple(domain, container, fc.integer({ min: 1, max: 8 })).map((
  [tenant, first, count],
) =>
  new Step(`reserveEverywhere(${tenant.vrf}, ${first}, ${count})`, async (world) => {
    const reservations = world.nodes.flatMap((node, at) =>
      Array.from({ length: count }, (_, i) => node.reserve(tenant, own(at, first + i)))
    );
    await Promise.all(reservations);
  })
);

const release = fc.tuple(nodeIndex, fc.nat(), fc.integer({ min: 1, max: 6 })).map((
  [node, pick, count],
) =>
  new Step(`release(${node}, ${pick}, ${count})`, (world) => {
    for (let i = 0; i < count; i++) {
      const rows = world.node(node).rows();
      const row = rows[pick % Math.max(rows.length, 1)];
      if (row !== undefined) world.node(node).release(row);
    }
  })
);

const crash = fc.tuple(nodeIndex, domain, container, fc.nat(6), fc.nat(40), fc.boolean()).map((
  [node, tenant, first, count, turns, synced],
) =>
  new Step(
    `crash(${node}, ${tenant.vrf}, ${first}, ${count}, ${turns}, ${synced})`,
    async (world) => {
      const victim = world.node(node);
      for (let i = 0; i < count; i++) void victim.reserve(tenant, own(node, first + i));
      await pass(turns);
      victim.restart(synced);
    },
  )
);

const crashWhileReleasing = fc.tuple(nodeIndex, fc.nat(40)).map(([node, turns]) =>
  new Step(`crashWhileReleasing(${node}, ${turns})`, async (world) => {
    const victim = world.node(node);
    victim.collectGarbage([]).catch(() => {});
    await pass(turns);
    victim.restart(true);
  })
);

const reboot = nodeIndex.map((node) =>
  new Step(`reboot(${node})`, (world) => world.node(node).reboot())
);

const deliver = nodeIndex.map((node) =>
  new Step(`deliver(${node})`, (world) => world.node(node).cache.deliver())
);

const advance = fc.constantFrom(20, 700, 70_000).map((ms) =>
  new Step(`advance(${ms})`, async (world) => {
    world.clock.advance(ms);
    await pass(60);
  })
);

const collect = fc.tuple(nodeIndex, fc.subarray([...domains])).map(([node, live]) =>
  new Step(`collect(${node}, ${live.map(({ vrf }) => vrf)})`, async (world) => {
    await world.node(node).collectGarbage(live);
  })
);

const removeDomain = fc.tuple(nodeIndex, domain).map(([node, { vrf }]) =>
  new Step(`removeDomain(${node}, ${vrf})`, async (world) => {
    await world.node(node).releaseDomain(vrf);
  })
);

/** What the node knows of its blocks when it is back: its journal, its journal and the list, or the list alone. */
const back = fc.constantFrom("stays", "restarts", "restarts without the list", "reboots");
const removeDomainLate = fc.tuple(nodeIndex, domain, back).map(([node, { vrf }, how]) =>
  new Step(`removeDomainLate(${node}, ${vrf}, "${how}")`, async (world) => {
    const victim = world.node(node);
    await victim.releaseDomainLate(vrf);
    if (how === "reboots") victim.reboot();
    else if (how !== "stays") victim.restart(how === "restarts");
  })
);

const faults: readonly Fault[] = ["down", "lost", "late", "conflict"];
const trouble = fc.record({
  rate: fc.constantFrom(0, 0.2, 0.5, 1),
  faults: fc.subarray([...faults], { minLength: 1 }),
}).map((kind) =>
  new Step(`trouble(${kind.rate}, ${kind.faults})`, (world) => {
    world.trouble = kind;
  })
);

const executeLate = fc.constant(null).map(() =>
  new Step("executeLate()", (world) => world.api.executeLate())
);

const converge = fc.constant(null).map(() => new Step("converge()", (world) => world.converge()));

const steps = fc.commands(
  [
    reserve,
    reserveEverywhere,
    reserveEverywhere,
    release,
    release,
    crash,
    crashWhileReleasing,
    reboot,
    deliver,
    deliver,
    advance,
    advance,
    collect,
    removeDomain,
    removeDomainLate,
    trouble,
    executeLate,
    converge,
  ],
  { maxCommands: 60, size: "+1" },
);

async function run(world: World, commands: Iterable<fc.AsyncCommand<Model, World>>) {
  await fc.asyncModelRun(() => ({ model: {}, real: world }), commands);
  await world.converge();
  world.check();
  await world.checkAllComeBack();
}

Deno.test("whatever fails in whatever order, no address is given twice, and all come back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), steps, async (seed, commands) => {
      using world = new World(seed, 3);
      await run(world, commands);
    }),
    { numRuns: 150 },
  );
});

Deno.test("the same holds with journals on disk", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), steps, async (seed, commands) => {
      const directory = Deno.makeTempDirSync({ prefix: "pr2t-ipam-" });
      try {
        using world = new World(seed, 3, directory);
        await run(world, commands);
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    }),
    { numRuns: 20 },
  );
});
