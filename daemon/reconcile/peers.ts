/** The BGP peers of a node, from its settings and the other nodes'. Pure. */
import type { FrrNeighbor } from "../../frr/model.ts";
import { FrrModelError, requireUnicast, validateNeighbor } from "../../frr/validate.ts";
import { addressFamily, formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { BgpPeer, BgpTimers, MaxPrefixes, SecretKeyRef } from "../resources/bgp_peer.ts";
import type { VRFNodeConfigSpec } from "../resources/vrf_node_config.ts";

/** Another node as a peer. */
export interface MeshNode {
  /** Where it is reached. */
  readonly address: string;
  /** Its AS number; the installation's when absent. */
  readonly asn?: number | undefined;
}

/** The peers' passwords as they are now. */
export interface ResolvedPasswords {
  /** The password of a reference; undefined while there is none that can be used. */
  passwordOf(ref: SecretKeyRef): string | undefined;
  /** What is wrong with Secrets, in words without passwords. */
  readonly problems: readonly string[];
}

/** What the peers depend on. */
export interface PeerInput {
  /** The installation's AS number. */
  readonly asn: number;
  /** The node's own settings, if it has any that it can use. */
  readonly config: VRFNodeConfigSpec | undefined;
  /** The other nodes. */
  readonly mesh: readonly MeshNode[];
  /** Gives a peer's password; undefined while there is none: the peer is left out then, for it must not be spoken with openly. */
  readonly passwordOf: (ref: SecretKeyRef) => string | undefined;
}

/** A peer, and how many routes it may send. */
export interface Peer extends FrrNeighbor {
  /** Any number when absent. */
  readonly maxPrefixes?: MaxPrefixes | undefined;
}

/** What a peer is before its settings are looked at. */
type Wanted = Pick<BgpPeer, "address" | "asn">;

type PeerSettings = Partial<BgpPeer>;

/**
 * Computes the peers: those that the settings list, the route reflectors and, as a full mesh, the other nodes. Each address once; what is
 * said of it in the list counts before the defaults.
 */
export function peersOf(input: PeerInput): Peer[] {
  const { config } = input;
  const own = config?.asn ?? input.asn;
  const listed = config?.peers ?? [];
  const reflectors: Wanted[] = (config?.routeReflectors ?? []).map((address) => ({ address }));
  const fullMesh = config?.fullMesh ?? listed.length + reflectors.length === 0;
  const mesh: Wanted[] = fullMesh
    ? input.mesh.filter(isReachable).map(({ address, asn = input.asn }) => ({ address, asn }))
    : [];
  const peers = new Map<string, Peer>();
  for (const wanted of [...listed, ...reflectors, ...mesh]) {
    const address = canonical(wanted.address);
    const said = listed.find((peer) => canonical(peer.address) === address);
    const asn = said?.asn ?? wanted.asn;
    if (peers.has(address)) continue;
    const options: PeerSettings = { ...config?.peerDefaults, ...defined<PeerSettings>(said ?? {}) };
    const ref = options.passwordSecretRef;
    const password = ref === undefined ? undefined : input.passwordOf(ref);
    if (ref !== undefined && password === undefined) continue;
    peers.set(address, neighborOf(address, asn === own ? undefined : asn, options, password));
  }
  return [...peers.values()].toSorted((a, b) => a.address < b.address ? -1 : 1);
}

/** What FRR would not take of the peers that settings list; undefined for nothing. */
export function peerProblem(config: VRFNodeConfigSpec): string | undefined {
  try {
    const passwordOf = () => "unknown";
    for (const neighbor of peersOf({ asn: config.asn ?? 1, config, mesh: [], passwordOf })) {
      validateNeighbor(neighbor, `peer "${neighbor.address}"`);
    }
    return undefined;
  } catch (error) {
    if (error instanceof FrrModelError) return error.message;
    throw error;
  }
}

function neighborOf(
  address: string,
  asn: number | undefined,
  options: PeerSettings,
  password: string | undefined,
): Peer {
  const {
    description,
    bfd,
    timers,
    ebgpMultihop,
    updateSource,
    gracefulRestart,
    allowAsIn,
    filters,
  } = options;
  return defined<Peer>({
    address,
    remoteAs: asn ?? "internal",
    description,
    password,
    bfd: bfd === undefined ? undefined : defined(bfd),
    timers: timers === undefined ? undefined : sessionTimers(timers),
    connectRetry: timers?.connect,
    ebgpMultihop: asn === undefined ? undefined : ebgpMultihop,
    updateSource: updateSource === undefined ? undefined : canonical(updateSource),
    gracefulRestart,
    allowAsIn,
    filters,
    maxPrefixes: options.maxPrefixes === undefined ? undefined : defined(options.maxPrefixes),
  });
}

/** FRR takes both or none; undefined where both are FRR's own. */
function sessionTimers(
  { keepalive, hold }: BgpTimers,
): { readonly keepalive: number; readonly hold: number } | undefined {
  if (keepalive === undefined && hold === undefined) return undefined;
  const silence = hold ?? 180;
  return { hold: silence, keepalive: keepalive ?? Math.floor(silence / 3) };
}

function isReachable({ address }: MeshNode): boolean {
  try {
    requireUnicast(canonical(address), "address");
    return true;
  } catch {
    return false;
  }
}

/** The form in which FRR writes an address; other text as it is. */
function canonical(text: string): string {
  if (addressFamily(text) === undefined) return text;
  const { family, value } = parseAddress(text);
  return formatAddress(family, value);
}

/** The same without what is undefined. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T;
}
