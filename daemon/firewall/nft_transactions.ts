/**
 * Which transactions make an nftables table as it shall be, whatever stands. Pure.
 *
 * A transaction is atomic for rules, and not for sets. What a set of intervals gets, packets find there on older kernels only after the rules
 * that ask for it are in force (nft_pipapo_commit of net/netfilter/nft_set_pipapo.c; seen with 6.1). And a packet that is among the old rules
 * when the new ones come into force finds a map empty that went with them, since a rule's generation is read when its chain begins and an
 * element's when it is looked up (nft_do_chain of net/netfilter/nf_tables_core.c, nft_genmask_cur; seen with 6.18). A flow that begins in
 * between is told apart wrongly for good, such as never masqueraded. So no set in use is ever changed, in three transactions: sets that differ
 * are made under new names, the rules are led to them, and what no rule asks for any more is taken away.
 *
 * @module
 */
import { z } from "zod";
import {
  at,
  type NftChain,
  type NftContent,
  type NftJson,
  type NftSet,
  type NftTransaction,
  table,
} from "./nft_json.ts";

/** A table as it was left: what each set and each chain is called and holds. */
export interface TableLeft {
  /** The sets, by the names of the content. */
  readonly sets: ReadonlyMap<string, PartLeft>;
  /** The chains, by the names of the content. */
  readonly chains: ReadonlyMap<string, PartLeft>;
}

/** A part of a table as it was left. */
export interface PartLeft {
  /** Name in the kernel. */
  readonly name: string;
  /** What it is, as text. */
  readonly text: string;
}

/** Transactions, and what they leave. */
export interface TableSteps {
  /** Makes the sets that no rule asks for yet, and the chains that may stand twice; absent where all stand. */
  readonly prepare?: NftTransaction;
  /** Makes the other chains, and takes away those that are none of ours. */
  readonly commit: NftTransaction;
  /** Takes away what `prepare` and `commit` have replaced; absent where that is nothing. */
  readonly sweep?: NftTransaction;
  /** Takes away what `prepare` made, where `commit` was refused. */
  readonly undo: NftTransaction;
  /** The table after it. */
  readonly left: TableLeft;
}

/** What stands in a table. */
export interface TableStanding {
  /** Its sets and maps. */
  readonly sets: readonly Pick<NftSet, "kind" | "name">[];
  /** Its chains; one that is none of the base chains has no type. */
  readonly chains: readonly Pick<NftChain, "name" | "base">[];
}

const setSchema = z.object({ name: z.string() });
const chainSchema = z.object({
  name: z.string(),
  type: z.string().default(""),
  hook: z.string().default(""),
  prio: z.number().default(0),
});
const listingSchema = z.object({
  nftables: z.array(
    z.object({
      set: setSchema.optional(),
      map: setSchema.optional(),
      chain: chainSchema.optional(),
    }),
  ),
});

/** Reads what `nft -j list table` prints; undefined for a table that is not there. @throws {z.ZodError} */
export function readStanding(listing: string | undefined): TableStanding {
  const { nftables } = listing === undefined
    ? { nftables: [] }
    : listingSchema.parse(JSON.parse(listing));
  return {
    sets: nftables.flatMap(({ set, map }) => [
      ...set === undefined ? [] : [{ kind: "set" as const, name: set.name }],
      ...map === undefined ? [] : [{ kind: "map" as const, name: map.name }],
    ]),
    chains: nftables.flatMap(({ chain }) => {
      if (chain === undefined) return [];
      const { name, ...base } = chain;
      return [{ name, base }];
    }),
  };
}

/**
 * The steps from what stands to the content.
 *
 * @param left What of it is as it was left, and need not be made anew; undefined where nothing is known
 */
