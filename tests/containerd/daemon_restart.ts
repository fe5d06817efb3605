/** Ends and starts the daemon of a node whose runtime has the plugin. */
import type { Lab, RunningNode } from "../lab/lab.ts";
import { startDaemon } from "../lab/machines.ts";
import { executeRaw, until } from "../lab/process.ts";
import { networkName } from "./containerd.ts";
import { pluginDirectory } from "./node_directories.ts";

const patience = 120;
const plugin = "pyroute2-cni-plugin";
/** The daemon's command line, compiled, bundled or from its sources. */
const pattern = "pyroute2-cni.* daemon|main.ts daemon";

/** Kills the daemon of a node; resolves when it is gone. */
export async function killDaemon(node: RunningNode): Promise<void> {
  await node.holder.run(["pkill", "-KILL", "-f", pattern]);
  await until("the daemon's end", patience, async () => {
    const { code } = await executeRaw(node.holder.inside(["pgrep", "-f", pattern]));
    return code === 0 ? undefined : true;
  });
}

/** Starts the daemon; resolves when the plugin says so, for the node's state in the API may be of the daemon before. */
export async function startDaemonAgain(
  lab: Lab,
  node: RunningNode,
  dist: string,
  signal: AbortSignal,
): Promise<void> {
  await startDaemon(lab, node, dist, signal);
  const words = ["env", "CNI_COMMAND=STATUS", `${pluginDirectory}/${plugin}`];
  const stdin = JSON.stringify({ type: plugin, cniVersion: "1.1.0", name: networkName });
  await until(
    "the plugin's STATUS",
    patience,
    () => node.holder.run(words, { stdin }).then(() => true),
  );
}
