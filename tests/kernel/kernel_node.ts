/** A node of a segment with the kernel adapter under test. */
import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { NetlinkSocket } from "../../lib/sys/netlink_socket.ts";
import type { NetnsHandle } from "../../lib/sys/netns.ts";
import { bridgeMac, bridgeName, podMac, vrfName, vxlanName } from "../../daemon/kernel/names.ts";
import { openKernel } from "../../daemon/kernel/open_kernel.ts";
import type {
  Kernel,
  ObservedVrf,
  OverlaySpec,
  PodPort,
  VrfBackend,
  VrfSpec,
} from "../../daemon/kernel/port.ts";
import { Namespace, type Segment, type SegmentNode, succeed } from "./segment.ts";

/** What a test wants of a VRF; the rest follows. */
export interface VrfWish {
  /** VRF number; table and VNI follow from it. */
  readonly vrf: number;
  /** Blocks of a /26 each, by their network addresses. */
  readonly blocks: readonly string[];
  /** Blocks of a /64 each, by their network addresses; without this the VRF has no IPv6. */
  readonly blocks6?: readonly string[];
  /** Changes to the overlay. */
  readonly overlay?: Partial<OverlaySpec>;
  /** Another table. */
  readonly table?: number;
}

/** The prefix of every VRF in these tests: tenants overlap. */
export const prefix = "10.150.0.0/16";

/** Their IPv6 prefix, where they have one. */
export const prefix6 = "fd00:150::/48";

/** A node with an open kernel that counts the changes it asks for. */
export class KernelNode implements Disposable {
  /** The adapter under test. */
  readonly kernel: Kernel;
  /** The node on its segment. */
  readonly place: SegmentNode;
  readonly #backend: VrfBackend;
  readonly #netns: OwnedFd;
  readonly #index: number;
  #changes = 0;
  #requests = 0;

  /** Opens the kernel of a segment's node, by number from 0. */
  constructor(segment: Segment, backend: VrfBackend, index = 0) {
    this.place = segment.node(index);
    this.#backend = backend;
    this.#index = index;
    this.#netns = this.place.host.open();
    this.kernel = openKernel({
      backend,
      hostNetns: this.#netns,
      netnsDir: this.place.netnsDir,
      connect: (netns) => this.#connect(netns),
    });
  }

  /** How many messages other than RTM_GET* were sent so far. */
  get changes(): number {
    return this.#changes;
  }

  /** How many datagrams were sent so far. */
  get requests(): number {
    return this.#requests;
  }

  /** The namespace in which a VRF's bridge lives. */
  space(vrf: number): Namespace {
    return this.#backend === "device"
      ? this.place.host
      : new Namespace(`${this.place.netnsDir}/${vrfName(vrf)}`);
  }

  /** The complete specification for a wish. */
  spec({ vrf, blocks, blocks6, overlay, table = vrf * 10 + 200 }: VrfWish): VrfSpec {
    const vni = overlay?.vni ?? 50_000 + vrf;
    const type = overlay?.type ?? "l3vni";
    return {
      vrf,
      name: vrfName(vrf),
      table,
      prefixes: blocks6 === undefined ? [prefix] : [prefix, prefix6],
      blocks: [
        ...blocks.map((block) => `${block}/26`),
        ...(blocks6 ?? []).map((block) => `${block}/64`),
      ],
      overlays: [{
        type,
        vni,
        port: 4789,
        local: this.place.address,
        bridge: bridgeName(type, vrf),
        vxlan: vxlanName(type, vni),
        mac: bridgeMac(`node-${this.#index}`, vrf),
        mtu: 1450,
        gateways: [
          ...blocks.map((block) => ({ address: gatewayOf(block), prefixLength: 26 })),
          ...(blocks6 ?? []).map((block) => ({ address: `${block}1`, prefixLength: 64 })),
        ],
        ports: [],
        ...overlay,
      }],
    };
  }

  /** Ensures what does not match, as a reconciler does, and asserts that afterwards everything does. */
  apply(spec: VrfSpec): void {
    const underlay = this.kernel.underlay();
    const before = this.kernel.observe().vrfs.get(spec.vrf);
    if (before?.matches(spec, underlay) !== true) this.kernel.ensureVrf(spec, underlay);
    const between = this.kernel.observe().vrfs.get(spec.vrf);
    for (const overlay of spec.overlays) {
      const matches = between?.overlays.some((found) => found.matches(overlay));
      if (matches !== true) this.kernel.ensureOverlay(spec, overlay);
    }
    assert.ok(this.isAsWished(spec), `${spec.name} does not match after it was ensured`);
  }

  /** Whether the VRF and its overlays match. */
  isAsWished(spec: VrfSpec): boolean {
    const found = this.kernel.observe().vrfs.get(spec.vrf);
    return found?.matches(spec, this.kernel.underlay()) === true &&
      spec.overlays.every((overlay) => found.overlays.some((each) => each.matches(overlay)));
  }

