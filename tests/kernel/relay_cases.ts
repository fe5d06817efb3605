/** Cases: what a pod announces by ARP on a stretched subnet reaches the other nodes. */
import assert from "node:assert/strict";
import {
  type AddressOwner,
  AnnouncementRelay,
  type RelayedBridge,
} from "../../daemon/kernel/announcement_relay.ts";
import { bridgeName, podMac, vxlanName } from "../../daemon/kernel/names.ts";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { createLogger } from "../../daemon/log.ts";
import { ARP_FRAME_LENGTH, ETHERTYPE_ARP } from "../../lib/net/arp.ts";
import { formatMac } from "../../lib/net/mac.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { inNetns, openNetns } from "../../lib/sys/netns.ts";
import {
  type FilterInstruction,
  openPacketListener,
  receiveFrame,
} from "../../lib/sys/packet_socket.ts";
import { KernelNode } from "./kernel_node.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";
import { silentPod, stretched, tell, vni } from "./stretched_node.ts";

/** An address that two pods share, such as that of a redundancy protocol. */
const shared = "10.150.9.9";
const bridge = bridgeName("l2vni", 200);
const vxlan = vxlanName("l2vni", vni);
const oldMac = "02:00:00:00:09:09";

/** ETH_P_ALL of linux/if_ether.h: what is sent, too. */
const everyProtocol = 3;

/** Frames whose EtherType is that of ARP. Codes: linux/bpf_common.h. */
const onlyArp: readonly FilterInstruction[] = [
  [0x28, 0, 0, 12],
  [0x15, 0, 1, ETHERTYPE_ARP],
  [0x06, 0, 0, 0xffff],
  [0x06, 0, 0, 0],
];

/** Two nodes with a pod each, and a relay on both. */
class Bench implements AsyncDisposable {
  readonly heard: string[] = [];
  owner: AddressOwner = "nobody";
  readonly #stack = new AsyncDisposableStack();
  readonly relays: AnnouncementRelay[] = [];

