/**
 * Routers of the operator beside the lab's nodes: plain FRR, configured by hand, without anything of this project on them. Each is a
 * machine on the underlay that ends with this process.
 */
import { addLinks, addNamespace, type NetnsVrf } from "../../frr/testing/netns_vrf.ts";
import { askFrr } from "./frr_words.ts";
import { type Holder, startHolder } from "./holder.ts";
import type { Lab } from "./lab.ts";
import { repository } from "./options.ts";
import { patience } from "./patience.ts";
import { execute, until } from "./process.ts";
import { underlay } from "./topology.ts";

/** A router of the lab. */
export interface Router extends AsyncDisposable {
  /** Its address on the underlay. */
  readonly address: string;
  /** Its namespaces. */
  readonly machine: Holder;
  /** Gives lines of configuration to its FRR. @throws {Error} When FRR refuses one, with its words */
  configure(lines: string): Promise<void>;
  /** Takes it away at once, as a power cut does. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a router shall be. */
export interface RouterOptions {
  /** Name of the machine, at most 13 characters. */
  readonly name: string;
  /** Address on the underlay. */
  readonly address: string;
  /** FRR's configuration to start with. */
  readonly config: string;
}

/** zebra's option: a named network namespace is a VRF. Both backends' kernels have these. */
const daemons = `bgpd=yes
bfdd=yes
vtysh_enable=yes
zebra_options="-A 127.0.0.1 -s 90000000 --vrfwnetns"
bgpd_options="-A 127.0.0.1"
staticd_options="-A 127.0.0.1"
bfdd_options="-A 127.0.0.1"
`;

const start = `
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/hosts /run/frr /run/lock
chown frr:frr /run/frr
mount -t tmpfs tmpfs /var/tmp
chmod 1777 /var/tmp
mount -t tmpfs tmpfs /etc/frr
cp ${repository}/frr/vtysh.conf /etc/frr/
echo "$DAEMONS" > /etc/frr/daemons
echo "$CONFIG" > /etc/frr/frr.conf
chown -R frr:frr /etc/frr
/usr/lib/frr/frrinit.sh start < /dev/null > /run/frr-start.log 2>&1
`;

/** Starts a router; resolves when its bgpd has taken the configuration. */
export async function startRouter(lab: Lab, options: RouterOptions): Promise<Router> {
  const { name, address, config } = options;
  const machine = await startHolder(name, true);
  const words =
    `ip link add u-${name} type veth peer name ${underlay.ifname} netns ${machine.pid} &&
    ip link set u-${name} master br0 up`;
  await execute(["nsenter", `--net=/proc/${lab.api.pid}/ns/net`, "sh", "-ec", words]);
  await machine.run(["sh", "-ec", `ip address add ${address}/24 dev ${underlay.ifname}`]);
  await machine.run(["ip", "link", "set", underlay.ifname, "up"]);
  await machine.run(["sh", "-ec", start], { env: { DAEMONS: daemons, CONFIG: config } });
  await until(`FRR on "${name}"`, patience, async () => {
    const summary = await askFrr(machine, "bgpd", "show bgp l2vpn evpn summary");
    return summary.includes("BGP router identifier") ? true : undefined;
  });
  return {
    address,
    machine,
    configure: async (lines) => {
      await machine.run(["sh", "-ec", "cat > /run/change.conf; vtysh -f /run/change.conf"], {
        stdin: lines,
      });
    },
    async [Symbol.asyncDispose]() {
      if (isGone(machine.pid)) return;
      Deno.kill(machine.pid, "SIGKILL");
      await until(`"${name}" to be gone`, patience, async () => {
        const links = await lab.api.run(["ip", "-br", "link"]);
        return isGone(machine.pid) && !links.includes(`u-${name}@`) || undefined;
      });
    },
  };
}

/** Gives a router a VRF with an L3VNI, in the order that zebra survives: namespace, configuration, links. */
export async function addVrf(router: Router, vrf: NetnsVrf, config: string): Promise<void> {
  const { machine } = router;
  const run = (...command: string[]) => machine.run(command);
  await addNamespace({ run }, vrf);
  await until(`zebra to find "vrf-${vrf.number}"`, patience, async () => {
    const shown = await askFrr(machine, "zebra", "show vrf");
    return new RegExp(`^vrf vrf-${vrf.number} id`, "m").test(shown) ? true : undefined;
  });
  await router.configure(config);
  await addLinks({ run }, vrf);
  await until(`VNI ${vrf.vni} to be up`, patience, async () => {
    const shown = await askFrr(machine, "zebra", "show vrf vni");
    return new RegExp(`vrf-${vrf.number}\\s+${vrf.vni}\\s.*\\sUp\\s`).test(shown)
      ? true
      : undefined;
  });
}

/** A host behind a VRF of a router. */
export interface RouterHost {
  /** Name; the namespace is `/run/hosts/<name>`. */
  readonly name: string;
  /** Its address with the prefix length. */
  readonly address: string;
  /** The router's address on the same segment, which is its gateway. */
  readonly gateway: string;
}

/** Adds a host; gives the path of its namespace on the router. */
export async function addHost(router: Router, vrf: number, host: RouterHost): Promise<string> {
  const { name, address, gateway } = host;
  const path = `/run/hosts/${name}`;
  const length = address.slice(address.indexOf("/"));
  await router.machine.run([
    "sh",
    "-ec",
    `touch ${path}
unshare --net=${path} ip link set lo up
ip -n vrf-${vrf} link add to-${name} mtu 1450 type veth peer name eth0 mtu 1450
ip -n vrf-${vrf} address add ${gateway}${length} dev to-${name}
ip -n vrf-${vrf} link set to-${name} up
ip -n vrf-${vrf} link set eth0 netns ${path}
nsenter --net=${path} sh -ec 'ip address add ${address} dev eth0; ip link set eth0 up; ip route add default via ${gateway}'`,
  ]);
  return path;
}

function isGone(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}
