/**
 * Which transactions make an nftables table as it shall be, whatever stands. Pure.
 *
 * A transaction is atomic for rules, and on older kernels not for sets: what a set of intervals gets, packets find there only after the rules
 * that ask for it are in force (nft_pipapo_commit of net/netfilter/nft_set_pipapo.c; seen with 6.1). A flow that begins in between is told
 * apart wrongly for good, such as never masqueraded. So no set in use is ever changed: sets that differ are made first, under new names, by a
 * transaction of their own, and the next one leads the rules to them.
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

/** A table as it was left: what each set is called and holds, and the rules of each chain. */
export interface TableLeft {
  /** Names in the kernel and contents, by the names of the content. */
  readonly sets: ReadonlyMap<string, { readonly name: string; readonly text: string }>;
  /** What each chain is, by its name. */
  readonly chains: ReadonlyMap<string, string>;
}

/** Transactions, and what they leave. */
export interface TableSteps {
  /** Makes the sets that no rule asks for yet; absent where all stand. */
  readonly prepare?: NftTransaction;
  /** Makes the chains, and takes away what is over. */
  readonly commit: NftTransaction;
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
  const sets = content.sets.map((set) => {
    const text = JSON.stringify(set);
    const kept = left?.sets.get(set.name);
    const isKept = kept?.text === text;
    return { set, text, isKept, name: isKept ? kept.name : freeName(set.name, standing) };
  });
  const names = new Map(sets.map(({ set, name }) => [set.name, name]));
  const chains = content.chains((set) => names.get(set) ?? set);
  const made = sets.filter(({ isKept }) => !isKept)
    .map(({ set, name }) => ({ kind: set.kind, name, spec: elementsOf(set) }));
  const used = new Set(names.values());
  const over = standing.sets.filter(({ name }) => !used.has(name));
  return {
    ...made.length === 0 ? {} : {
      prepare: inTable(
        made.map(({ kind, name, spec }) => ({ add: { [kind]: { ...at, name, ...spec } } })),
      ),
    },
    commit: inTable([
      ...chainCommands(chains, standing, left),
      ...over.map(deletion),
    ]),
    undo: inTable(made.map(deletion)),
    left: {
      sets: new Map(sets.map(({ set, name, text }) => [set.name, { name, text }])),
      chains: new Map(chains.map((chain) => [chain.name, JSON.stringify(chain)])),
    },
  };
}

/** The one transaction that makes the table anew, for a table without sets. */
export function replacing(content: NftContent): NftTransaction {
  // `add` first: deleting a table that is not there would fail the transaction.
  return inTable([
    { delete: { table } },
    { add: { table } },
    ...content.chains((set) => set).flatMap((chain) => [addition(chain), ...rulesOf(chain)]),
  ]);
}

/** The transaction that removes the table; it succeeds also when there is none. */
export function removal(): NftTransaction {
  return inTable([{ delete: { table } }]);
}

function inTable(commands: readonly NftJson[]): NftTransaction {
  return { nftables: [{ add: { table } }, ...commands] };
}

/** A name that no set has: that of the content with a number behind it. */
function freeName(name: string, standing: TableStanding): string {
  const numbers = standing.sets.flatMap((each) => {
    const [, base, number] = /^(\w+)-(\d{1,9})$/.exec(each.name) ?? [];
    return base === name ? [Number(number)] : [];
  });
  return `${name}-${1 + Math.max(0, ...numbers)}`;
}

function elementsOf({ type, elements }: NftSet): { readonly [key: string]: NftJson } {
  return { ...type, ...elements.length === 0 ? {} : { elem: elements } };
}

/** Chains stay where they stand, so that a packet always finds one at the hook; those of the same rules are not touched. */
function chainCommands(
  chains: readonly NftChain[],
  standing: TableStanding,
  left: TableLeft | undefined,
): NftJson[] {
  const found = new Map(standing.chains.map(({ name, base }) => [name, base]));
  const wanted = new Set(chains.map(({ name }) => name));
  return [
    ...chains.flatMap((chain) => {
      const base = found.get(chain.name);
      if (base === undefined) return [addition(chain), ...rulesOf(chain)];
      if (left?.chains.get(chain.name) === JSON.stringify(chain)) return [];
      const isSame = (["type", "hook", "prio"] as const).every((key) =>
        base[key] === chain.base[key]
      );
      const anew = isSame ? [] : [removalOf(chain.name), addition(chain)];
      return [flush(chain.name), ...anew, ...rulesOf(chain)];
    }),
    ...[...found.keys()].filter((name) => !wanted.has(name))
      .flatMap((name) => [flush(name), removalOf(name)]),
  ];
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

function removalOf(name: string): NftJson {
  return { delete: { chain: { ...at, name } } };
}

function deletion({ kind, name }: Pick<NftSet, "kind" | "name">): NftJson {
  return { delete: { [kind]: { ...at, name } } };
}
