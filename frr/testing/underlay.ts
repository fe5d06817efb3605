/** What connects two FRR instances: a link named `underlay`, with an IPv4 address at each end. */
import type { FrrInstance } from "./frr_instance.ts";

/** Address on the underlay of the first or second node. */
export function underlayAddress(node: number): string {
  return `192.168.124.${node}`;
}

/** Connects two instances, which are nodes 1 and 2. @throws {Error} When a command fails, with what it printed */
export async function connectNodes(first: FrrInstance, second: FrrInstance): Promise<void> {
  const words =
    `link add underlay netns ${first.pid} type veth peer name underlay netns ${second.pid}`;
  const { success, stderr } = await new Deno.Command("ip", { args: words.split(" ") }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  for (const [node, frr] of [[1, first], [2, second]] as const) {
    await frr.run("ip", "address", "add", `${underlayAddress(node)}/24`, "dev", "underlay");
    await frr.run("ip", "link", "set", "underlay", "up");
  }
}
