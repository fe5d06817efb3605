/** How this node and the others reach each other: BGP peers, tunnels' ends and router ids. Pure. */
import { addressFamily, canonicalAddress, type IpFamily } from "../../lib/net/address.ts";
import type { SecretKeyRef } from "../resources/bgp_peer.ts";
import type { VRFNodeConfigSpec } from "../resources/vrf_node_config.ts";
import type { Underlay } from "../kernel/port.ts";
import { type Peer, peersOf } from "./peers.ts";
import { derivedRouterId } from "./router_id.ts";

/** Another node, as its objects tell of it. */
export interface OtherNode {
  /** Its name. */
  readonly name: string;
  /** VTEP address that its VRFNodeConfig names. */
  readonly local?: string | undefined;
  /** Router id that its VRFNodeConfig names. */
  readonly routerId?: string | undefined;
  /** AS number that its VRFNodeConfig names; the installation's when absent. */
  readonly asn?: number | undefined;
  /** Its addresses, the one that is to be used first. */
  readonly addresses: readonly string[];
}

/** What is known of the nodes. */
export interface ReachInput {
  /** This node's name. */
  readonly node: string;
  /** Router id that its VRFNodeConfig names. */
  readonly routerId?: string | undefined;
  /** The installation's AS number. */
  readonly asn: number;
  /** This node's settings, if it has any that it can use: they tell the peers besides the mesh. */
  readonly config?: VRFNodeConfigSpec | undefined;
  /** Gives a peer's password; undefined while there is none that can be used. */
  readonly passwordOf?: ((ref: SecretKeyRef) => string | undefined) | undefined;
  /** The other nodes. */
  readonly others: readonly OtherNode[];
}

/** Another node's end of the tunnels. */
export interface NodeVtep {
  /** Name of the node. */
  readonly node: string;
  /** Its VTEP address. */
  readonly address: string;
  /** Its router id. */
  readonly routerId: string;
  /** What stands for it in EVPN routes: on IPv4 the address, on IPv6 the router id. */
  readonly nextHop: string;
}

/** How the others are reached. */
export interface Reach {
  /** BGP identifier of this node. */
  readonly routerId: string;
  /** The BGP peers. */
  readonly peers: readonly Peer[];
  /** The other nodes' ends of the tunnels. */
  readonly vteps: readonly NodeVtep[];
  /** Why some node is not reached, in words. */
  readonly problems: readonly string[];
}

/** Computes how the others are reached from an underlay. */
export function reachOf(input: ReachInput, { address }: Pick<Underlay, "address">): Reach {
  const family = addressFamily(address) ?? 4;
  const vteps = input.others.flatMap((node): NodeVtep[] => {
    const found = vtepOf(node, family);
    if (found === undefined) return [];
    return [vtepAt(node, found)];
  });
  const { passwordOf = () => undefined } = input;
  const asns = new Map(input.others.map(({ name, asn }) => [name, asn]));
  const mesh = vteps.map(({ node, address }) => ({ address, asn: asns.get(node) }));
  const own = vtepAt({ ...input, name: input.node }, address);
  return {
    routerId: own.routerId,
    peers: peersOf({ asn: input.asn, config: input.config, mesh, passwordOf }),
    vteps,
    problems: [
      ...otherFamily(input.others, family),
      ...family === 6 ? sameRouterId([own, ...vteps]) : [],
    ],
  };
}

/** Where the other node's tunnels end, as seen from one whose own run over an IP version; undefined where they run over the other. */
function vtepOf({ local, routerId, addresses }: OtherNode, family: IpFamily): string | undefined {
  const isOfFamily = (text: string) => addressFamily(text) === family;
  if (local !== undefined) return isOfFamily(local) ? canonicalAddress(local) : undefined;
  if (family === 6) return addresses.find(isOfFamily);
  return routerId ?? addresses.find(isOfFamily) ?? addresses[0];
}

function vtepAt(node: Pick<OtherNode, "name" | "routerId">, address: string): NodeVtep {
  const routerId = routerIdOf(node, address);
  const nextHop = addressFamily(address) === 6 ? routerId : address;
  return { node: node.name, address, routerId, nextHop };
}

function routerIdOf(node: Pick<OtherNode, "name" | "routerId">, vtep: string): string {
  return node.routerId ?? (addressFamily(vtep) === 4 ? vtep : derivedRouterId(node.name));
}

function otherFamily(others: readonly OtherNode[], family: IpFamily): string[] {
  return others
    .filter((node) => vtepOf(node, family) === undefined)
    .filter(({ local, addresses }) => local !== undefined || addresses.length > 0)
    .map(({ name }) =>
      `Expected an IPv${family} address for the tunnels of the node "${name}", as this one has, found none; all nodes need the same IP version, ` +
      "see VRFNodeConfig"
    );
}

function sameRouterId(vteps: readonly NodeVtep[]): string[] {
  return [...Map.groupBy(vteps, ({ routerId }) => routerId)]
    .filter(([, nodes]) => nodes.length > 1)
    .map(([routerId, nodes]) =>
      `Expected a router id of its own for each node, found "${routerId}" for ${
        nodes.map(({ node }) => `"${node}"`).join(", ")
      }; give one of them "spec.routerId" by a VRFNodeConfig`
    );
}
