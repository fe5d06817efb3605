/** Follows how the routes of a VRF come and go in the kernel. */
import type { Lab, RunningNode } from "./lab.ts";
import { patience } from "./patience.ts";
import { until } from "./process.ts";
import { lostPrefixes } from "./route_changes.ts";
import { intoVrf, tableOf } from "./vrf_words.ts";

/** What is told of a VRF's routes from the beginning on; dispose of it to end. */
export interface RouteMonitor extends AsyncDisposable {
  /** Prefixes that had a route and have none now. */
  lost(): Promise<string[]>;
}

/** Begins to follow a VRF's routes on a node. */
export async function watchRoutes(lab: Lab, node: RunningNode, vrf: number): Promise<RouteMonitor> {
  const log = `${lab.directory}/routes-${crypto.randomUUID()}.log`;
  const script = "echo started; exec stdbuf -oL ip monitor route";
  const process = node.holder.start(intoVrf(lab, vrf, ["sh", "-c", script]), { log });
  const lines = async () => (await Deno.readTextFile(log)).split("\n");
  // The host's namespace has the tables of all VRFs.
  const ofVrf = tableOf(lab, vrf).concat("").join(" ");
  await until("the monitor", patience, async () => {
    return (await lines()).includes("started") || undefined;
  });
  return {
    lost: async () => lostPrefixes((await lines()).filter((line) => line.includes(ofVrf))),
    async [Symbol.asyncDispose]() {
      let ended = false;
      process.status.then(() => ended = true);
      await node.holder.run(["pkill", "-INT", "-f", "^ip monitor route"]);
      // A process of the lab keeps no event loop alive: its end alone cannot be waited for.
      await until("the monitor to end", patience, () => ended || undefined);
    },
  };
}