export function stepsTo(
  content: NftContent,
  standing: TableStanding,
  left: TableLeft | undefined,
): TableSteps {
  const sets = content.sets.map((set) => ({
    set,
    ...part(set.name, JSON.stringify(set), left?.sets, standing.sets),
  }));
  const names = new Map(sets.map(({ set, name }) => [set.name, name]));
  const chains = content.chains((set) => names.get(set) ?? set).map((chain) => {
    const numbered = chain.renewed === true ? standing.chains : undefined;
    return { chain, ...part(chain.name, JSON.stringify(chain), left?.chains, numbered) };
  });
  const made = sets.filter(({ isKept }) => !isKept)
    .map(({ set, name }) => ({ kind: set.kind, name, spec: elementsOf(set) }));
  const changed = chains.filter(({ isKept }) => !isKept)
    .map(({ chain, name }) => ({ ...chain, name }));
  const renewed = changed.filter((chain) => chain.renewed === true);
  const over = without(standing.chains, chains).map(({ name }) => name);
  const isReplaced = (name: string) =>
    chains.some(({ chain }) => chain.renewed === true && isNumbered(name, chain.name));
  const prepare = [
    ...made.map(({ kind, name, spec }) => ({ add: { [kind]: { ...at, name, ...spec } } })),
    ...renewed.flatMap(making),
  ];
  const sweep = [
    ...removalOf(over.filter(isReplaced)),
    ...without(standing.sets, sets).map(deletion),
  ];
  return {
    ...prepare.length === 0 ? {} : { prepare: inTable(prepare) },
    commit: inTable([
      ...changed.filter((chain) => chain.renewed !== true)
        .flatMap((chain) => remaking(chain, standing)),
      ...removalOf(over.filter((name) => !isReplaced(name))),
    ]),
    ...sweep.length === 0 ? {} : { sweep: inTable(sweep) },
    undo: inTable([...removalOf(renewed.map(({ name }) => name)), ...made.map(deletion)]),
    left: {
      sets: new Map(sets.map(({ set, name, text }) => [set.name, { name, text }])),
      chains: new Map(chains.map(({ chain, name, text }) => [chain.name, { name, text }])),
    },
  };
}

/** The one transaction that makes the table anew, for a table without sets. */
export function replacing(content: NftContent): NftTransaction {
  // `add` first: deleting a table that is not there would fail the transaction.
  return inTable([
    { delete: { table } },
    { add: { table } },
    ...content.chains((set) => set).flatMap(making),
  ]);
}

/** The transaction that removes the table; it succeeds also when there is none. */
export function removal(): NftTransaction {
  return inTable([{ delete: { table } }]);
}

function inTable(commands: readonly NftJson[]): NftTransaction {
  return { nftables: [{ add: { table } }, ...commands] };
}

/** @param numbered Among what it gets a name that is free; undefined for what keeps its name */
function part(
  name: string,
  text: string,
  left: ReadonlyMap<string, PartLeft> | undefined,
  numbered: readonly { readonly name: string }[] | undefined,
): PartLeft & { readonly isKept: boolean } {
  const kept = left?.get(name);
  if (kept?.text === text) return { ...kept, isKept: true };
  return { name: numbered === undefined ? name : freeName(name, numbered), text, isKept: false };
}

/** The name with the next number behind it. */
function freeName(name: string, standing: readonly { readonly name: string }[]): string {
  const numbers = standing.filter((each) => isNumbered(each.name, name))
    .map((each) => Number(each.name.slice(name.length + 1)));
  return `${name}-${1 + Math.max(0, ...numbers)}`;
}

/** Whether it is called by this name with a number. */
function isNumbered(name: string, base: string): boolean {
  return name.startsWith(`${base}-`) && /^\d{1,9}$/.test(name.slice(base.length + 1));
}

function without<T extends { readonly name: string }>(
  all: readonly T[],
  kept: readonly { readonly name: string }[],
): T[] {
  const names = new Set(kept.map(({ name }) => name));
  return all.filter(({ name }) => !names.has(name));
}

function elementsOf({ type, elements }: NftSet): { readonly [key: string]: NftJson } {
  return { ...type, ...elements.length === 0 ? {} : { elem: elements } };
}

/** A chain stays where it stands, so that a packet always finds one at the hook. */
function remaking(chain: NftChain, standing: TableStanding): NftJson[] {
  const base = standing.chains.find(({ name }) => name === chain.name)?.base;
  if (base === undefined) return making(chain);
  const isSame = (["type", "hook", "prio"] as const).every((key) => base[key] === chain.base[key]);
  return isSame
    ? [flush(chain.name), ...rulesOf(chain)]
    : [...removalOf([chain.name]), ...making(chain)];
}

function making(chain: NftChain): NftJson[] {
  return [addition(chain), ...rulesOf(chain)];
}

function addition({ name, base }: NftChain): NftJson {
  return { add: { chain: { ...at, name, ...base, policy: "accept" } } };
}

function rulesOf({ name, rules }: NftChain): NftJson[] {
  return rules.map((expr) => ({ add: { rule: { ...at, chain: name, expr } } }));
}

function flush(name: string): NftJson {
  return { flush: { chain: { ...at, name } } };
}

/** All are emptied first: their rules may lead from one to another. */
function removalOf(names: readonly string[]): NftJson[] {
  return [...names.map(flush), ...names.map((name) => ({ delete: { chain: { ...at, name } } }))];
}

function deletion({ kind, name }: Pick<NftSet, "kind" | "name">): NftJson {
  return { delete: { [kind]: { ...at, name } } };
}
