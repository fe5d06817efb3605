/** Where a VRF's links and routes are, for commands of the tests: in its own namespace, or in a table of the node's. */
import type { Lab, RunningNode } from "./lab.ts";

type Backend = Pick<Lab, "backend">;

/** A command, led to where a VRF's bridge is: into its namespace, or nowhere else than the node. */
export function intoVrf({ backend }: Backend, vrf: number, command: readonly string[]): string[] {
  return [...backend === "netns" ? ["ip", "netns", "exec", `vrf-${vrf}`] : [], ...command];
}

/** Runs a command on a node where a VRF's bridge is. */
export function inVrf(
  lab: Backend,
  node: RunningNode,
  vrf: number,
  command: readonly string[],
): Promise<string> {
  return node.holder.run(intoVrf(lab, vrf, command));
}

/** Words for `ip route`, which a VRF needs that has a table of the node's instead of a namespace. */
export function tableOf({ backend }: Backend, vrf: number): string[] {
  return backend === "netns" ? [] : ["table", String(2000 + vrf)];
}
