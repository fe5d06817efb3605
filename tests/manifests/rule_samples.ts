/** Objects and what an API server must say to them: for the embedded one and, by the definitions' CEL, for a real one. */

/** One object, or a change from one to another. */
export interface RuleSample {
  /** Kind of the object. */
  readonly kind: string;
  /** What it shows. */
  readonly what: string;
  /** The object before the change; absent where it is created. */
  readonly before?: Readonly<Record<string, unknown>>;
  /** The object. */
  readonly object: Readonly<Record<string, unknown>>;
  /** Fields that the server must name; it accepts the object where there are none. */
  readonly refused: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

function object(kind: string, spec: Fields): Fields {
  const group = kind === "IPBlock" ? "ipam.pyroute2.org" : "cni.pyroute2.org";
  return { apiVersion: `${group}/v1alpha1`, kind, metadata: { name: "sample" }, spec };
}

const bases: Readonly<Record<string, Fields>> = {
  VRFDomain: {
    vrf: 200,
    table: 2200,
    prefix: "10.150.0.0",
    prefixlen: 16,
    ipblocklen: 26,
    attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
  },
  IPBlock: { cidr: "10.150.0.64/26", nodeName: "node-a", vrfTable: 200 },
  VRFNodeConfig: {
    nodeRef: { name: "node-a" },
    routerId: "192.168.124.54",
    routeReflectors: ["192.168.124.1"],
    interfaces: [{ name: "eth0", local: "192.168.124.54" }],
  },
  VRFRoutingPolicy: {
    vrfDomainRef: { name: "vrf-200" },
    match: [{ iifname: "lo", dst: "10.150.0.0/16" }],
  },
  VRFDomainBinding: { namespaceRef: { name: "a" }, vrfDomainRef: { name: "vrf-200" } },
  CNIConfig: { fileName: "05-a.conflist", enabled: true, priority: 1, plugins: [{ type: "a" }] },
};

function created(kind: string, what: string, change: Fields, ...refused: string[]): RuleSample {
  return { kind, what, object: object(kind, { ...bases[kind], ...change }), refused };
}

function changed(kind: string, what: string, change: Fields, ...refused: string[]): RuleSample {
  const before = object(kind, { ...bases[kind] });
  return { kind, what, before, object: object(kind, { ...bases[kind], ...change }), refused };
}

const domain = (what: string, change: Fields, ...refused: string[]) =>
  created("VRFDomain", what, change, ...refused);
const six = { prefix6: "fd00:150::", prefixlen6: 48, ipblocklen6: 64 };
const noFour = { prefix: undefined, prefixlen: undefined, ipblocklen: undefined };
const six6 = (what: string, change: Fields, ...refused: string[]) =>
  domain(what, { ...six, ...change }, ...refused);
const later = (what: string, before: Fields, after: Fields, ...refused: string[]): RuleSample => ({
  kind: "VRFDomain",
  what,
  before: object("VRFDomain", { ...bases["VRFDomain"], ...before }),
  object: object("VRFDomain", { ...bases["VRFDomain"], ...after }),
  refused,
});
const attachment = (change: Fields) => ({ attachments: [{ type: "l3vni", vni: 1, ...change }] });
const block = (what: string, cidr: string, ...refused: string[]) =>
  created("IPBlock", what, { cidr }, ...refused);
const selector = (what: string, entry: Fields, ...refused: string[]) =>
  created("VRFRoutingPolicy", what, { match: [entry] }, ...refused);
const node = (what: string, change: Fields, ...refused: string[]) =>
  created("VRFNodeConfig", what, change, ...refused);
const peer = (what: string, change: Fields, ...refused: string[]) =>
  node(
    `a peer with ${what}`,
    { peers: [{ address: "192.0.2.1", ...change }] },
    ...refused.map((field) => `spec.peers[0].${field}`),
  );
const underlay = (name: string, local: string) => ({ interfaces: [{ name, local }] });

/** What would break out of FRR's or nft's syntax, out of a folder, or look like something else. */
const hostile: readonly string[] = [
  "x\n!\nrouter bgp 1",
  "x\rexit",
  "x; flush ruleset",
  'x"',
  "../x",
  "x/../y",
  "$(x)",
  "10.0.0.0/8\n",
  "\u202ex",
  "ｘ",
  "1０.0.0.0",
];

const hostileSamples: readonly RuleSample[] = hostile.flatMap((text) => {
  const where = JSON.stringify(text);
  return [
    domain(`${where} as prefix`, { prefix: text }, "spec.prefix"),
    domain(
      `${where} as route target`,
      { routeTargets: { import: [text] } },
      "spec.routeTargets.import[0]",
    ),
    domain(`${where} as namespace`, { allowedNamespaces: [text] }, "spec.allowedNamespaces[0]"),
    block(`${where} as block`, text, "spec.cidr"),
    node(`${where} as router id`, { routerId: text }, "spec.routerId"),
    peer(`${where} as address`, { address: text }, "address"),
    peer(`${where} as source`, { updateSource: text }, "updateSource"),
    selector(`${where} as source prefix`, { src: text }, "spec.match[0].src"),
    created("CNIConfig", `${where} as file`, { fileName: text }, "spec.fileName"),
  ];
});

/** The samples; each names only what the kind's rules and bounds are about. */
export const ruleSamples: readonly RuleSample[] = [
  ...Object.keys(bases).map((kind) => created(kind, "an ordinary one", {})),
  domain("host bits in the prefix", { prefix: "10.150.0.1" }, "spec.prefix"),
  domain("the last host bit of a longest prefix", {
    prefix: "10.150.0.2",
    prefixlen: 30,
    ipblocklen: 30,
  }, "spec.prefix"),
  domain("a longest prefix", { prefix: "10.150.0.4", prefixlen: 30, ipblocklen: 30 }),
  domain("a shortest prefix", { prefix: "128.0.0.0", prefixlen: 1, ipblocklen: 1 }),
  domain("host bits above 2^31", { prefix: "192.0.0.0", prefixlen: 1 }, "spec.prefix"),
  domain("the prefix of everything below 128.0.0.0", { prefix: "0.0.0.0", prefixlen: 1 }),
  domain("an octet above 255", { prefix: "10.256.0.0" }, "spec.prefix"),
  domain("a leading zero", { prefix: "10.010.0.0" }, "spec.prefix"),
  domain("a prefix with its length", { prefix: "10.150.0.0/16" }, "spec.prefix"),
  domain("an IPv6 prefix", { prefix: "fd00::" }, "spec.prefix"),
  domain("a prefix length of 31", { prefixlen: 31, ipblocklen: 31 }, "spec.prefixlen"),
  domain("a prefix length of 0", { prefix: "0.0.0.0", prefixlen: 0 }, "spec.prefixlen"),
  domain("a block as large as the prefix", { ipblocklen: 16 }),
  domain("a block larger than the prefix", { ipblocklen: 15 }, "spec.ipblocklen"),
  six6("both IP versions", {}),
  six6("IPv6 alone", noFour),
  domain("no prefix at all", noFour, "spec.prefix"),
  domain("an IPv4 prefix without its length", { prefixlen: undefined }, "spec.prefix"),
  domain("an IPv4 prefix without a block length", { ipblocklen: undefined }, "spec.prefix"),
  six6("an IPv6 prefix without its length", { prefixlen6: undefined }, "spec.prefix6"),
  six6("an IPv6 block length without a prefix", { prefix6: undefined }, "spec.prefix6"),
  six6("host bits in the IPv6 prefix", { prefix6: "fd00:150::1" }, "spec.prefix6"),
  six6("the last host bit of a longest IPv6 prefix", {
    prefix6: "fd00::2",
    prefixlen6: 126,
    ipblocklen6: 126,
  }, "spec.prefix6"),
  six6("a longest IPv6 prefix", { prefix6: "fd00::4", prefixlen6: 126, ipblocklen6: 126 }),
  six6("a shortest IPv6 prefix", { prefix6: "8000::", prefixlen6: 1, ipblocklen6: 1 }),
  six6("the IPv6 prefix of everything below 8000::", { prefix6: "::", prefixlen6: 1 }),
  six6("an IPv6 prefix length of 127", { prefixlen6: 127, ipblocklen6: 127 }, "spec.prefixlen6"),
  six6("an IPv6 block length of 127", { ipblocklen6: 127 }, "spec.ipblocklen6"),
  six6("an IPv6 block larger than the prefix", { ipblocklen6: 47 }, "spec.ipblocklen6"),
  six6("an IPv6 block as large as the prefix", { ipblocklen6: 48 }),
  six6("an IPv4 prefix as IPv6", { prefix6: "10.150.0.0" }, "spec.prefix6"),
  six6("an IPv4 prefix in IPv6 form", { prefix6: "::ffff:10.0.0.0" }, "spec.prefix6"),
  six6("an IPv6 prefix in capitals", { prefix6: "FD00:150::" }, "spec.prefix6"),
  six6("an IPv6 prefix that is not shortened", { prefix6: "fd00:150:0::" }, "spec.prefix6"),
  six6("an IPv6 prefix with a zone", { prefix6: "fe80::%1" }, "spec.prefix6"),
  ...[253, 254, 255].map((table) => domain(`the kernel's table ${table}`, { table }, "spec.table")),
  domain("table 252", { table: 252 }),
  domain("table 256", { table: 256 }),
  domain("table 0", { table: 0 }, "spec.table"),
  domain("the last table", { table: 2 ** 32 - 1 }),
  domain("a table beyond 32 bits", { table: 2 ** 32 }, "spec.table"),
  ...[1280, 8950].map((mtu) => domain(`an MTU of ${mtu}`, { mtu })),
  ...[0, 1279, 65486].map((mtu) => domain(`an MTU of ${mtu}`, { mtu }, "spec.mtu")),
  changed("VRFDomain", "another MTU", { mtu: 1400 }),
  domain("namespaces that are let in", { allowedNamespaces: ["*", "a", "a-9"] }),
  domain("a namespace that cannot be", { allowedNamespaces: ["A"] }, "spec.allowedNamespaces[0]"),
  domain("a part of a name", { allowedNamespaces: ["a", "a*"] }, "spec.allowedNamespaces[1]"),
  domain("VRF 0", { vrf: 0 }, "spec.vrf"),
  domain("the last VRF", { vrf: 2 ** 31 - 1 }),
  domain("VRF 2^31", { vrf: 2 ** 31 }, "spec.vrf"),
  domain("no VRF", { vrf: undefined }, "spec.vrf"),
  domain("VNI 0", attachment({ vni: 0 }), "spec.attachments[0].vni"),
  domain("the last VNI", attachment({ vni: 2 ** 24 - 1 })),
  domain("VNI 2^24", attachment({ vni: 2 ** 24 }), "spec.attachments[0].vni"),
  domain("no VNI", attachment({ vni: undefined }), "spec.attachments[0].vni"),
  domain("an unknown attachment", attachment({ type: "vlan" }), "spec.attachments[0].type"),
  domain("port 0", attachment({ port: 0 }), "spec.attachments[0].port"),
  domain("a VTEP that is no address", attachment({ local: "eth0" }), "spec.attachments[0].local"),
  domain("no attachment", { attachments: [] }),
  ...["nat", "routed", "none"].map((egress) => domain(`egress ${egress}`, { egress })),
  domain("another egress", { egress: "open" }, "spec.egress"),
  ...["1:0", "65535:4294967295", "65536:65535", "4294967294:1", "192.0.2.1:65535"].map((target) =>
    domain(`the route target ${target}`, { routeTargets: { import: [target] } })
  ),
  ...[
    "0:1",
    "65000",
    "65000:",
    "65000:01",
    "065000:1",
    "65000:4294967296",
    "65536:65536",
    "4294967295:1",
    "192.0.2.256:1",
    "192.0.2.1:65536",
    "fd00::1:1",
    "65000:1 65000:2",
  ].map((target) =>
    domain(
      `the route target "${target}"`,
      { routeTargets: { export: [target] } },
      "spec.routeTargets.export[0]",
    )
  ),
  ...[
    { prefix: "0.0.0.0/0" },
    { prefix: "10.0.0.0/8", ge: 9, le: 9, action: "deny" },
    { prefix: "10.0.0.0/8", ge: 32 },
    { prefix: "10.0.0.0/8", le: 9 },
    { prefix: "2001:db8::/32", ge: 48, le: 128 },
  ].map((entry) =>
    domain(`the filter ${JSON.stringify(entry)}`, { routeFilters: { import: [entry] } })
  ),
  ...([
    [{ prefix: "10.0.0.1/8" }, "prefix"],
    [{ prefix: "10.0.0.0" }, "prefix"],
    [{ prefix: "10.0.0.0/8", ge: 8 }, "ge"],
    [{ prefix: "10.0.0.0/8", ge: 33 }, "ge"],
    [{ prefix: "10.0.0.0/8", le: 8 }, "le"],
    [{ prefix: "10.0.0.0/8", le: 33 }, "le"],
    [{ prefix: "10.0.0.0/8", ge: 24, le: 16 }, "le"],
    [{ prefix: "2001:db8::/32", le: 129 }, "le"],
    [{ prefix: "10.0.0.0/8", action: "allow" }, "action"],
  ] as const).map(([entry, field]) =>
    domain(
      `the filter ${JSON.stringify(entry)}`,
      { routeFilters: { export: [entry] } },
      `spec.routeFilters.export[0].${field}`,
    )
  ),
  domain("an empty filter", { routeFilters: { import: [] } }, "spec.routeFilters.import"),
  domain("no route target in a list", { routeTargets: { import: [] } }, "spec.routeTargets.import"),
  domain("route targets left to their defaults", { routeTargets: {} }),
  changed("VRFDomain", "other route targets", { routeTargets: { import: ["65000:1"] } }),
  changed("VRFDomain", "another VNI", attachment({ vni: 50201 })),
  changed("VRFDomain", "no change", {}),
  changed("VRFDomain", "another VRF", { vrf: 201 }, "spec.vrf"),
  changed("VRFDomain", "another table", { table: 2201 }, "spec.table"),
  changed("VRFDomain", "another prefix", { prefix: "10.151.0.0" }, "spec.prefix"),
  changed("VRFDomain", "a longer prefix", { prefixlen: 17 }, "spec.prefixlen"),
  changed("VRFDomain", "smaller blocks", { ipblocklen: 27 }, "spec.ipblocklen"),
  later("IPv6 given later", {}, six),
  later("IPv4 given later", { ...noFour, ...six }, six),
  later("IPv6 taken away", six, {}, "spec.prefix6", "spec.prefixlen6", "spec.ipblocklen6"),
  later("another IPv6 prefix", six, { ...six, prefix6: "fd00:151::" }, "spec.prefix6"),
  later("smaller IPv6 blocks", six, { ...six, ipblocklen6: 80 }, "spec.ipblocklen6"),
  block("an IPv6 block", "fd00::/64"),
  block("IPv6 host bits", "fd00::1/64", "spec.cidr"),
  block("an IPv6 block in capitals", "FD00::/64", "spec.cidr"),
  block("an IPv4 block in IPv6 form", "::ffff:10.0.0.0/120", "spec.cidr"),
  block("an IPv6 length beyond 128", "fd00::/129", "spec.cidr"),
  block("a block of one address", "10.150.0.1/32"),
  block("host bits", "10.150.0.65/26", "spec.cidr"),
  block("no length", "10.150.0.64", "spec.cidr"),
  block("a length beyond 32", "10.150.0.64/33", "spec.cidr"),
  block("a length with a leading zero", "10.150.0.64/026", "spec.cidr"),
  block("text", "block", "spec.cidr"),
  changed("IPBlock", "another network", { cidr: "10.150.0.128/26" }, "spec.cidr"),
  changed("IPBlock", "another node", { nodeName: "node-b" }, "spec.nodeName"),
  changed("IPBlock", "another VRF", { vrfTable: 201 }, "spec.vrfTable"),
  selector("prefixes of two IP versions", { dst: "10.0.0.0/8", src: "fd00::/64" }, "spec.match[0]"),
  selector("prefixes of IPv6", { dst: "fd00:1::/64", src: "fd00::/64" }),
  selector("no selector", {}, "spec.match[0]"),
  selector("an IPv6 selector with host bits", { src: "fd00::1/64" }),
  selector("an output interface", { oifname: "eth0" }),
  selector("a destination without a length", { dst: "10.0.0.1" }, "spec.match[0].dst"),
  selector("a source that is text", { src: "any" }, "spec.match[0].src"),
  selector("an interface with a slash", { iifname: "a/b" }, "spec.match[0].iifname"),
  selector("an interface named ..", { iifname: ".." }, "spec.match[0].iifname"),
  selector("an interface name of 16 letters", { iifname: "a".repeat(16) }, "spec.match[0].iifname"),
  created("VRFRoutingPolicy", "no rule at all", { match: [] }, "spec.match"),
  changed("VRFRoutingPolicy", "another domain", { vrfDomainRef: { name: "vrf-300" } }),
  node("an IPv6 reflector", { routeReflectors: ["fd00::1"] }),
  node("a reflector by name", { routeReflectors: ["rr.example"] }, "spec.routeReflectors[0]"),
  node("an AS number of its own", { asn: 4_294_967_294 }),
  node("AS number 0", { asn: 0 }, "spec.asn"),
  node("the reserved AS number", { asn: 2 ** 32 - 1 }, "spec.asn"),
  node("peers with all that can be said", {
    fullMesh: true,
    peerDefaults: { bfd: {}, gracefulRestart: "disable" },
    peers: [
      { address: "192.0.2.1" },
      {
        address: "fd00::1",
        asn: 65500,
        description: "top of rack, port 7",
        bfd: { detectMultiplier: 2, receiveInterval: 10, transmitInterval: 60_000 },
        timers: { keepalive: 1, hold: 3, connect: 1 },
        ebgpMultihop: 255,
        updateSource: "fd00::2",
        gracefulRestart: "restart",
        allowAsIn: 10,
        passwordSecretRef: { name: "tor.example", key: "a_B-9" },
      },
    ],
  }),
  peer("a Secret and its usual key", { passwordSecretRef: { name: "tor" } }),
  ...[
    { in: [{ routeType: "prefix" }, { vni: 50200, action: "deny" }] },
    { out: [{ routeType: "macip", vni: 16_777_215, action: "permit" }, {}] },
    { in: [{ routeType: "multicast" }] },
  ].map((filters) => peer(`the peer's filters ${JSON.stringify(filters)}`, { filters })),
  peer("a limit of routes", {
    maxPrefixes: { limit: 2_147_483_647, warnOnly: true, restartSeconds: 604_800 },
  }),
  peer("no limit", { maxPrefixes: {} }, "maxPrefixes.limit"),
  peer("a limit of none", { maxPrefixes: { limit: 0 } }, "maxPrefixes.limit"),
  peer(
    "a time in which no session comes up",
    { maxPrefixes: { limit: 1, restartSeconds: 9 } },
    "maxPrefixes.restartSeconds",
  ),
  peer("a VNI of the type multicast", {
    filters: { in: [{ routeType: "multicast", vni: 1 }] },
  }, "filters.in[0].vni"),
  peer(
    "an unknown type of route",
    { filters: { out: [{ routeType: "5" }] } },
    "filters.out[0].routeType",
  ),
  peer("no entry of a filter", { filters: { out: [] } }, "filters.out"),
  ...[
    {
      bgp: [
        "bgp cluster-id 192.0.2.1",
        "neighbor fd00::1 port 1790",
        "no bgp fast-external-failover",
      ],
    },
    { evpn: ["no dup-addr-detection", "neighbor 192.0.2.1 route-server-client"] },
  ].map((extraConfig) => node(`the lines ${JSON.stringify(extraConfig)}`, { extraConfig })),
  ...([
    ["bgp", "log file /etc/cron.d/x"],
    ["bgp", "neighbor 192.0.2.1 password x"],
    ["bgp", "router bgp 65001"],
    ["bgp", " bgp fast-convergence"],
    ["bgp", "bgp fast-convergence\nexit"],
    ["bgp", "bgp fast-convergence ! x"],
    ["evpn", "exit-address-family"],
    ["evpn", "neighbor 192.0.2.1 weight 1"],
    ["evpn", ""],
  ] as const).map(([part, line]) =>
    node(
      `the line ${JSON.stringify(line)}`,
      { extraConfig: { [part]: [line] } },
      `spec.extraConfig.${part}[0]`,
    )
  ),
  domain("lines of a VRF", {
    extraConfig: { ipv4: ["network 192.0.2.0/24"], evpn: ["default-originate ipv4"] },
  }),
  domain(
    "lines of another VRF",
    { extraConfig: { ipv4: ["import vrf vrf-300"] } },
    "spec.extraConfig.ipv4[0]",
  ),
  domain("no line in a list", { extraConfig: { bgp: [] } }, "spec.extraConfig.bgp"),
  peer("no Secret's name", { passwordSecretRef: { name: "" } }, "passwordSecretRef.name"),
  peer(
    "a Secret of another namespace",
    { passwordSecretRef: { name: "kube-system/tor" } },
    "passwordSecretRef.name",
  ),
  peer(
    "a path as key",
    { passwordSecretRef: { name: "tor", key: "a/b" } },
    "passwordSecretRef.key",
  ),
  peer("a name", { address: "tor.example" }, "address"),
  peer("a line in a description", { description: "a\nrouter bgp 1" }, "description"),
  peer("a comment in a description", { description: "!" }, "description"),
  peer("a hold time of two seconds", { timers: { hold: 2 } }, "timers.hold"),
  peer("a third as keepalive", { timers: { keepalive: 60 } }),
  peer("more than a third as keepalive", { timers: { keepalive: 61 } }, "timers.keepalive"),
  peer("keepalives beyond hold", { timers: { keepalive: 4, hold: 11 } }, "timers.keepalive"),
  peer("one hop", { ebgpMultihop: 1 }, "ebgpMultihop"),
  peer("an interface as source", { updateSource: "eth0.100" }),
  peer("a long name as source", { updateSource: "a".repeat(16) }, "updateSource"),
  peer("words as source", { updateSource: "lo shutdown" }, "updateSource"),
  peer("another restart", { gracefulRestart: "on" }, "gracefulRestart"),
  peer("eleven times its own AS", { allowAsIn: 11 }, "allowAsIn"),
  peer("too eager a BFD", { bfd: { receiveInterval: 9 } }, "bfd.receiveInterval"),
  node(
    "a peer twice",
    { peers: [{ address: "192.0.2.1" }, { address: "192.0.2.1" }] },
    "spec.peers",
  ),
  node("a router id of IPv6", { routerId: "fd00::1" }, "spec.routerId"),
  node("no router id and no reflector", { routerId: undefined, routeReflectors: undefined }),
  node("an address with a length", underlay("eth0", "192.0.2.1/24"), "spec.interfaces[0].local"),
  node("an interface named .", underlay(".", "192.0.2.1"), "spec.interfaces[0].name"),
  changed("VRFNodeConfig", "another node", { nodeRef: { name: "node-b" } }),
  changed("VRFDomainBinding", "another domain", { vrfDomainRef: { name: "vrf-300" } }),
  created("CNIConfig", "a file elsewhere", { fileName: "../passwd" }, "spec.fileName"),
  ...[2 ** 31 - 1, -(2 ** 31)].map((priority) =>
    created("CNIConfig", `the priority ${priority}`, { priority })
  ),
  ...[2 ** 31, 2 ** 53, -1e300].map((priority) =>
    created("CNIConfig", `the priority ${priority}`, { priority }, "spec.priority")
  ),
  created(
    "CNIConfig",
    "more plugins than any runtime runs",
    { plugins: Array.from({ length: 65 }, () => ({ type: "a" })) },
    "spec.plugins",
  ),
  domain(
    "more attachments than a VRF can have",
    { attachments: Array.from({ length: 65 }, (_, vni) => ({ type: "l3vni", vni: vni + 1 })) },
    "spec.attachments",
  ),
  ...hostileSamples,
];
