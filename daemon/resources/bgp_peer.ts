/** How a node speaks with a BGP peer: the part of VRFNodeConfig that says it. */
import { z } from "zod";
import { addressFamily } from "../../lib/net/address.ts";
import { ipAddress, zodOf } from "./fields.ts";
import type { Schema } from "./kind.ts";
import { withRules } from "./rules.ts";

/** Bidirectional Forwarding Detection (RFC 5880); what is absent has FRR's default. */
export interface BgpBfd {
  /** How many packets may be missed; 3. */
  readonly detectMultiplier?: number | undefined;
  /** Least time between two packets that are received, in milliseconds; 300. */
  readonly receiveInterval?: number | undefined;
  /** Least time between two packets that are sent, in milliseconds; 300. */
  readonly transmitInterval?: number | undefined;
}

/** Timers of a session (RFC 4271, section 10), in seconds; what is absent has FRR's default. */
export interface BgpTimers {
  /** Between two keepalives: a third of `hold`, or 60. */
  readonly keepalive?: number | undefined;
  /** Without a word from the peer until the session ends: 180. */
  readonly hold?: number | undefined;
  /** Between two attempts to connect: 120. */
  readonly connect?: number | undefined;
}

/** A key of a Secret in the namespace that `[bgp] secret_namespace` of server.ini names. */
export interface SecretKeyRef {
  /** Name of the Secret. */
  readonly name: string;
  /** Key of its data. */
  readonly key: string;
}

/** An entry of a filter: the first that matches a route decides. Without a condition it matches all. */
export interface PeerFilterEntry {
  /** Type of the EVPN route: of a pod or gateway in a stretched subnet, of a node in one, or of a prefix. */
  readonly routeType?: "macip" | "multicast" | "prefix" | undefined;
  /** VXLAN network identifier that the route carries. */
  readonly vni?: number | undefined;
  /** Whether a route passes; `permit` when absent. */
  readonly action: "permit" | "deny";
}

/** Which EVPN routes are exchanged with a peer; what no entry of a list matches does not pass. */
export interface PeerFilters {
  /** Routes taken from it; all when absent. */
  readonly in?: readonly PeerFilterEntry[] | undefined;
  /** Routes sent to it; all when absent. */
  readonly out?: readonly PeerFilterEntry[] | undefined;
}

/** How many routes a peer may send. */
export interface MaxPrefixes {
  /** The greatest number of EVPN routes that are taken from it. */
  readonly limit: number;
  /** Only say so when there are more. */
  readonly warnOnly?: boolean | undefined;
  /** Seconds after which the peer is spoken with again; not before this limit changes when absent. */
  readonly restartSeconds?: number | undefined;
}

/** What can be said of every peer. */
export interface BgpPeerOptions {
  /** Where the password of the session is (TCP MD5, RFC 2385); none when absent. */
  readonly passwordSecretRef?: SecretKeyRef | undefined;
  /** Detects a dead path within a second; absent for none. */
  readonly bfd?: BgpBfd | undefined;
  /** Timers. */
  readonly timers?: BgpTimers | undefined;
  /** How many hops away an external peer may be; 1 when absent. */
  readonly ebgpMultihop?: number | undefined;
  /** Address or interface that the session comes from; by the route to the peer when absent. */
  readonly updateSource?: string | undefined;
  /** Graceful restart (RFC 4724): FRR's own default, `helper`, when absent. */
  readonly gracefulRestart?: "restart" | "helper" | "disable" | undefined;
  /** How often the node's own AS number may be in a path; never when absent. */
  readonly allowAsIn?: number | undefined;
  /** How many routes it may send; any number when absent. */
  readonly maxPrefixes?: MaxPrefixes | undefined;
  /** Routes that are exchanged; all when absent. */
  readonly filters?: PeerFilters | undefined;
}

/** A peer besides route reflectors and the other nodes. */
export interface BgpPeer extends BgpPeerOptions {
  /** Its address. */
  readonly address: string;
  /** Its AS number; the node's own when absent. */
  readonly asn?: number | undefined;
  /** For people who read FRR's configuration. */
  readonly description?: string | undefined;
}

/** Validates an AS number (RFC 6793); the last one is reserved. */
export const asNumber: Schema<number> = z.int().min(1).max(2 ** 32 - 2);

const milliseconds = z.int().min(10).max(60_000).optional();

const bfd: z.ZodType<BgpBfd> = z.object({
  detectMultiplier: z.int().min(2).max(255).optional()
    .describe("Packets that may be missed; 3 when absent"),
  receiveInterval: milliseconds.describe("Milliseconds between received packets; 300 when absent"),
  transmitInterval: milliseconds.describe("Milliseconds between sent packets; 300 when absent"),
});

const seconds = (least: number) => z.int().min(least).max(65_535).optional();

