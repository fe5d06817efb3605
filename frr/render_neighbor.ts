/** A BGP peer as lines of FRR configuration. Pure. */

import type { FrrBfd, FrrNeighbor } from "./model.ts";

/** Names of BFD profiles that this project makes: others are somebody else's. */
export const BFD_PROFILE_PREFIX = "pyroute2-";

/** FRR's defaults, which it hides. */
const BFD_DEFAULTS = { detectMultiplier: 3, transmitInterval: 300, receiveInterval: 300 } as const;
/** The number that FRR hides. */
const ALLOWAS_IN_DEFAULT = 3;

/** Whether a peer is of another autonomous system. */
export function isExternal({ remoteAs }: FrrNeighbor, asn: number): boolean {
  return remoteAs !== "internal" && remoteAs !== asn;
}

/**
 * Lines of a peer in the BGP instance.
 *
 * @param asn The node's AS number
 */
export function neighborLines(neighbor: FrrNeighbor, asn: number): string[] {
  const { address, bfd, timers, gracefulRestart } = neighbor;
  const profile = bfd === undefined ? undefined : profileOf(bfd);
  const settings: readonly (string | undefined)[] = [
    `remote-as ${neighbor.remoteAs}`,
    withValue("description", neighbor.description),
    bfd === undefined ? undefined : "bfd",
    withValue("bfd profile", profile),
    withValue("password", neighbor.password),
    neighbor.shutdown === true ? "shutdown message maximum of prefixes exceeded" : undefined,
    withValue("ebgp-multihop", isExternal(neighbor, asn) ? neighbor.ebgpMultihop : undefined),
    withValue("update-source", neighbor.updateSource),
    timers === undefined ? undefined : `timers ${timers.keepalive} ${timers.hold}`,
    withValue("timers connect", neighbor.connectRetry),
    gracefulRestart === undefined ? undefined : restartWords[gracefulRestart],
  ];
  return settings.flatMap((setting) =>
    setting === undefined ? [] : [` neighbor ${address} ${setting}`]
  );
}

const restartWords = {
  restart: "graceful-restart",
  helper: "graceful-restart-helper",
  disable: "graceful-restart-disable",
} as const;

/** Lines of a peer in the address family. */
export function neighborFamilyLines({ address, allowAsIn }: FrrNeighbor): string[] {
  const times = allowAsIn === ALLOWAS_IN_DEFAULT ? "" : ` ${allowAsIn}`;
  return [
    `  neighbor ${address} activate`,
    ...allowAsIn === undefined ? [] : [`  neighbor ${address} allowas-in${times}`],
  ];
}

/** The section of BFD profiles that the peers need; none when they need none. */
export function bfdSection(neighbors: readonly FrrNeighbor[]): string[][] {
  const profiles = new Map(
    neighbors.flatMap(({ bfd }): [string, FrrBfd][] => {
      const name = bfd === undefined ? undefined : profileOf(bfd);
      return bfd === undefined || name === undefined ? [] : [[name, bfd]];
    }),
  );
  if (profiles.size === 0) return [];
  const sections = [...profiles].toSorted(([a], [b]) => a < b ? -1 : 1).flatMap(([name, bfd]) => [
    ` profile ${name}`,
    ...bfdLine("detect-multiplier", "detectMultiplier", bfd),
    ...bfdLine("transmit-interval", "transmitInterval", bfd),
    ...bfdLine("receive-interval", "receiveInterval", bfd),
    " exit",
    " !",
  ]);
  return [["bfd", ...sections, "exit"]];
}

function bfdLine(word: string, key: keyof FrrBfd, bfd: FrrBfd): string[] {
  const value = bfd[key] ?? BFD_DEFAULTS[key];
  return value === BFD_DEFAULTS[key] ? [] : [`  ${word} ${value}`];
}

/** Equal settings share a profile; FRR's own need none. */
function profileOf(bfd: FrrBfd): string | undefined {
  const { detectMultiplier, transmitInterval, receiveInterval } = { ...BFD_DEFAULTS, ...bfd };
  const isDefault = detectMultiplier === BFD_DEFAULTS.detectMultiplier &&
    transmitInterval === BFD_DEFAULTS.transmitInterval &&
    receiveInterval === BFD_DEFAULTS.receiveInterval;
  return isDefault
    ? undefined
    : `${BFD_PROFILE_PREFIX}${detectMultiplier}-${transmitInterval}-${receiveInterval}`;
}

function withValue(word: string, value: string | number | undefined): string | undefined {
  return value === undefined ? undefined : `${word} ${value}`;
}
