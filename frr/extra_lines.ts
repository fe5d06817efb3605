/**
 * The lines of FRR that people may add to what this project renders. A list of what is allowed, not of what is not: FRR takes a line that
 * its context does not know in the contexts around it, so that `log file` or `password` would be taken between the lines of an address
 * family. Every line here is known to FRR 8.4 in its own context, shown there as it was written, and taken back by its opposite. Pure.
 */

/** Where extra lines stand. */
export type ExtraContext = "bgp" | "evpn" | "vrfBgp" | "vrfIpv4" | "vrfIpv6" | "vrfEvpn";

/** What stands for a value in a line. */
const VALUES: readonly (readonly [word: string, pattern: string])[] = [
  ["NUMBER", "[0-9]{1,10}"],
  ["ADDRESS", "[0-9A-Fa-f.:]{2,45}"],
  ["PREFIX", "[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}"],
];

/** Of any BGP instance. */
const DECISIONS = [
  "bgp always-compare-med",
  "bgp bestpath as-path confed",
  "bgp bestpath as-path ignore",
  "bgp bestpath as-path multipath-relax",
  "bgp bestpath compare-routerid",
  "bgp bestpath med confed",
  "bgp bestpath med confed missing-as-worst",
  "bgp bestpath med missing-as-worst",
  "bgp bestpath peer-type multipath-relax",
  "bgp default local-preference NUMBER",
  "bgp deterministic-med",
  "bgp graceful-shutdown",
  "coalesce-time NUMBER",
  "no bgp network import-check",
];

/** Of an address family in a VRF. */
const UNICAST = [
  "aggregate-address PREFIX",
  "aggregate-address PREFIX as-set",
  "aggregate-address PREFIX summary-only",
  "distance bgp NUMBER NUMBER NUMBER",
  "maximum-paths NUMBER",
  "maximum-paths ibgp NUMBER",
  "maximum-paths ibgp NUMBER equal-cluster-length",
  "network PREFIX",
];

/** The lines of each context, with words in capitals for values. */
export const extraLines: Readonly<Record<ExtraContext, readonly string[]>> = {
  bgp: [
    ...DECISIONS,
    "bgp cluster-id ADDRESS",
    "bgp confederation identifier NUMBER",
    "bgp confederation peers NUMBER",
    "bgp fast-convergence",
    "bgp graceful-restart restart-time NUMBER",
    "bgp graceful-restart select-defer-time NUMBER",
    "bgp graceful-restart stalepath-time NUMBER",
    "bgp log-neighbor-changes",
    "bgp minimum-holdtime NUMBER",
    "bgp reject-as-sets",
    "neighbor ADDRESS advertisement-interval NUMBER",
    "neighbor ADDRESS capability dynamic",
    "neighbor ADDRESS capability extended-nexthop",
    "neighbor ADDRESS disable-connected-check",
    "neighbor ADDRESS dont-capability-negotiate",
    "neighbor ADDRESS enforce-first-as",
    "neighbor ADDRESS extended-optional-parameters",
    "neighbor ADDRESS local-as NUMBER",
    "neighbor ADDRESS local-as NUMBER no-prepend",
    "neighbor ADDRESS local-as NUMBER no-prepend replace-as",
    "neighbor ADDRESS override-capability",
    "neighbor ADDRESS passive",
    "neighbor ADDRESS port NUMBER",
    "neighbor ADDRESS sender-as-path-loop-detection",
    "neighbor ADDRESS solo",
    "neighbor ADDRESS strict-capability-match",
    "neighbor ADDRESS tcp-mss NUMBER",
    "neighbor ADDRESS timers delayopen NUMBER",
    "neighbor ADDRESS ttl-security hops NUMBER",
    "no bgp client-to-client reflection",
    "no bgp fast-external-failover",
    "read-quanta NUMBER",
    "timers bgp NUMBER NUMBER",
    "update-delay NUMBER",
    "write-quanta NUMBER",
  ],
  evpn: [
    "dup-addr-detection freeze NUMBER",
    "dup-addr-detection freeze permanent",
    "dup-addr-detection max-moves NUMBER time NUMBER",
    "flooding disable",
    "neighbor ADDRESS route-reflector-client",
    "neighbor ADDRESS route-server-client",
    "no dup-addr-detection",
  ],
  vrfBgp: DECISIONS,
  vrfIpv4: UNICAST,
  vrfIpv6: UNICAST,
  vrfEvpn: ["default-originate ipv4", "default-originate ipv6"],
};

/** A regular expression of JavaScript and of RE2 for the lines of a context, and for nothing else. */
export function extraPattern(context: ExtraContext): string {
  const lines = extraLines[context].map((line) =>
    line.split(" ").map((word) => VALUES.find(([name]) => name === word)?.[1] ?? word).join(" ")
  );
  return `^(${lines.join("|")})$`;
}

/** Whether a line may stand in a context. */
export function isExtraLine(context: ExtraContext, line: string): boolean {
  return new RegExp(extraPattern(context)).test(line);
}
