/**
 * The nftables table of this project as one pure value, and its text in nft's JSON schema (libnftables-json(5)).
 *
 * What differs between VRFs is in sets and maps, so that a packet costs the same with one tenant as with a thousand. In the order in which a
 * packet meets them:
 *
 * - `zones` (raw): what comes out of a VRF is looked up in the VRF's own conntrack zone, so that flows of tenants with the same addresses
 *   and ports stay two. Only the original direction has a zone: answers come in by other interfaces.
 * - `prerouting` (mangle): a new flow from a VRF gets the VRF's mark as ct mark; the packets of the way back get it as packet mark, by which
 *   the RPDB leads them to where the flow came from. A packet that already has a bit outside our mask, such as kube-proxy's 0x4000, is left
 *   alone.
 * - `translated` (after dstnat): what comes from outside and was sent by DNAT to a pod of this node gets the mark of the pod's VRF, by which
 *   the RPDB leads it there.
 * - `input` (filter): a VRF without egress does not reach the node's own addresses either.
 * - `forward` (mangle): a flow into a VRF that comes from no VRF is marked as such, so that its answers leave by the node's routes.
 * - `postrouting` (srcnat): who must be answered by way of this node gets an address of it, see {@linkcode renderFirewall}.
 */
import { validateFirewall, validateVrfFirewall } from "./check.ts";
import { sets } from "./sets.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";
import { outsideMark, zoneOf } from "./marks.ts";
import {
  address,
  and,
  chain,
  concat,
  ct,
  families,
  ipv4,
  isNew,
  masquerade,
  match,
  meta,
  type NftChain,
  type NftContent,
  type NftJson,
  ofFamily,
  prefixElement,
  rule,
  set,
} from "./nft_json.ts";

/**
 * Renders the host's table. Connections keep what they were given when it is replaced.
 *
 * A flow is masqueraded when it
 * - leaves a VRF with `nat` by a link that leads out of the node, from inside the VRF's prefixes to outside them;
 * - goes from one VRF into another: there the tenant's address means nothing, or somebody else;
 * - was sent by DNAT to a neighbour within its own VRF, who would answer past the DNAT;
 * - is the node's own and would enter a VRF with an address of the node's.
 *
 * @throws {FirewallModelError} When a value of the model would mean something else to nft
 */
export function renderFirewall(model: FirewallModel): NftContent {
  validateFirewall(model);
  const vrfs = model.vrfs.toSorted((a, b) => a.mark - b.mark);
  return {
    sets: sets(vrfs, model),
    chains: (nameOf) => {
      const at: At = (set) => `@${nameOf(set)}`;
      return [
        zones(vrfs),
        prerouting(model.markMask, at),
        translated(model.markMask, at),
        input(model.markMask, at),
        forward(model.markMask, at),
        postrouting(model, at),
      ];
    },
  };
}

/** How a rule means a set. */
type At = (set: string) => string;

/** The table of a VRF that is a network namespace of its own. */
export interface VrfFirewallModel {
  /** Name in that namespace of the link that leads to the host. */
  readonly hostLink: string;
  /** Prefixes that the addresses of such links are of, in CIDR form. */
  readonly hostPrefixes: readonly string[];
  /** Addresses of the node inside the VRF; the first of each IP version is used. */
  readonly gateways: readonly string[];
}

/**
 * Renders the table of a VRF that is a network namespace of its own: what the node sends into it with an address of the host leg goes on with
 * the gateway's, since other nodes know no way back to the former. It is named, for the link by which the packet leaves may have none.
 */
export function renderVrfFirewall(model: VrfFirewallModel): NftContent {
  validateVrfFirewall(model);
  const rules = families.flatMap((family) => {
    const [gateway] = ofFamily(family, model.gateways);
    if (gateway === undefined) return [];
    return ofFamily(family, model.hostPrefixes).map((cidr) =>
      rule(
        match("==", meta("iifname"), model.hostLink),
        match("==", address(family, "saddr"), prefixElement(cidr)),
        { snat: { family: family.protocol, addr: gateway } },
      )
    );
  });
  return { sets: [], chains: () => [chain("postrouting", "nat", "postrouting", 100, rules)] };
}

