/**
 * The rules of kube-proxy as far as packets meet them: translation of Services to one of their endpoints, masquerading of what is marked
 * with 0x4000, and the filter for forwarded packets.
 *
 * @module
 */
import { type Namespace, succeed } from "./segment.ts";

/** How kube-proxy writes its rules: its mode, and for `iptables` the program behind that name. */
export type ProxyMode = "nftables" | "iptables-nft" | "iptables-legacy";

/** A Service of TCP port 80. */
export interface Service {
  /** Its ClusterIP. */
  readonly clusterIp: string;
  /** Its only endpoint. */
  readonly endpoint: string;
  /** TCP port of the endpoint. */
  readonly port: number;
  /** Port on every node, where it has one. */
  readonly nodePort?: number;
  /** Whether only endpoints of the node itself are used for what comes from outside, whose address then stays. */
  readonly local?: boolean;
}

/** What kube-proxy is told. */
export interface ProxyOptions {
  /** Sources outside of it are masqueraded on their way to a ClusterIP. */
  readonly clusterCidr: string;
  /** The Services. */
  readonly services: readonly Service[];
}

/** A program and what it reads. */
export interface ProxyStep {
  /** Its words. */
  readonly command: readonly string[];
  /** Its input. */
  readonly stdin: string;
}

/** The programs that write the rules, after removing those of any mode; to be run in the host's network namespace. */
export function proxySteps(mode: ProxyMode, options: ProxyOptions): readonly ProxyStep[] {
  const write = mode === "nftables"
    ? { command: ["nft", "-f", "-"], stdin: nftables(options) }
    : { command: [`${mode}-restore`], stdin: iptables(options) };
  return [...removalSteps, write];
}

/** The programs that remove all of it. */
export const removalSteps: readonly ProxyStep[] = [
  {
    command: ["nft", "-f", "-"],
    stdin: ["kube-proxy", "nat", "filter"]
      .map((name) => `table ip ${name}\ndelete table ip ${name}\n`).join(""),
  },
  {
    command: ["iptables-legacy-restore"],
    stdin: ["nat", "filter"].map((table) => `*${table}\nCOMMIT\n`).join(""),
  },
];

/** Writes the rules in a namespace. */
export async function runKubeProxy(
  host: Namespace,
  mode: ProxyMode,
  options: ProxyOptions,
): Promise<void> {
  for (const { command, stdin } of proxySteps(mode, options)) {
    await succeed(host.command(...command), stdin);
  }
}

function iptables({ clusterCidr, services }: ProxyOptions): string {
  const chains = services.flatMap((
    _,
    index,
  ) => [`KUBE-SVC-${index}`, `KUBE-EXT-${index}`, `KUBE-SEP-${index}`]);
  const rules = services.flatMap((service, index) => {
    const { clusterIp, endpoint, port, nodePort, local } = service;
    const to = `-d ${clusterIp}/32 -p tcp -m tcp --dport 80`;
    return [
      `-A KUBE-SERVICES ${to} -j KUBE-SVC-${index}`,
      `-A KUBE-SVC-${index} ! -s ${clusterCidr} ${to} -j KUBE-MARK-MASQ`,
      `-A KUBE-SVC-${index} -m statistic --mode random --probability 0.5 -j KUBE-SEP-${index}`,
      `-A KUBE-SVC-${index} -j KUBE-SEP-${index}`,
      `-A KUBE-SEP-${index} -s ${endpoint}/32 -j KUBE-MARK-MASQ`,
      `-A KUBE-SEP-${index} -p tcp -m tcp -j DNAT --to-destination ${endpoint}:${port}`,
      ...nodePort === undefined ? [] : [
        `-A KUBE-NODEPORTS -p tcp -m tcp --dport ${nodePort} -j KUBE-EXT-${index}`,
        ...local === true ? [] : [`-A KUBE-EXT-${index} -j KUBE-MARK-MASQ`],
        `-A KUBE-EXT-${index} -j KUBE-SVC-${index}`,
      ],
    ];
  });
  return `*filter
:KUBE-FORWARD - [0:0]
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
${chains.map((name) => `:${name} - [0:0]`).join("\n")}
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
${rules.join("\n")}
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
`;
}

function nftables({ clusterCidr, services }: ProxyOptions): string {
  const chains = services.map((service, index) => {
    const { clusterIp, endpoint, port, local } = service;
    return `  chain service-${index} {
    ip daddr ${clusterIp} tcp dport 80 ip saddr != ${clusterCidr} jump mark-for-masquerade
    numgen random mod 1 vmap { 0 : goto endpoint-${index} }
  }
  chain external-${index} {
    ${local === true ? "" : "jump mark-for-masquerade"}
    goto service-${index}
  }
  chain endpoint-${index} {
    ip saddr ${endpoint} jump mark-for-masquerade
    meta l4proto tcp dnat to ${endpoint}:${port}
  }`;
  });
  const ips = services.map(({ clusterIp }, index) =>
    `${clusterIp} . tcp . 80 : goto service-${index}`
  );
  const ports = services.flatMap(({ nodePort }, index) =>
    nodePort === undefined ? [] : [`tcp . ${nodePort} : goto external-${index}`]
  );
  return `table ip kube-proxy {
  chain mark-for-masquerade { meta mark set meta mark | 0x4000; }
${chains.join("\n")}
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { ${ips.join(", ")} }
  }
  map service-nodeports {
    type inet_proto . inet_service : verdict
    ${ports.length === 0 ? "" : `elements = { ${ports.join(", ")} }`}
  }
  chain services {
    ip daddr . meta l4proto . th dport vmap @service-ips
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @service-nodeports
  }
  chain masquerading {
    meta mark & 0x4000 == 0 return
    meta mark set meta mark ^ 0x4000
    masquerade fully-random
  }
  chain filter-forward {
    type filter hook forward priority -110; policy accept;
    ct state invalid drop
  }
  chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }
  chain nat-output { type nat hook output priority -100; policy accept; jump services; }
  chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept; jump masquerading; }
}
`;
}