  /** The VRF as observed. */
  observed(vrf: number): ObservedVrf {
    const found = this.kernel.observe().vrfs.get(vrf);
    assert.ok(found, `VRF ${vrf} is not there`);
    return found;
  }

  /** Removes a VRF in the order that a reconciler keeps. */
  async remove(vrf: ObservedVrf): Promise<void> {
    for (const overlay of vrf.overlays) await this.kernel.removeOverlay(vrf.name, overlay);
    await this.kernel.detachVrf(vrf);
    await this.kernel.removeVrf(vrf);
  }

  /** Plugs a new pod's namespace into a VRF, by iproute2. */
  async pod(segment: Segment, name: string, vrf: number, address: string): Promise<Namespace> {
    const pod = await segment.namespace(name);
    const { bridge } = this.kernel.attachmentPoint(vrf);
    const podName = pod.path.slice("/run/netns/".length);
    await this.space(vrf).ip(
      `link add ${name} type veth peer name eth0 netns ${podName}`,
      `link set ${name} master ${bridge} mtu 1450 up`,
      `link set ${name} type bridge_slave hairpin on`,
    );
    await pod.ip(
      "link set lo up",
      `address add ${address}/26 dev eth0`,
      "link set eth0 mtu 1450 up",
      `route add default via ${gatewayOf(address)}`,
    );
    return pod;
  }

  /** The same with an IPv6 address besides. */
  async dualPod(
    segment: Segment,
    name: string,
    vrf: number,
    [address, address6]: readonly [string, string],
  ): Promise<Namespace> {
    const pod = await this.pod(segment, name, vrf, address);
    await pod.ip(`address add ${address6}/64 dev eth0 nodad`);
    await pod.ip6(`route add default via ${gatewayOf6(address6)}`);
    return pod;
  }

  /** Closes the kernel; what it made stays. */
  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
    this.#netns[Symbol.dispose]();
  }

  #connect(netns: NetnsHandle | undefined): NetlinkConnection {
    const socket = NetlinkSocket.open({ netns });
    const count = (bytes: Uint8Array<ArrayBuffer>) => {
      this.#requests++;
      this.#changes += changesIn(bytes);
      return bytes;
    };
    return new NetlinkConnection({
      send: (bytes) => socket.send(count(bytes)),
      sendNonblocking: (bytes) => socket.sendNonblocking(count(bytes)),
      recv: (buffer) => socket.recv(buffer),
      [Symbol.dispose]: () => socket[Symbol.dispose](),
    });
  }
}

/** A pod as the reconciler knows it. */
export function portOf(name: string, ...addresses: string[]): PodPort {
  const mac = podMac(200, addresses[0] ?? "");
  return { name, mac, addresses, ifname: "eth0", netnsPath: `/run/netns/${name}` };
}

/** What FRR would install for a type-5 route: the other node's blocks through its router MAC. */
export async function pointTo(node: KernelNode, own: VrfSpec, other: VrfSpec): Promise<void> {
  const [overlay] = own.overlays;
  const [remote] = other.overlays;
  assert.ok(overlay && remote);
  const { bridge, vxlan } = overlay;
  const space = node.space(own.vrf);
  const master = (await space.rows("-d", "link", "show", "dev", bridge))[0]?.master;
  const table = master === undefined ? "main" : String(own.table);
  await space.ip(
    `neighbour add ${remote.local} lladdr ${remote.mac} dev ${bridge} nud permanent`,
    ...other.blocks.filter((block) => !block.includes(":")).map((block) =>
      `route add ${block} via ${remote.local} dev ${bridge} onlink table ${table}`
    ),
  );
  const entry = ["fdb", "append", remote.mac, "dev", vxlan, "dst", remote.local, "self", "static"];
  await succeed(space.command("bridge", ...entry));
  await succeed(space.command("bridge", "fdb", "append", remote.mac, "dev", vxlan, "master"));
}

/** The first usable address of the /26 that an address is in. */
export function gatewayOf(address: string): string {
  const octets = address.split(".").map(Number);
  const last = octets.pop() ?? 0;
  return [...octets, (last & 0xc0) + 1].join(".");
}

/** The first usable address of the /64 that an address of the form `a:b:c:d::e` is in. */
export function gatewayOf6(address: string): string {
  return `${address.slice(0, address.indexOf("::"))}::1`;
}

/** Messages in a datagram that are not RTM_GET*: the message types come in fours, of which "get" is the third. */
function changesIn(bytes: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let changes = 0;
  for (let at = 0; at + 16 <= bytes.length;) {
    if (view.getUint16(at + 4, true) % 4 !== 2) changes++;
    at += (view.getUint32(at, true) + 3) & ~3;
  }
  return changes;
}
