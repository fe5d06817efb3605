/**
 * How many routes peers may send. FRR 8.4 has no such limit for EVPN, so that the daemon counts what bgpd says that it took of a peer, and
 * has one shut down that sent more.
 */
import type { FrrPeerState } from "../../frr/protocol.ts";
import type { FrrNeighbor } from "../../frr/model.ts";
import type { MaxPrefixes } from "../resources/bgp_peer.ts";
import type { Peer } from "./peers.ts";

/** A peer that is shut down. */
export interface ShutPeer {
  /** How many routes it had sent. */
  readonly prefixes: number;
  /** The limit that it exceeded: another one is another chance. */
  readonly limit: MaxPrefixes;
  /** When that was seen, in milliseconds since 1970. */
  readonly since: number;
}

/** Remembers the peers that are shut down, over a restart of the daemon. */
export interface ShutPeers {
  /** Those that are, by address. */
  all(): ReadonlyMap<string, ShutPeer>;
  /** Keeps exactly these. Never throws. */
  replace(peers: ReadonlyMap<string, ShutPeer>): void;
}

/** A peer with more routes than it may send. */
export interface PeerOverLimit {
  /** Its address. */
  readonly address: string;
  /** Whether it is shut down for that. */
  readonly shut: boolean;
  /** What happened and how it ends, for a person. */
  readonly message: string;
}

/** What becomes of the peers. */
export interface JudgedPeers {
  /** All of them, some shut down. */
  readonly peers: readonly FrrNeighbor[];
  /** Those over their limit. */
  readonly overLimit: readonly PeerOverLimit[];
  /** Whether any has a limit. */
  readonly limited: boolean;
}

/** Judges peers by what was seen of them. */
export interface PrefixLimits {
  /** Takes what FRR says of the peers now; gives whether some peer is to be shut down or spoken with again for it. */
  saw(peers: readonly FrrPeerState[]): boolean;
  /** Shuts down those over their limit, and tells of them. */
  judge(peers: readonly Peer[]): JudgedPeers;
}

/**
 * Makes limits.
 *
 * @param shut Peers that are shut down already
 * @param clock Gives the time, in milliseconds since 1970
 */
export function createPrefixLimits(shut: ShutPeers, clock: () => number): PrefixLimits {
  let limits: ReadonlyMap<string, MaxPrefixes> = new Map();
  let seen: ReadonlyMap<string, number> = new Map();

  /** Those to be shut down now: as before, less those that had their time or another limit, and those that are over it. */
  function shutNow(): Map<string, ShutPeer> {
    const before = shut.all();
    const now = clock();
    return new Map([...limits].flatMap(([address, limit]): [string, ShutPeer][] => {
      const known = before.get(address);
      if (known !== undefined && isEqual(known.limit, limit)) {
        return isOver(known, now) ? [] : [[address, known]];
      }
      const prefixes = seen.get(address) ?? 0;
      const exceeded = limit.warnOnly !== true && prefixes > limit.limit;
      return exceeded ? [[address, { prefixes, limit, since: now }]] : [];
    }));
  }

  function overLimit(address: string, limit: MaxPrefixes): PeerOverLimit[] {
    const peer = shut.all().get(address);
    if (peer !== undefined) return [{ address, shut: true, message: shutMessage(address, peer) }];
    if (limit.warnOnly !== true || (seen.get(address) ?? 0) <= limit.limit) return [];
    // Not how many: the words would change with each route.
    const message = `Expected at most ${limit.limit} routes of the peer "${address}", found more`;
    return [{ address, shut: false, message }];
  }

  return {
    saw(peers) {
      seen = new Map(
        peers.filter(({ established }) => established)
          .map(({ address, prefixesReceived }) => [address, prefixesReceived]),
      );
      const before = shut.all();
      const now = shutNow();
      return before.size !== now.size || [...now.keys()].some((address) => !before.has(address));
    },
    judge(peers) {
      limits = new Map(
        peers.flatMap(({ address, maxPrefixes }): [string, MaxPrefixes][] =>
          maxPrefixes === undefined ? [] : [[address, maxPrefixes]]
        ),
      );
      const now = shutNow();
      // What was seen of a peer before it is spoken with again says nothing of it any more.
      seen = new Map([...seen].filter(([address]) => now.has(address) || !shut.all().has(address)));
      shut.replace(now);
      return {
        peers: peers.map(({ maxPrefixes: _, ...peer }) =>
          now.has(peer.address) ? { ...peer, shutdown: true } : peer
        ),
        overLimit: [...limits].flatMap(([address, limit]) => overLimit(address, limit)),
        limited: limits.size > 0,
      };
    },
  };
}

function isOver({ since, limit: { restartSeconds } }: ShutPeer, now: number): boolean {
  return restartSeconds !== undefined && now >= since + restartSeconds * 1000;
}

function isEqual(a: MaxPrefixes, b: MaxPrefixes): boolean {
  return a.limit === b.limit && a.restartSeconds === b.restartSeconds &&
    (a.warnOnly === true) === (b.warnOnly === true);
}

function shutMessage(address: string, { prefixes, limit, since }: ShutPeer): string {
  const { restartSeconds } = limit;
  const until = restartSeconds === undefined
    ? "until its maxPrefixes is changed"
    : `until ${new Date(since + restartSeconds * 1000).toISOString()}`;
  return `Expected at most ${limit.limit} routes of the peer "${address}", found ${prefixes}; ` +
    `it is shut down ${until}`;
}