  constructor(
    readonly segment: Segment,
    readonly nodes: readonly KernelNode[],
    readonly pods: readonly Namespace[],
  ) {
    this.#stack.use(segment);
    for (const node of nodes) this.#stack.use(node);
    for (const node of nodes) {
      const relay = new AnnouncementRelay({
        ownerOf: (_vrf, { address, mac }) => {
          this.heard.push(`${node.place.address} ${address} ${mac}`);
          return address === shared ? this.owner : "own";
        },
        log: createLogger("warn", (line) => this.heard.push(line)),
        mostPerSecond: 20,
      });
      this.relays.push(this.#stack.use(relay));
      this.relay(node, relay);
    }
  }

  static async create(backend: VrfBackend): Promise<Bench> {
    const segment = await Segment.create(2);
    const nodes = [0, 1].map((index) => new KernelNode(segment, backend, index));
    const [left, right] = nodes;
    assert.ok(left && right);
    const [here, there] = [
      stretched(left, "10.150.0.0", "10.150.0.2"),
      stretched(right, "10.150.0.64", "10.150.0.66"),
    ];
    left.apply(here);
    right.apply(there);
    const pods = [
      await silentPod(left, segment, "pod1", "10.150.0.2"),
      await silentPod(right, segment, "pod2", "10.150.0.66"),
    ];
    left.apply(here);
    right.apply(there);
    await tell(left, vxlan, bridge, "10.150.0.66", right.place.address);
    await tell(right, vxlan, bridge, "10.150.0.2", left.place.address);
    return new Bench(segment, nodes, pods);
  }

  /** Has a relay carry what is announced on a node's bridge. */
  relay(node: KernelNode, relay: AnnouncementRelay): void {
    relay.relay([this.bridgeOf(node)]);
  }

  bridgeOf(node: KernelNode): RelayedBridge {
    const { connection, bridgeIndex } = node.kernel.attachmentPoint(200);
    const device = getLink(connection, { name: vxlan });
    const mac = getLink(connection, { name: bridge })?.mac;
    assert.ok(device && mac);
    const netns = this.#stack.use(openNetns(node.space(200).path));
    return { vrf: 200, netns, connection, bridge: bridgeIndex, mac, vxlan: device.index };
  }

  /** Has a pod announce all of its addresses. */
  async announce(pod: Namespace, mac: string): Promise<void> {
    await succeed(pod.command("sysctl", "-qw", "net.ipv4.conf.eth0.arp_notify=1"));
    await pod.ip(`link set eth0 address ${mac}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

async function until(
  what: string,
  look: () => Promise<boolean> | boolean,
): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!await look()) {
    if (performance.now() > deadline) throw new Error(`Waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function macOf(space: Namespace, dev: string): Promise<unknown> {
  const [found] = await space.rows("neighbour", "show", "nud", "all", "dev", dev, "to", shared);
  return found?.lladdr;
}

/**
 * Hears the announcements that pass a bridge's VXLAN device, in either direction. Its packets are more than these: a bridge tells routers of the
 * multicast groups that it has joined itself (br_multicast_join_snoopers of net/bridge/br_multicast.c), at a time of its own.
 */
class ArpTap implements Disposable {
  readonly #socket: OwnedFd;

  constructor({ netns, vxlan: ifindex }: RelayedBridge) {
    assert.ok(netns);
    const options = { ifindex, protocol: everyProtocol, filter: onlyArp };
    this.#socket = inNetns(netns, () => openPacketListener(options));
  }

  /** What has passed since: `<MAC of the frame's sender> says <address>`. */
  take(): string[] {
    const frame = new Uint8Array(new ArrayBuffer(ARP_FRAME_LENGTH));
    const said: string[] = [];
    while (receiveFrame(this.#socket, frame) !== undefined) {
      const [source, address] = [frame.subarray(6, 12), frame.subarray(28, 32)];
      said.push(`${formatMac(source)} says ${address.join(".")}`);
    }
    return said;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Registers the cases for a backend. */
export function registerRelayCases(backend: VrfBackend): void {
  const test = (name: string, fn: (bench: Bench) => Promise<void>) =>
    Deno.test(`${backend}: ${name}`, async () => {
      await using bench = await Bench.create(backend);
      await fn(bench);
    });
  const knowOld = (space: Namespace, dev: string, more: string) =>
    space.ip(`neighbour replace ${shared} lladdr ${oldMac} dev ${dev} ${more}`);

  test("an address that comes up on this node is learnt here, and by pods on the other nodes", async ({ nodes: [left], pods: [pod, other], announce }) => {
    assert.ok(left && pod && other);
    const mac = podMac(200, "10.150.0.2");
    await knowOld(left.space(200), bridge, "extern_learn nud noarp");
    await knowOld(other, "eth0", "nud reachable");
    await pod.ip(`address add ${shared}/32 dev eth0`);
    await announce(pod, mac);
    await until("the bridge to know", async () => await macOf(left.space(200), bridge) === mac);
    await until("the pod to know", async () => await macOf(other, "eth0") === mac);
  });

  test("an announcement is sent on once, and not back by the node that it reaches", async (bench) => {
    const { nodes: [left, right], pods: [pod, other], heard, announce } = bench;
    assert.ok(left && right && pod && other);
    await knowOld(other, "eth0", "nud reachable");
    using tunnel = new ArpTap(bench.bridgeOf(right));
    await pod.ip(`address add ${shared}/32 dev eth0`);
    const mac = podMac(200, "10.150.0.2");
    await announce(pod, mac);
    await until("the pod to know", async () => await macOf(other, "eth0") === mac);
    // One more round, so that whatever the first one set off has happened.
    await announce(other, podMac(200, "10.150.0.66"));
    const [here, there] = [left, right].map((node) => bench.bridgeOf(node).mac);
    const last = `${there} says 10.150.0.66`;
    const passed: string[] = [];
    await until("the other announcement", () => {
      passed.push(...tunnel.take());
      return passed.includes(last);
    });
    assert.ok(!heard.some((line) => line.startsWith(right.place.address) && line.endsWith(mac)));
    const expected = [`${here} says 10.150.0.2`, `${here} says ${shared}`, last];
    assert.deepEqual(passed.toSorted(), expected.toSorted());
  });

  test("an address that IPAM gave to a pod of another node is announced by nobody else", async (bench) => {
    const { nodes: [left], pods: [pod, other], heard, announce } = bench;
    assert.ok(left && pod && other);
    bench.owner = "other";
    await knowOld(left.space(200), bridge, "extern_learn nud noarp");
    await knowOld(other, "eth0", "nud permanent");
    await pod.ip(`address add ${shared}/32 dev eth0`);
    await announce(pod, podMac(200, "10.150.0.2"));
    await until(
      "the announcement",
      () => Promise.resolve(heard.some((line) => line.includes(shared))),
    );
    assert.equal(await macOf(left.space(200), bridge), oldMac);
    assert.equal(await macOf(other, "eth0"), oldMac);
  });

  test("an address of a pod of this node is not taken over", async ({ nodes: [left], pods: [pod], heard, announce }) => {
    assert.ok(left && pod);
    await knowOld(left.space(200), bridge, "nud permanent");
    await pod.ip(`address add ${shared}/32 dev eth0`);
    await announce(pod, podMac(200, "10.150.0.2"));
    await until(
      "the announcement",
      () => Promise.resolve(heard.some((line) => line.includes(shared))),
    );
    assert.equal(await macOf(left.space(200), bridge), oldMac);
  });

  test("of too many announcements the rest of a second is passed over, and then they are heard again", async ({ pods: [pod], heard, announce }) => {
    assert.ok(pod);
    const mac = podMac(200, "10.150.0.2");
    await announce(pod, mac);
    const lines = Array.from({ length: 100 }, () => `link set eth0 address ${mac}`);
    await pod.ip(...lines);
    const limits = () =>
      heard.flatMap((line, index) => line.includes("Too many announcements") ? [index] : []);
    await until("the limit of two seconds", () => limits().length >= 2);
    // The first second may have begun before most were sent; those of the next one waited for it.
    const [first = 0, second = 0] = limits();
    assert.equal(second - first - 1, 20);
  });

  test("a bridge that was made anew is listened to again", async (bench) => {
    const { nodes: [left], pods: [pod], relays: [relay], heard } = bench;
    assert.ok(left && pod && relay);
    await left.space(200).ip(`link del ${bridge}`);
    left.apply(stretched(left, "10.150.0.0", "10.150.0.2"));
    bench.relay(left, relay);
    await bench.announce(pod, podMac(200, "10.150.0.2"));
    await until(
      "the announcement",
      () => Promise.resolve(heard.some((line) => line.includes(" 10.150.0.2 "))),
    );
    relay.relay([]);
  });
}
