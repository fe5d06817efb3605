/** Breaks things in a lab, as accidents and people do. Mending them is the product's part, but for starting what the lab starts. */
import { type Lab, rebootNode, type RunningNode } from "../lab/lab.ts";
import { killDaemon, startAgent, startApi, startDaemon } from "../lab/machines.ts";
import { executeRaw, until } from "../lab/process.ts";
import type { Operation } from "./operations.ts";
import { linksOf, podBridge, type SoakDomain } from "./tenants.ts";

/** The agent's own words and no others': the command that looks for them has them in another form. */
const agentWords = "[ ]frr-agent --start";

/** What is broken, and by what it is started again. */
export interface FaultOptions {
  readonly lab: Lab;
  /** Folder with the built executables. */
  readonly dist: string;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
}

/** Kills the daemon of a node and starts it; resolves when it is up, though it may have no API to be ready with. */
export async function restartDaemon(
  { lab, dist, signal }: FaultOptions,
  node: RunningNode,
): Promise<void> {
  await killDaemon(node);
  await startDaemon(lab, node, dist, signal, { awaits: "Daemon started" });
}

/** Reboots a node, and starts what a node starts by itself; resolves when the daemon is up, though it may have no API to be ready with. */
export async function reboot(options: FaultOptions, node: RunningNode): Promise<void> {
  const { lab, dist, signal } = options;
  await rebootNode(lab, node);
  startAgent(lab, node, dist);
  await startDaemon(lab, node, dist, signal, { awaits: "Daemon started" });
}

/** Kills FRR's agent of a node and starts it; resolves when it can be killed again: two at once would be no agent's restart. */
export async function restartAgent(
  { lab, dist, signal }: FaultOptions,
  node: RunningNode,
): Promise<void> {
  const untilThere = (there: boolean) =>
    until(`the FRR agent of "${node.name}" to ${there ? "start" : "be gone"}`, 60, async () => {
      const { code } = await executeRaw(node.holder.inside(["pgrep", "-f", agentWords]));
      return (code === 0) === there ? true : undefined;
    }, signal);
  await kill(node.holder, "-f", agentWords);
  await untilThere(false);
  startAgent(lab, node, dist);
  await untilThere(true);
}

/** Kills a program of FRR; watchfrr starts it again. One that does not run just now is no error. */
export async function killFrr(node: RunningNode, program: string): Promise<void> {
  await kill(node.holder, "-x", program);
}

/** Kills the API server. */
export async function cutApi({ lab }: FaultOptions): Promise<void> {
  await kill(lab.api, "-f", "[ ]apiserver --data-dir");
}

/** Starts the API server again. */
export function returnApi({ lab, dist, signal }: FaultOptions): Promise<void> {
  return startApi(lab, dist, signal);
}

async function kill(machine: Lab["api"], ...words: readonly string[]): Promise<void> {
  await executeRaw(machine.inside(["pkill", "-KILL", ...words]));
}

/** Deletes something of a domain by hand; what is not there just now is no error. */
export async function deleteByHand(
  node: RunningNode,
  domain: SoakDomain,
  what: Extract<Operation, { kind: "delete" }>["what"],
): Promise<void> {
  const { vrf, table, overlays } = domain;
  const links = overlays.map((overlay) => linksOf(domain, overlay));
  const inVrf = (words: readonly string[]) =>
    words.map((each) => `ip -n vrf-${vrf} ${each}`).join("; ");
  const words = {
    vxlan: inVrf(links.map(({ vxlan }) => `link delete ${vxlan}`)),
    bridge: inVrf(links.map(({ bridge }) => `link delete ${bridge}`)),
    "host leg": `ip link delete pr2h-${vrf}`,
    addresses: inVrf([`address flush dev ${podBridge(domain)} scope global`]),
    routes: `ip -n vrf-${vrf} route flush proto 142; ip route flush table ${table} proto 142`,
  };
  await shell(node, words[what]);
}

/** Deletes a pod's link on its node. */
export async function unplug(node: RunningNode, vrf: number, ifname: string): Promise<void> {
  await shell(node, `ip -n vrf-${vrf} link delete ${ifname}`);
}

/** Deletes one of the project's rules. @param nth Which one, counted round and round */
export async function deleteRule(node: RunningNode, nth: number): Promise<void> {
  const { stdout } = await executeRaw(node.holder.inside(["ip", "rule"]));
  const rules = stdout.split("\n").filter((line) => line.includes("proto 142"));
  const rule = rules[nth % Math.max(rules.length, 1)];
  if (rule === undefined) return;
  const words = rule.replace(/^(\d+):\s+/, "priority $1 ").replace(/\[.*?\]/, "");
  await shell(node, `ip rule delete ${words}`);
}

/** Deletes the project's firewall. */
export async function deleteFirewall(node: RunningNode): Promise<void> {
  await shell(node, "nft delete table inet pyroute2-cni");
}

async function shell(node: RunningNode, words: string): Promise<void> {
  await executeRaw(node.holder.inside(["sh", "-c", words]));
}