function zones(vrfs: readonly FirewallVrf[]): NftChain {
  // A map by name cannot have zones as its values.
  const elements = vrfs.flatMap(({ ingress, mark }) =>
    ingress.map((link): NftJson => [link, zoneOf(mark)])
  );
  const zone: NftJson = { ct: { key: "zone", dir: "original" } };
  const ofLink: NftJson = { map: { key: meta("iifname"), data: { set: elements } } };
  const rules = elements.length === 0 ? [] : [rule(set(zone, ofLink))];
  // Where two of them stand, a packet keeps the zone that it has from the first.
  return { ...chain("zones", "filter", "prerouting", -300, rules), renewed: true };
}

function prerouting(mask: number, at: At): NftChain {
  const origin = and(ct("mark"), mask);
  return chain("prerouting", "filter", "prerouting", -150, [
    rule(isNew, set(ct("mark"), { map: { key: meta("iifname"), data: at("ingress") } })),
    rule(
      match("==", ct("direction"), "reply"),
      match("==", and(meta("mark"), ~mask >>> 0), 0),
      match("==", origin, at("origins")),
      set(meta("mark"), origin),
    ),
  ]);
}

function translated(mask: number, at: At): NftChain {
  return chain("translated", "filter", "prerouting", -90, [
    ...families.map((family) =>
      rule(
        match("==", ct("direction"), "original"),
        match("in", ct("status"), "dnat"),
        match("!=", and(ct("mark"), mask), at("marks")),
        match("==", and(meta("mark"), ~mask >>> 0), 0),
        set(meta("mark"), {
          map: { key: address(family, "daddr"), data: at(`blocks${family.suffix}`) },
        }),
      )
    ),
  ]);
}

function input(mask: number, at: At): NftChain {
  const origin = and(ct("mark"), mask);
  return chain("input", "filter", "input", 0, [
    ...families.map((family) =>
      rule(
        isNew,
        match("==", origin, at("closed")),
        match("!=", concat(origin, address(family, "daddr")), at(`inside${family.suffix}`)),
        { reject: { type: "icmpx", expr: "admin-prohibited" } },
      )
    ),
  ]);
}

function forward(mask: number, at: At): NftChain {
  return chain("forward", "filter", "forward", -150, [
    rule(
      isNew,
      match("==", meta("oifname"), at("links")),
      match("==", and(ct("mark"), mask), 0),
      set(ct("mark"), outsideMark(mask)),
    ),
  ]);
}

function postrouting({ markMask, nat66 }: FirewallModel, at: At): NftChain {
  const origin = and(ct("mark"), markMask);
  const oifname = meta("oifname");
  const outwards = nat66 === true ? families : [ipv4];
  return chain("postrouting", "nat", "postrouting", 100, [
    ...outwards.map((family) =>
      rule(
        match("==", oifname, at("outward")),
        match("==", origin, at("natted")),
        match("==", concat(origin, address(family, "saddr")), at(`inside${family.suffix}`)),
        match("!=", concat(origin, address(family, "daddr")), at(`inside${family.suffix}`)),
        masquerade,
      )
    ),
    rule(
      match("==", oifname, at("links")),
      match("==", origin, at("marks")),
      match("!=", concat(origin, oifname), at("own")),
      masquerade,
    ),
    ...families.map((family) =>
      rule(
        match("in", ct("status"), "dnat"),
        match("==", concat(origin, oifname), at("own")),
        match("==", concat(origin, address(family, "daddr")), at(`neighbors${family.suffix}`)),
        masquerade,
      )
    ),
    rule(
      match("==", oifname, at("links")),
      match("==", { fib: { result: "type", flags: ["saddr"] } }, "local"),
      masquerade,
    ),
  ]);
}
