/**
 * The text of the systemd units. Pure.
 *
 * What each program can bear of systemd's restrictions was found by trying, see docs/security.md. A restriction that gives a service a
 * mount namespace of its own (ProtectSystem=, ProtectHome=, ProtectKernelModules=, PrivateTmp= and the like, systemd.exec(5)) is not
 * for the daemon where VRFs are network namespaces: what it mounts below /run/netns would stay unseen by FRR and by the host.
 *
 * @module
 */
import { dirname } from "node:path";
import type { DaemonConfig } from "../config.ts";
import type { VrfBackend } from "../kernel/port.ts";
import { layout, units } from "./layout.ts";
import {
  commonCalls,
  mountCalls,
  namespaceCalls,
  ownershipCalls,
  type SystemCallGroup,
} from "./system_calls.ts";

const program = `${layout.programs}/pyroute2-cni`;

/** For a program that touches nothing of the host but its own folders. */
const confined = `\
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes`;

/** What all three can bear. Not MemoryDenyWriteExecute=: the JavaScript engine compiles at run time. */
const common = `\
NoNewPrivileges=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
UMask=0077`;

/** Restarts for ever: what is missing, such as the API, may come at any time. */
const restart = `\
Restart=always
RestartSec=2`;

/** Where the embedded API listens. */
export interface ApiAddress {
  /** IP address. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
}

/** The unit of the embedded API: a user of its own, that exists while it runs, owns its data. */
export function apiServerUnit({ host, port }: ApiAddress): string {
  return unit({
    purpose: "The embedded Kubernetes API: on one host only, and on none where there is a cluster.",
    description: "pyroute2-cni embedded Kubernetes API",
    order: "Wants=network-online.target\nAfter=network-online.target",
    service: `\
ExecStart=${program} apiserver --data-dir ${layout.apiData} --host ${host} --port ${port}
${restart}
DynamicUser=yes
StateDirectory=pyroute2-cni/api
StateDirectoryMode=0700
${common}
${confined}
CapabilityBoundingSet=
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
${callFilter(commonCalls)}`,
  });
}

/**
 * The unit of the FRR agent. Root, since vtysh asks PAM about every other user, with no more power than frr.conf takes, which is the
 * user frr's.
 *
 * @param socketPath UNIX socket on which the daemon reaches the agent
 */
export function frrAgentUnit(socketPath: string): string {
  return unit({
    purpose: "The FRR agent: on every node, beside FRR's own service.",
    description: "pyroute2-cni FRR agent",
    order: `Wants=${units.frr}\nAfter=${units.frr}`,
    service: `\
ExecStart=${program} frr-agent --socket ${socketPath}
${restart}
${common}
${confined}
# DAC_OVERRIDE, CHOWN, FOWNER: frr.conf and the sockets of FRR's daemons belong to the user frr.
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER
# All of /run: FRR makes its folder there anew.
ReadWritePaths=/run ${layout.frr}
# Only its probes speak IP.
IPAddressDeny=any
IPAddressAllow=localhost
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
${callFilter([...commonCalls, ownershipCalls])}`,
  });
}

/** What the daemon's unit depends on. */
export interface DaemonUnitOptions {
  /** Whether the embedded API runs on the same host. */
  readonly withApi: boolean;
  /** Where VRFs live. */
  readonly backend: VrfBackend;
  /** The daemon's configuration. */
  readonly config: DaemonConfig;
}

/** The unit of the node daemon. */
export function daemonUnit({ withApi, backend, config }: DaemonUnitOptions): string {
  const before = [...withApi ? [units.api] : [], units.agent].join(" ");
  const place = backend === "netns" ? hostMounts : ownMounts(config);
  const capabilities = [
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_SYS_ADMIN",
    ...withApi ? ["CAP_DAC_READ_SEARCH"] : [],
    ...config.readiness.port < 1_024 ? ["CAP_NET_BIND_SERVICE"] : [],
  ];
  return unit({
    purpose:
      "The node daemon: on every node. Stopping it leaves the network of running pods as it is.",
    description: "pyroute2-cni node daemon",
    order: `Wants=network-online.target ${before}\nAfter=network-online.target ${before}`,
    service: `\
ExecStart=${program} daemon --config ${layout.serverIni}
${restart}
TimeoutStopSec=30
${common}
# It needs the host's network and PID namespaces, and the host's /proc/sys/net to write to.
# NET_ADMIN: links, routes, rules, nftables, sysctls of the network. SYS_ADMIN: entering and naming network namespaces.
# NET_RAW, AF_PACKET: gratuitous ARP of pods in stretched subnets, which it hears and carries to the other nodes.${
      withApi ? "\n# DAC_READ_SEARCH: the kubeconfig belongs to the API's user." : ""
    }
CapabilityBoundingSet=${capabilities.join(" ")}
RestrictNamespaces=net
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK AF_PACKET
${place}`,
  });
}

/** VRFs are mounts: without a mount namespace of its own there are only the restrictions that need none. */
const hostMounts = `\
# VRFs are mounts below /run/netns that FRR and the host must see: nothing here that gives it a mount namespace of its own.
DevicePolicy=closed
${callFilter([...commonCalls, namespaceCalls, mountCalls])}`;

function ownMounts(config: DaemonConfig): string {
  const writable = writableFolders(config).filter((path) => !/^(\/var)?\/run(\/|$)/.test(path));
  const inHome = /^\/(root|home)\//.test(config.kubernetes.kubeconfig ?? "");
  return `\
# VRFs are links, so a mount namespace of its own does no harm.
ProtectSystem=strict
ReadWritePaths=${["/run", ...writable].join(" ")}
ProtectHome=${inHome ? "read-only" : "yes"}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
${callFilter([...commonCalls, namespaceCalls])}`;
}

/** The system calls that are let through: what is not on the list fails with SystemCallErrorNumber=. */
function callFilter(groups: readonly SystemCallGroup[]): string {
  const lines = groups.map(({ purpose, calls }) =>
    `# ${purpose}.\nSystemCallFilter=${calls.join(" ")}`
  );
  return lines.join("\n");
}

/** Folders that the daemon writes to. */
function writableFolders({ api, node, default: { cni_config_dir } }: DaemonConfig): string[] {
  const sockets = [api.socket_path_api, api.socket_path_fd].map((path) => dirname(path));
  return [...new Set([...sockets, node.state_dir, cni_config_dir])];
}

/**
 * The text of a file for systemd-tmpfiles (tmpfiles.d(5)): zebra watches the folder of named namespaces only when it is there at
 * zebra's start, and never sees a VRF otherwise.
 */
export const netnsTmpfiles = `\
# Before FRR starts: zebra looks for this folder once. Written by "pyroute2-cni install".
d ${layout.netns} 0755 root root -
`;

function unit(
  { purpose, description, order, service }: {
    readonly purpose: string;
    readonly description: string;
    readonly order: string;
    readonly service: string;
  },
): string {
  return `\
# ${purpose}
# Written by "pyroute2-cni install": change it by "systemctl edit", which the next installation leaves alone.
[Unit]
Description=${description}
${order}
StartLimitIntervalSec=0

[Service]
${service}

[Install]
WantedBy=multi-user.target
`;
}
