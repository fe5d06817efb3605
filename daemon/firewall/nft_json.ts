/** Words of nft's JSON schema (libnftables-json(5)), as far as the project's tables are made of them. Pure. */
import type { IpFamily } from "../../lib/net/address.ts";

/** Name of the table, in family `inet`. */
export const firewallTable = "pyroute2-cni";

/** JSON as nft takes and prints it. */
export type NftJson =
  | string
  | number
  | boolean
  | null
  | readonly NftJson[]
  | { readonly [key: string]: NftJson };

/** A transaction as `nft -j -f` takes it. */
export interface NftTransaction {
  /** Commands, applied together or not at all. */
  readonly nftables: readonly NftJson[];
}

/** The table, as a command names it. */
export const table = { family: "inet", name: firewallTable };
/** The table, as an object within it names it. */
export const at = { family: "inet", table: firewallTable };
/** A packet's metadata. */
export const meta = (key: string): NftJson => ({ meta: { key } });
/** What conntrack knows of a packet. */
export const ct = (key: string): NftJson => ({ ct: { key } });
/** A condition. */
export const match = (op: string, left: NftJson, right: NftJson): NftJson => ({
  match: { op, left, right },
});
/** The bits of a value that a mask has. */
export const and = (left: NftJson, bits: number): NftJson => ({ "&": [left, bits] });
/** Several values as one key. */
export const concat = (...parts: readonly NftJson[]): NftJson => ({ concat: parts });
/** A value that a packet or its connection is given. */
export const set = (key: NftJson, value: NftJson): NftJson => ({ mangle: { key, value } });
/** The first packet of a flow. */
export const isNew: NftJson = match("in", ct("state"), "new");
/** An address of this node in place of the source's. */
export const masquerade: NftJson = { masquerade: null };

/** A set or a map of the table. */
export interface NftSet {
  /** Which of the two. */
  readonly kind: "set" | "map";
  /** What it is called, by itself or as the beginning of its name. */
  readonly name: string;
  /** Types of its elements, flags. */
  readonly type: { readonly [key: string]: NftJson };
  /** Its elements. */
  readonly elements: readonly NftJson[];
}

/** A base chain, which accepts what no rule of it decides. */
export interface NftChain {
  /** Name. */
  readonly name: string;
  /** Of which type, at which hook and with which priority. */
  readonly base: { readonly type: string; readonly hook: string; readonly prio: number };
  /** Its rules, each a list of statements. */
  readonly rules: readonly (readonly NftJson[])[];
  /**
   * Set where rules have a map in themselves, which goes with them: such a chain is replaced by one of another name, and for a while both stand. The
   * name is then the beginning of what it is called.
   */
  readonly renewed?: boolean;
}

/** What a table holds. */
export interface NftContent {
  /** Its sets and maps. */
  readonly sets: readonly NftSet[];
  /** Its chains, whose rules mean the sets by what they are called in the kernel. */
  readonly chains: (nameOf: (set: string) => string) => readonly NftChain[];
}

/** A base chain of rules. */
export function chain(
  name: string,
  type: string,
  hook: string,
  prio: number,
  rules: NftChain["rules"],
): NftChain {
  return { name, base: { type, hook, prio }, rules };
}

/** A rule of these statements. */
export const rule = (...statements: readonly NftJson[]): readonly NftJson[] => statements;

/** What an IP version is called, and what distinguishes the names of its sets. */
export interface Family {
  /** 4 or 6. */
  readonly number: IpFamily;
  /** Of a payload expression. */
  readonly protocol: "ip" | "ip6";
  /** Of a set's elements. */
  readonly type: "ipv4_addr" | "ipv6_addr";
  /** At the end of a set's name. */
  readonly suffix: "" | "6";
}

/** IPv4. */
export const ipv4: Family = { number: 4, protocol: "ip", type: "ipv4_addr", suffix: "" };
/** IPv6. */
export const ipv6: Family = { number: 6, protocol: "ip6", type: "ipv6_addr", suffix: "6" };
/** Both. */
export const families = [ipv4, ipv6] as const;

/** A packet's source or destination. */
export const address = ({ protocol }: Family, field: "saddr" | "daddr"): NftJson => ({
  payload: { protocol, field },
});
/** Addresses or prefixes of one IP version. */
export const ofFamily = ({ number }: Family, cidrs: readonly string[]): readonly string[] =>
  cidrs.filter((cidr) => cidr.includes(":") === (number === 6));

/** A prefix, as an element or a value. */
export function prefixElement(cidr: string): NftJson {
  const [addr = "", length = ""] = cidr.split("/");
  return { prefix: { addr, len: Number(length) } };
}
