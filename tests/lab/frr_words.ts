/** What FRR on a machine of the lab says, without a program that asks it. */
import { askDaemons } from "../../frr/vty.ts";
import type { Holder } from "./holder.ts";
import { patience } from "./patience.ts";

/**
 * Asks a daemon of FRR one thing.
 *
 * @param daemon Such as `zebra`
 * @throws {FrrError} When it does not answer
 * @throws {Error} When it does not run
 */
export async function askFrr(
  machine: Pick<Holder, "name" | "pid">,
  daemon: "zebra" | "bgpd",
  command: string,
): Promise<string> {
  const vtyDir = `/proc/${machine.pid}/root/run/frr`;
  const signal = AbortSignal.timeout(patience * 1000);
  const { answering, replies } = await askDaemons(vtyDir, { [daemon]: [command] }, signal);
  if (answering.length === 0) throw new Error(`No "${daemon}" runs on "${machine.name}"`);
  return replies[0]?.output ?? "";
}
