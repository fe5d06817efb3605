/**
 * The nftables table of this project as one pure value, and its text in nft's JSON schema (libnftables-json(5)).
 *
 * Two base chains serve all VRFs; what differs between VRFs is in sets and maps, so that a packet costs the same with one
 * tenant as with a thousand:
 *
 * - `prerouting` (mangle): a new flow from a VRF's interface gets the VRF's number as ct mark; every packet of a marked flow
 *   gets the mark back, which the RPDB turns into the VRF's table. Packets that kube-proxy marked (0x4000) are left alone.
 * - `postrouting` (srcnat): a flow from inside a VRF's prefix to outside it, through the default link, is masqueraded. The
 *   mark is part of the set's key: tenants may use the same prefix.
 */

/** One VRF's share of the table. */
export interface FirewallVrf {
  /** VRF number, used as the mark. */
  readonly vrf: number;
  /** Interfaces on the host through which the pods' packets arrive. */
  readonly ingress: readonly string[];
  /** Prefixes inside which addresses are kept, in CIDR form. */
  readonly prefixes: readonly string[];
}

/** All that the table depends on. */
export interface FirewallModel {
  /** The link that leads out of the node. */
  readonly defaultLink: string;
  /** VRFs, in any order. */
  readonly vrfs: readonly FirewallVrf[];
}

/** Name of the table, in family `inet`. */
export const firewallTable = "pyroute2-cni";

/** A mark bit that belongs to kube-proxy ("masquerade this"); marks with it are not ours. */
const kubeProxyMark = 0x4000;

/** JSON as nft takes and prints it. */
export type NftJson =
  | string
  | number
  | boolean
  | null
  | readonly NftJson[]
  | { readonly [key: string]: NftJson };

const family = "inet";
const table = { family, name: firewallTable };
const at = { family, table: firewallTable };
const meta = (key: string): NftJson => ({ meta: { key } });
const ctMark: NftJson = { ct: { key: "mark" } };
const match = (op: string, left: NftJson, right: NftJson): NftJson => ({
  match: { op, left, right },
});
const saddr: NftJson = { payload: { protocol: "ip", field: "saddr" } };
const daddr: NftJson = { payload: { protocol: "ip", field: "daddr" } };

/**
 * Renders the transaction that replaces the table by the desired one, whatever stood before. nft applies it as a whole or
 * not at all.
 */
export function renderFirewall(model: FirewallModel): { readonly nftables: readonly NftJson[] } {
  return {
    nftables: [
      // `add` first: deleting a table that is not there would fail the transaction.
      { add: { table } },
      { delete: { table } },
      { add: { table } },
      ...sets(model),
      ...prerouting(),
      ...postrouting(model.defaultLink),
    ],
  };
}

/** Renders the transaction that removes the table; it succeeds also when there is none. */
export function renderFirewallRemoval(): { readonly nftables: readonly NftJson[] } {
  return { nftables: [{ add: { table } }, { delete: { table } }] };
}

function sets(model: FirewallModel): NftJson[] {
  const vrfs = model.vrfs.toSorted((a, b) => a.vrf - b.vrf);
  const ingress = vrfs.flatMap((vrf) => vrf.ingress.map((name): NftJson => [name, vrf.vrf]));
  const inside = vrfs.flatMap((vrf) =>
    vrf.prefixes.map((cidr): NftJson => ({ concat: [vrf.vrf, prefixElement(cidr)] }))
  );
  const elements = (items: readonly NftJson[]) => items.length === 0 ? {} : { elem: items };
  return [
    {
      add: { map: { ...at, name: "ingress", type: "ifname", map: "mark", ...elements(ingress) } },
    },
    {
      add: {
        set: { ...at, name: "marks", type: "mark", ...elements(vrfs.map((vrf) => vrf.vrf)) },
      },
    },
    {
      add: {
        set: {
          ...at,
          name: "inside",
          type: ["mark", "ipv4_addr"],
          flags: ["interval"],
          ...elements(inside),
        },
      },
    },
  ];
}

function prefixElement(cidr: string): NftJson {
  const [addr = "", length = ""] = cidr.split("/");
  return { prefix: { addr, len: Number(length) } };
}

function chain(name: string, type: string, hook: string, prio: number): NftJson {
  return { add: { chain: { ...at, name, type, hook, prio, policy: "accept" } } };
}

function rule(chainName: string, ...expr: readonly NftJson[]): NftJson {
  return { add: { rule: { ...at, chain: chainName, expr } } };
}

function prerouting(): NftJson[] {
  const name = "prerouting";
  const fromMap: NftJson = { map: { key: meta("iifname"), data: "@ingress" } };
  return [
    chain(name, "filter", "prerouting", -150),
    rule(
      name,
      match("in", { ct: { key: "state" } }, "new"),
      { mangle: { key: ctMark, value: fromMap } },
    ),
    rule(name, match("!=", { "&": [meta("mark"), kubeProxyMark] }, 0), { return: null }),
    rule(name, match("==", ctMark, "@marks"), { mangle: { key: meta("mark"), value: ctMark } }),
  ];
}

function postrouting(defaultLink: string): NftJson[] {
  const name = "postrouting";
  return [
    chain(name, "nat", "postrouting", 100),
    rule(
      name,
      match("==", meta("oifname"), defaultLink),
      match("==", { concat: [meta("mark"), saddr] }, "@inside"),
      match("!=", { concat: [meta("mark"), daddr] }, "@inside"),
      { masquerade: null },
    ),
  ];
}
