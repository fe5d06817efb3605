/**
 * Runs on a lab's node: sends the netlink messages of one ADD, then those of its DEL, and nothing else. They are recorded once from the
 * daemon's own code, in a namespace with a bridge and a pod's namespace, whose sockets are open beforehand.
 *
 * Prints a line of JSON, the milliseconds in an array, after each step; goes on with the next one when it reads a line.
 */
import { findAttachmentPoint } from "../../daemon/kernel/attachment_point.ts";
import { podNetwork } from "../../daemon/pod/network.ts";
import { podAlias, podMac } from "../../daemon/kernel/names.ts";
import type { PodInterfaceSpec } from "../../daemon/pod/port.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { createLink } from "../../lib/netlink/rtnl/link.ts";
import { NetlinkSocket } from "../../lib/sys/netlink_socket.ts";
import { createNetns } from "../../lib/sys/netns.ts";
import { recordDatagrams, type SentDatagram } from "../../lib/netlink/testing/record_datagrams.ts";
import { NetlinkReplay } from "./netlink_replay.ts";

const vrf = 42;
const address = "10.244.0.2";
const gateway = "10.244.0.1";

const spec: PodInterfaceSpec = {
  hostIfname: "veth0123456789a",
  alias: podAlias({ containerId: "bench-0", ifname: "eth0", network: "pyroute2" }),
  ifname: "eth0",
  mac: podMac(vrf, address),
  addresses: [{ address, prefixLength: 26 }],
  routes: [{ destination: "0.0.0.0/0", gateway }],
};

async function main(): Promise<void> {
  using host = createNetns();
  using pod = createNetns();
  using connection = NetlinkConnection.open({ netns: host });
  const index = createLink(connection, {
    name: `l3br-${vrf}`,
    kind: { type: "bridge" },
    mtu: 1450,
    up: true,
  });
  addAddress(connection, { index, address: gateway, prefixLength: 26 });
  const add = await recordDatagrams(() =>
    podNetwork.attach(findAttachmentPoint(connection, vrf), pod, spec)
  );
  const del = await recordDatagrams(async () => {
    await podNetwork.detach(connection, spec.hostIfname);
    podNetwork.forget(connection, vrf, address);
  });
  using hostSocket = NetlinkSocket.open({ netns: host });
  using podSocket = NetlinkSocket.open({ netns: pod });
  // The connection in the host's namespace lives on; the other one was the pod's.
  const hostFd = del[0]?.fd;
  const of = (sent: readonly SentDatagram[]) =>
    new NetlinkReplay(sent.map(({ fd, bytes }) => ({
      socket: fd === hostFd ? hostSocket : podSocket,
      bytes,
    })));
  const steps = [of(add), of(del)];
  const line = new Uint8Array(16);
  for (let step = 0;; step++) {
    const start = performance.now();
    steps[step % steps.length]?.run();
    console.log(JSON.stringify([performance.now() - start]));
    if (await Deno.stdin.read(line) === null) return;
  }
}

if (import.meta.main) await main();
