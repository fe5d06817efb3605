/** The network that joins a lab's machines: a bridge on the machine with the API server, and a link to each other one. */
import type { Holder } from "./holder.ts";
import { execute } from "./process.ts";
import { type LabUnderlay, outsideName } from "./topology.ts";

/**
 * The switch's own address, which it keeps: by itself a bridge takes one of its ports', and another one when that port goes. Nobody would
 * reach the API then until its neighbours have noticed, for most of a minute.
 */
const switchMac = "02:00:00:00:7c:fe";

/** A machine on the underlay. */
export interface Plugged {
  /** Its name. */
  readonly name: string;
  /** Its address on the underlay. */
  readonly address: string;
  /** Its namespaces. */
  readonly holder: Holder;
}

/** Makes the switch on the machine with the API server, and plugs the others in. */
export async function connectUnderlay(
  on: LabUnderlay,
  api: Holder,
  machines: readonly Plugged[],
): Promise<void> {
  const { length, options } = addressing(on);
  await inNetwork(api, [
    "ip link set lo up",
    `ip link add br0 address ${switchMac} type bridge`,
    `ip address add ${on.api}/${length} dev br0 ${options}`,
    "ip link set br0 up",
  ]);
  await Promise.all(machines.map((machine) => plugIn(on, api, machine)));
}

/** Takes a machine's interface off, if it is there still: the kernel takes it along with the machine's namespace, but later. */
export async function unplug(api: Holder, machine: Pick<Plugged, "name">): Promise<void> {
  await inNetwork(api, [`ip link delete ${portOf(machine)} 2>/dev/null || true`]);
}

/** Gives a machine its interface on the underlay. One shell each: in the guest each start of a program costs a tenth of a second and more. */
export async function plugIn(on: LabUnderlay, api: Holder, machine: Plugged): Promise<void> {
  const { name, address, holder } = machine;
  const { length, family, options } = addressing(on);
  const { ifname } = on;
  await inNetwork(api, [
    `ip link add ${portOf(machine)} type veth peer name ${ifname} netns ${holder.pid}`,
    `ip link set ${portOf(machine)} master br0 up`,
  ]);
  await inNetwork(holder, [
    "ip link set lo up",
    `ip link set ${ifname} up`,
    `ip address add ${address}/${length} dev ${ifname} ${options}`,
    ...name === outsideName ? [] : [`ip ${family} route add default via ${on.api}`],
  ]);
}

/** The switch's end of a machine's interface. */
function portOf({ name }: Pick<Plugged, "name">): string {
  return `u-${name}`;
}

function addressing({ cidr }: LabUnderlay) {
  return cidr.includes(":")
    ? { length: 64, family: "-6", options: "nodad" }
    : { length: 24, family: "-4", options: "" };
}

async function inNetwork({ pid }: Holder, words: readonly string[]): Promise<void> {
  await execute(["nsenter", `--net=/proc/${pid}/ns/net`, "sh", "-ec", words.join("\n")]);
}
