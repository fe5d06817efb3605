/** The text of a standalone `server.ini`. Pure. */
import type { VrfBackend } from "../kernel/port.ts";

/** What a standalone configuration sets; all else keeps its default. */
export interface StandaloneSettings {
  /** The node's name; the host's when undefined. */
  readonly nodeName: string | undefined;
  /** Where VRFs live; `auto` when undefined. */
  readonly vrfBackend: VrfBackend | undefined;
  /** Whether the daemon registers the node, because no kubelet does. */
  readonly register: boolean;
  /** Path of the kubeconfig. */
  readonly kubeconfig: string;
}

/** Renders it with every key: those that are set, and as comments those that are not, with their defaults. */
export function renderServerIni(settings: StandaloneSettings): string {
  const { nodeName, vrfBackend, register, kubeconfig } = settings;
  const line = (key: string, value: string | undefined, fallback: string) =>
    value === undefined ? `#${key} = ${fallback}` : `${key} = ${value}`;
  return `\
# The daemon's configuration. Every key is here; those that are commented out show their default.
# A line is "[section]", "key = value", or a comment that starts with "#" or ";". An unknown key is an error.

[api]
# Sockets for the plugin. The directory becomes the daemon's own (mode 0700): never /run itself.
# The conflist must name the same paths (socketPathApi, socketPathFd) where they are changed.
#socket_path_api = /var/run/pyroute2/api
#socket_path_fd = /var/run/pyroute2/fdpass

[default]
# The domain that is created when there is no VRFDomain at all: "vrf-<vrf>", with <vrf> also as table and VNI.
# Pods of namespaces without a VRFDomainBinding go to the domain of this name.
#vrf = 42
# "prefix = none" makes it a domain with IPv6 alone.
#prefix = 10.244.0.0
#prefixlen = 16
#ipblocklen = 26
# Its IPv6 prefix; without one it has no IPv6. The lengths are what they are when a prefix is given.
#prefix6 = fd00:244::
#prefixlen6 = 48
#ipblocklen6 = 64
# l3vni routes between nodes; l2vni stretches one subnet over them.
#system_vrf_type = l3vni
# Domains with a table below this number are service VRFs: reachable from every tenant and from the nodes.
#service_vrf_max = 512
# The addresses of the cluster's Services, with commas between them. Only VRF namespaces need it, where VRFs learn a default
# route from the fabric. Default: none.
#service_cidrs = 10.96.0.0/12
# Seconds between two looks for blocks to give back; also between two registrations of the node.
#gc_interval_seconds = 60
# Seconds between two runs of the reconciler when nothing has changed.
#fw_interval_seconds = 30
# The runtime's folder: where the chosen CNIConfig is written.
#cni_config_dir = /etc/cni/net.d

[cni]
# Plugin types that a CNIConfig may name; the runtime executes each as root.
#allowed_plugins = pyroute2-cni-plugin, portmap, bandwidth, tuning, loopback

[readiness]
# Where /livez, /readyz and /metrics are served, over HTTP without authentication.
#host = 127.0.0.1
#port = 24800

[logging]
# debug, info, warn or error. JSON lines on stderr.
#level = info

[node]
# The node's name in the API. Without it the environment's NODE_NAME, else the host name.
${line("name", nodeName, "node-a")}
# auto takes netns only where the kernel has no vrf link type. FRR must be told: see its daemons file.
${line("vrf_backend", vrfBackend, "auto")}
# For the journal of addresses; must be gone after a reboot.
#state_dir = /run/pyroute2
# true masquerades IPv6 flows of pods that leave the node, as those of IPv4 are; else they keep their addresses.
#nat66 = false
# Bits of packet and connection marks that are this program's. The default leaves 0x4000 and 0x8000 to kube-proxy.
#mark_mask = 0xffff3fff
# true makes the daemon create and keep its Node object, which a kubelet does in a cluster. Default: false.
${line("register", register ? "true" : undefined, "false")}

[kubernetes]
# Required outside a pod. Without it the service account of the daemon's pod is used.
kubeconfig = ${kubeconfig}

[bgp]
# The autonomous system number of all nodes, 1 to 4294967294.
#asn = 65000
# Namespace of the Secrets that hold BGP peers' passwords.
#secret_namespace = pyroute2-cni

[frr]
# The FRR agent's socket.
#socket_path = /var/run/frr/reload.sock
# Seconds for which routes to other nodes are kept when BGP breaks off; 0 keeps none.
#forwarding_hold_seconds = 120
`;
}
