/** Draws a soak's operations. Pure: the same arguments give the same operations. */
import { emptyModel, type Model, step } from "./model.ts";
import { frrPrograms, handDeletions, type Operation } from "./operations.ts";
import { createRandom, type Random } from "./random.ts";
import { passing, roaming, tenants } from "./tenants.ts";

/** How large a soak is. */
export interface SoakSize {
  /** How many pods there are at most. */
  readonly pods: number;
  /** How many nodes. */
  readonly nodes: number;
}

/** The API server stays away for so many operations at most. */
const longestCut = 25;

/** Milliseconds that an ADD takes here on a busy machine; a killed plugin gets less. */
const wholeAdd = 120;

/** Something that may happen: how often, when, and what it is. */
interface Choice {
  /** Of all choices that are possible, one is drawn in proportion to this. */
  readonly weight: number;
  /** The operation; undefined when it is not possible now. */
  readonly draw: (situation: Situation) => Operation | undefined;
}

interface Situation {
  readonly random: Random;
  readonly size: SoakSize;
  readonly model: Model;
}

/**
 * The operations of a soak.
 *
 * @param seed Determines them
 * @param count How many
 */
export function plan(seed: number, count: number, size: SoakSize): readonly Operation[] {
  const random = createRandom(seed);
  const operations: Operation[] = [];
  let model = emptyModel;
  let cutAt = 0;
  for (let number = 0; number < count; number++) {
    const overdue = !model.apiRuns && number - cutAt >= longestCut;
    const last = !model.apiRuns && number === count - 1;
    const operation: Operation = overdue || last
      ? { kind: "start api" }
      : drawOne({ random, size, model });
    if (operation.kind === "cut api") cutAt = number;
    model = step(model, operation);
    operations.push(operation);
  }
  return operations;
}

function drawOne(situation: Situation): Operation {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  for (;;) {
    let at = situation.random.below(total);
    const choice = choices.find(({ weight }) => (at -= weight) < 0);
    const operation = choice?.draw(situation);
    if (operation !== undefined) return operation;
  }
}

/** For operations on an attached pod. */
function onAttached(kind: "del" | "del twice" | "check" | "add again" | "vanish" | "unplug") {
  return ({ random, model }: Situation): Operation | undefined => {
    const pods = [...model.attached];
    return pods.length === 0 ? undefined : { kind, pod: random.pick(pods) };
  };
}

function drawFree({ random, size, model }: Situation): number | undefined {
  const free = Array.from({ length: size.pods }, (_, pod) => pod)
    .filter((pod) => !model.attached.has(pod));
  return free.length === 0 ? undefined : random.pick(free);
}

function onFree(kind: "add" | "del unknown") {
  return (situation: Situation): Operation | undefined => {
    const pod = drawFree(situation);
    return pod === undefined ? undefined : { kind, pod };
  };
}

/** A node, and some of its pods that nobody wants any more. */
function drawDropped({ random, size, model }: Situation) {
  const node = random.below(size.nodes);
  const mine = [...model.attached].filter((pod) => pod % size.nodes === node);
  return { node, dropped: mine.filter(() => random.below(8) === 0) };
}

function onNode(kind: "kill daemon" | "kill agent" | "delete firewall") {
  return ({ random, size }: Situation): Operation => ({ kind, node: random.below(size.nodes) });
}

function onDomain(kind: "create domain" | "delete domain") {
  return ({ random, model }: Situation): Operation | undefined => {
    const names = passing.map(({ name }) => name)
      .filter((name) => model.passing.has(name) === (kind === "delete domain"));
    return names.length === 0 ? undefined : { kind, domain: random.pick(names) };
  };
}

const choices: readonly Choice[] = [
  { weight: 480, draw: onFree("add") },
  { weight: 230, draw: onAttached("del") },
  { weight: 40, draw: onAttached("del twice") },
  { weight: 40, draw: onAttached("check") },
  { weight: 40, draw: onAttached("add again") },
  { weight: 20, draw: onFree("del unknown") },
  { weight: 30, draw: onAttached("vanish") },
  { weight: 15, draw: onAttached("unplug") },
  {
    weight: 50,
    draw: (situation) => {
      const pod = drawFree(situation);
      const { random } = situation;
      return pod === undefined ? undefined : {
        kind: "cut add",
        pod,
        ms: 1 + random.below(wholeAdd),
        then: random.pick(["del", "vanish"]),
      };
    },
  },
  {
    weight: 12,
    draw: (situation) => ({ kind: "gc", ...drawDropped(situation) }),
  },
  {
    weight: 3,
    draw: (situation) => ({
      kind: "reboot",
      ...drawDropped(situation),
      says: situation.random.pick(["del", "nothing"]),
    }),
  },
  { weight: 5, draw: onNode("kill daemon") },
  {
    weight: 5,
    draw: ({ random, size }) => ({
      kind: "kill frr",
      node: random.below(size.nodes),
      program: random.pick(frrPrograms),
    }),
  },
  { weight: 2, draw: onNode("kill agent") },
  { weight: 4, draw: ({ model }) => model.apiRuns ? { kind: "cut api" } : undefined },
  { weight: 30, draw: ({ model }) => model.apiRuns ? undefined : { kind: "start api" } },
  {
    weight: 12,
    draw: ({ random, size }) => ({
      kind: "delete",
      node: random.below(size.nodes),
      domain: random.pick(tenants).name,
      what: random.pick(handDeletions),
    }),
  },
  {
    weight: 8,
    draw: ({ random, size }) => ({
      kind: "delete rule",
      node: random.below(size.nodes),
      nth: random.below(100),
    }),
  },
  { weight: 4, draw: onNode("delete firewall") },
  { weight: 5, draw: onDomain("create domain") },
  { weight: 5, draw: onDomain("delete domain") },
  {
    weight: 8,
    draw: ({ model }) => ({
      kind: "bind",
      tenant: roaming.between.find((tenant) => tenant !== model.bound) ?? roaming.between[0],
    }),
  },
];