const timers = withRules<BgpTimers>(
  z.object({
    keepalive: seconds(1).describe("Seconds between keepalives; a third of hold when absent"),
    hold: seconds(3).describe("Seconds of silence that end the session; 180 when absent"),
    connect: seconds(1).describe("Seconds between attempts to connect; 120 when absent"),
  }),
  [{
    cel: "!has(self.keepalive) || self.keepalive * 3 <= (has(self.hold) ? self.hold : 180)",
    holds: ({ keepalive = 1, hold = 180 }) => keepalive * 3 <= hold,
    message: "Expected keepalive to be at most a third of hold, which is 180 when absent",
    field: "keepalive",
  }],
);

const updateSource = withRules(z.string().max(45).regex(/^[A-Za-z0-9_.:@-]+$/), [{
  cel: "isIP(self) || (size(self) <= 15 && !self.contains(':'))",
  holds: (text) => addressFamily(text) !== undefined || (text.length <= 15 && !text.includes(":")),
  message: 'Expected an IP address or the name of an interface, such as "lo"',
}]);

const passwordSecretRef: z.ZodType<SecretKeyRef> = z.object({
  name: z.string().max(253).regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/).describe(
    "Name of the Secret",
  ),
  key: z.string().max(253).regex(/^[-._a-zA-Z0-9]+$/).default("password")
    .describe("Key of its data"),
});

const filterEntry = withRules<PeerFilterEntry>(
  z.object({
    routeType: z.enum(["macip", "multicast", "prefix"]).optional()
      .describe("Type of the EVPN route: 2, 3 or 5; any when absent"),
    vni: z.int().min(1).max(2 ** 24 - 1).optional()
      .describe("VNI that the route carries; any when absent"),
    action: z.enum(["permit", "deny"]).default("permit").describe("Whether a route passes"),
  }),
  [{
    // FRR 8.4 does not look for the VNI of these.
    cel: "!has(self.vni) || !has(self.routeType) || self.routeType != 'multicast'",
    holds: ({ vni, routeType }) => vni === undefined || routeType !== "multicast",
    message: 'Expected no vni beside the routeType "multicast", whose VNI cannot be told',
    field: "vni",
  }],
);

const filterEntries = z.array(filterEntry).min(1).max(64).optional();

const filters: z.ZodType<PeerFilters> = z.object({
  in: filterEntries.describe("Routes taken from the peer; all when absent"),
  out: filterEntries.describe("Routes sent to the peer; all when absent"),
});

const maxPrefixes: z.ZodType<MaxPrefixes> = z.object({
  limit: z.int().min(1).max(2 ** 31 - 1).describe("Greatest number of EVPN routes taken from it"),
  warnOnly: z.boolean().optional().describe("Only say so when there are more"),
  restartSeconds: z.int().min(10).max(604_800).optional().describe(
    "Seconds after which the peer is spoken with again; not before the limit changes when absent",
  ),
});

const options = {
  passwordSecretRef: passwordSecretRef.optional()
    .describe("Secret with the session's password, in the namespace of the daemon"),
  bfd: bfd.optional().describe("Bidirectional forwarding detection; {} for its defaults"),
  timers: timers.optional().describe("Timers of the session"),
  ebgpMultihop: z.int().min(2).max(255).optional()
    .describe("Hops that an external peer may be away; 1 when absent"),
  updateSource: updateSource.optional().describe(
    "Address or interface that the session comes from",
  ),
  gracefulRestart: z.enum(["restart", "helper", "disable"]).optional()
    .describe("Graceful restart; helper when absent"),
  allowAsIn: z.int().min(1).max(10).optional()
    .describe("Times that the node's own AS number may be in a path"),
  maxPrefixes: maxPrefixes.optional()
    .describe("Number of routes beyond which the peer is shut down; any when absent"),
  filters: filters.optional().describe("EVPN routes that are exchanged; all when absent"),
};

/** Validates {@linkcode BgpPeerOptions}. */
export const bgpPeerOptions: Schema<BgpPeerOptions> = z.object(options);

const peer: z.ZodType<BgpPeer> = z.object({
  address: zodOf(ipAddress).describe("Address of the peer"),
  asn: zodOf(asNumber).optional().describe("Its AS number; the node's own when absent"),
  description: z.string().min(1).max(80).regex(
    /^[A-Za-z0-9_.,:;()/+@-]+( [A-Za-z0-9_.,:;()/+@-]+)*$/,
  ).optional()
    .describe("For people who read FRR's configuration"),
  ...options,
});

/** Validates a list of peers, each address once. */
export const bgpPeers: Schema<readonly BgpPeer[]> = withRules<readonly BgpPeer[]>(
  z.array(peer).max(64),
  [{
    cel: "self.all(a, self.exists_one(b, b.address == a.address))",
    holds: (peers) => new Set(peers.map(({ address }) => address)).size === peers.length,
    message: "Expected each peer's address once",
  }],
);
