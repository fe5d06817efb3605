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
const attachment = (change: Fields) => ({ attachments: [{ type: "l3vni", vni: 1, ...change }] });
const block = (what: string, cidr: string, ...refused: string[]) =>
  created("IPBlock", what, { cidr }, ...refused);
const selector = (what: string, entry: Fields, ...refused: string[]) =>
  created("VRFRoutingPolicy", what, { match: [entry] }, ...refused);
const node = (what: string, change: Fields, ...refused: string[]) =>
  created("VRFNodeConfig", what, change, ...refused);
const underlay = (name: string, local: string) => ({ interfaces: [{ name, local }] });

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
  ...[253, 254, 255].map((table) => domain(`the kernel's table ${table}`, { table }, "spec.table")),
  domain("table 252", { table: 252 }),
  domain("table 256", { table: 256 }),
  domain("table 0", { table: 0 }, "spec.table"),
  domain("the last table", { table: 2 ** 32 - 1 }),
  domain("a table beyond 32 bits", { table: 2 ** 32 }, "spec.table"),
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
  changed("VRFDomain", "another VNI", attachment({ vni: 50201 })),
  changed("VRFDomain", "no change", {}),
  changed("VRFDomain", "another VRF", { vrf: 201 }, "spec.vrf"),
  changed("VRFDomain", "another table", { table: 2201 }, "spec.table"),
  changed("VRFDomain", "another prefix", { prefix: "10.151.0.0" }, "spec.prefix"),
  changed("VRFDomain", "a longer prefix", { prefixlen: 17 }, "spec.prefixlen"),
  changed("VRFDomain", "smaller blocks", { ipblocklen: 27 }, "spec.ipblocklen"),
  block("a block of one address", "10.150.0.1/32"),
  block("host bits", "10.150.0.65/26", "spec.cidr"),
  block("an IPv6 block", "fd00::/64", "spec.cidr"),
  block("no length", "10.150.0.64", "spec.cidr"),
  block("a length beyond 32", "10.150.0.64/33", "spec.cidr"),
  block("a length with a leading zero", "10.150.0.64/026", "spec.cidr"),
  block("text", "block", "spec.cidr"),
  changed("IPBlock", "another network", { cidr: "10.150.0.128/26" }, "spec.cidr"),
  changed("IPBlock", "another node", { nodeName: "node-b" }, "spec.nodeName"),
  changed("IPBlock", "another VRF", { vrfTable: 201 }, "spec.vrfTable"),
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
  node("a router id of IPv6", { routerId: "fd00::1" }, "spec.routerId"),
  node("no router id and no reflector", { routerId: undefined, routeReflectors: undefined }),
  node("an address with a length", underlay("eth0", "192.0.2.1/24"), "spec.interfaces[0].local"),
  node("an interface named .", underlay(".", "192.0.2.1"), "spec.interfaces[0].name"),
  changed("VRFNodeConfig", "another node", { nodeRef: { name: "node-b" } }),
  changed("VRFDomainBinding", "another domain", { vrfDomainRef: { name: "vrf-300" } }),
  created("CNIConfig", "a file elsewhere", { fileName: "../passwd" }, "spec.fileName"),
];
