/**
 * Runs on a lab's node: ADDs, then DELs, through the daemon's sockets as the plugin does, but of one process. So thousands are a matter of
 * seconds, and what is measured is the daemon alone.
 *
 *     exchange_driver.ts ATTACHMENTS CONCURRENT PASSES
 *
 * Prints a line of JSON once all are attached, waits for a line on stdin, detaches, prints another; as often as there are passes.
 */
import { parseCniArgs } from "../../lib/cni/args.ts";
import { exchange } from "../../lib/ipc/exchange.ts";
import { defaultApiSocket, defaultFdSocket } from "../../lib/ipc/messages.ts";
import { createNetns } from "../../lib/sys/netns.ts";
import { networkConfig } from "../lab/pods.ts";
import { concurrently } from "./concurrently.ts";

const sockets = { api: defaultApiSocket, fd: defaultFdSocket };

/** Has the daemon run a command; gives the milliseconds until its answer. @throws {Error} When it refuses */
async function call(command: string, index: number, netns: number): Promise<number> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: `driver-${index}`,
    CNI_NETNS: `/proc/self/fd/${netns}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default",
  };
  const start = performance.now();
  const answer = await exchange(
    { args: parseCniArgs(env), env, config: networkConfig },
    sockets,
    { pid: Deno.pid },
  );
  if ("error" in answer) throw new Error(`${command} of ${index} failed: ${answer.error.msg}`);
  return performance.now() - start;
}

async function main([attachments = 1, atOnce = 1, passes = 1]: readonly number[]): Promise<void> {
  const namespaces = Array.from({ length: attachments }, () => createNetns());
  const all = (command: string) =>
    concurrently(attachments, atOnce, (index) => call(command, index, namespaces[index]?.fd ?? -1));
  const line = new Uint8Array(16);
  for (let pass = 0; pass < passes; pass++) {
    console.log(JSON.stringify(await all("ADD")));
    await Deno.stdin.read(line);
    console.log(JSON.stringify(await all("DEL")));
    await Deno.stdin.read(line);
  }
  for (const namespace of namespaces) namespace[Symbol.dispose]();
}

if (import.meta.main) await main(Deno.args.map(Number));
