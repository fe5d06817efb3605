/** Where an installation on a host without a cluster puts its files. */

/** Paths on the host; an installation below another root puts that before them. */
export const layout = {
  /** Folder of the programs. */
  programs: "/usr/local/lib/pyroute2-cni",
  /** Folder in which container runtimes look for CNI executables. */
  plugins: "/opt/cni/bin",
  /** Folder of the units. */
  units: "/etc/systemd/system",
  /** What systemd-tmpfiles makes at each boot, where VRFs are network namespaces. */
  tmpfiles: "/etc/tmpfiles.d/pyroute2-cni.conf",
  /** Folder of the configuration, mode 0700: the kubeconfig is in it. */
  configuration: "/etc/pyroute2-cni",
  /** The daemon's configuration. */
  serverIni: "/etc/pyroute2-cni/server.ini",
  /** Credentials for an API that runs elsewhere. */
  kubeconfig: "/etc/pyroute2-cni/kubeconfig",
  /** Folder of what must outlive a reboot. */
  state: "/var/lib/pyroute2-cni",
  /** What the installation has changed of others' files. */
  record: "/var/lib/pyroute2-cni/install.json",
  /** The embedded API's folder. */
  apiData: "/var/lib/pyroute2-cni/api",
  /** Credentials for the embedded API on the same host. */
  apiKubeconfig: "/var/lib/pyroute2-cni/api/kubeconfig",
  /** Where FRR looks for VRFs that are network namespaces. */
  netns: "/run/netns",
  /** Folder of FRR's configuration. */
  frr: "/etc/frr",
} as const;

/** Names of the units. */
export const units = {
  /** The embedded API. */
  api: "pyroute2-cni-apiserver.service",
  /** The FRR agent. */
  agent: "pyroute2-cni-frr-agent.service",
  /** The node daemon. */
  daemon: "pyroute2-cni-daemon.service",
  /** FRR's own; never written, but started and restarted. */
  frr: "frr.service",
} as const;
