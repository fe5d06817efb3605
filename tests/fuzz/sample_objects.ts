/** One object of each kind, with all fields that matter. */
import { apiVersionOf, type ResourceKind } from "../../daemon/resources/kind.ts";

const peer = {
  address: "192.0.2.1",
  asn: 65001,
  description: "top of rack 1",
  bfd: { detectMultiplier: 3, receiveInterval: 300, transmitInterval: 300 },
  timers: { keepalive: 3, hold: 9 },
  connectRetry: 10,
  ebgpMultihop: 2,
  updateSource: "eth0",
  allowAsIn: 1,
  gracefulRestart: "helper",
  passwordSecretRef: { name: "tor", key: "password" },
};

const parts: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  VRFDomain: {
    spec: {
      vrf: 200,
      table: 2200,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      prefix6: "fd00:150::",
      prefixlen6: 48,
      ipblocklen6: 64,
      attachments: [
        { type: "l3vni", vni: 50200, port: 4789, local: "192.168.124.1" },
        { type: "l2vni", vni: 60200 },
      ],
      allowedNamespaces: ["shop", "*"],
      keepAddressSeconds: 3600,
      routeTargets: { import: ["65000:300", "192.0.2.1:5"], export: ["4200000000:7"] },
      routeFilters: { import: [{ prefix: "10.0.0.0/8", ge: 9, le: 32, action: "permit" }] },
      extraConfig: { ipv4: ["network 192.0.2.0/24"], evpn: ["default-originate ipv4"] },
      mtu: 1400,
      egress: "nat",
    },
    status: { nodes: { ready: 1, total: 2 } },
  },
  VRFDomainBinding: {
    spec: { namespaceRef: { name: "shop" }, vrfDomainRef: { name: "tenant-a" } },
  },
  VRFNodeConfig: {
    spec: {
      nodeRef: { name: "node1" },
      routerId: "192.168.124.1",
      asn: 65000,
      routeReflectors: ["192.168.124.9", "fd00::9"],
      peers: [peer],
      peerDefaults: { timers: { keepalive: 3, hold: 9 }, updateSource: "lo" },
      fullMesh: true,
      extraConfig: { bgp: ["coalesce-time 1000"] },
      interfaces: [{ name: "eth0", local: "192.168.124.1" }],
    },
  },
  VRFRoutingPolicy: {
    spec: {
      vrfDomainRef: { name: "tenant-a" },
      match: [{ dst: "10.150.0.0/16", src: "10.0.0.0/8", iifname: "eth1", oifname: "eth2" }],
    },
  },
  VRFNodeState: {
    status: {
      ready: true,
      domains: [{
        name: "tenant-a",
        uid: "u",
        vrf: 200,
        generation: 1,
        ready: true,
        phase: "Ready",
        reason: "Applied",
        message: "",
      }],
      peers: [{
        address: "192.168.124.2",
        state: "Established",
        established: true,
        prefixesReceived: 3,
      }],
      vnis: [{ vrf: "vrf-200", vni: 50200, state: "Up" }],
      blocks: 1,
    },
  },
  CNIConfig: {
    spec: {
      fileName: "05-a.conflist",
      enabled: true,
      priority: 10,
      plugins: [{ type: "pyroute2-cni-plugin", ipam: {} }, {
        type: "portmap",
        capabilities: { portMappings: true },
        snat: true,
      }],
    },
  },
  CNIConfigSelection: { spec: { activeRef: { name: "a" } } },
  IPBlock: {
    spec: { cidr: "10.150.0.64/26", nodeName: "node1", vrfTable: 200 },
    status: { allocated: 1, capacity: 62, allocations: { "10.150.0.65": "gateway" } },
  },
  Node: {
    spec: { podCIDR: "10.244.0.0/24" },
    status: { addresses: [{ type: "InternalIP", address: "192.168.124.1" }] },
  },
  Pod: {
    spec: { nodeName: "node1", containers: [{ name: "a", image: "b" }] },
    status: { phase: "Running", podIP: "10.150.0.2" },
  },
  Lease: { spec: { holderIdentity: "node1", leaseDurationSeconds: 15, leaseTransitions: 0 } },
  Event: { involvedObject: { kind: "Pod", name: "a" }, reason: "x", type: "Warning", count: 1 },
};

/** An object of the kind. */
export function objectOf(kind: ResourceKind): Readonly<Record<string, unknown>> {
  return {
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: {
      name: "a",
      ...kind.scope === "Namespaced" ? { namespace: "default" } : {},
      labels: { app: "web" },
      annotations: { "cni.pyroute2.org/ips": "10.150.0.70" },
      ownerReferences: [{
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        name: "web",
        uid: "u",
        controller: true,
      }],
    },
    ...parts[kind.kind],
  };
}
