/** Keeps what a lab has logged, and what its nodes look like, when the lab itself goes. */
import type { Lab } from "../lab/lab.ts";
import { executeRaw } from "../lab/process.ts";

/** What a person asks a node when something differs: FRR's view first, then the kernel's. */
const script = `
vtysh -c 'show running-config' -c 'show interface vrf all' -c 'show ip route vrf all' -c 'show evpn vni detail' -c 'show bgp l2vpn evpn'
ip address; ip rule; ip route show table all; nft list ruleset
for path in /run/netns/*; do
  echo "@@@ $path"; enter="nsenter --net=$path"
  $enter ip -d address; $enter ip route show table all; $enter ip neighbor; $enter bridge fdb; $enter nft list ruleset
done
for pid in $(pgrep -f ' daemon --config '); do echo "@@@ daemon $pid"; ls -l /proc/$pid/fd; done
ss -tnp
true
`;

/** Copies a lab's logs to a directory of their own, with the state of each node beside them, and gives its path. */
export async function keepLogs(lab: Lab): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: `${lab.name}-logs-` });
  for await (const { name, isFile } of Deno.readDir(lab.directory)) {
    if (!isFile || !name.endsWith(".log")) continue;
    await Deno.copyFile(`${lab.directory}/${name}`, `${directory}/${name}`);
  }
  for (const node of lab.nodes) {
    const { stdout } = await executeRaw(node.holder.inside(["sh", "-c", script]));
    await Deno.writeTextFile(`${directory}/${node.name}-state.txt`, stdout);
  }
  return directory;
}
