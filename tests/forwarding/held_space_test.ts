/** What FRR makes and takes away, by hand, in a namespace with the links of a stretched subnet that is routed too. */
import assert from "node:assert/strict";
import { HeldSpace } from "../../daemon/forwarding/held_space.ts";
import { heldMetric } from "../../daemon/forwarding/learned.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { MonitorSet } from "../../lib/netlink/monitor_set.ts";
import { addAddress, deleteAddress } from "../../lib/netlink/rtnl/address.ts";
import { createLink, deleteLink } from "../../lib/netlink/rtnl/link.ts";
import { addFdb, deleteFdb, listFdb, NTF, NUD } from "../../lib/netlink/rtnl/neighbor.ts";
import { addRoute, deleteRoute, listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RTNLGRP, RTPROT } from "../../lib/netlink/rtnl/types.ts";
import { createNetns } from "../../lib/sys/netns.ts";

const vtep = "192.0.2.12";
const podMac = "02:00:00:00:00:12";
const everywhere = "00:00:00:00:00:00";
const block = parsePrefix("10.150.0.64/26");

/** Links of an overlay, and a hold that watches them. */
class Overlay implements AsyncDisposable {
  readonly c: NetlinkConnection;
  readonly space: HeldSpace;
  readonly bridge: number;
  readonly vxlan: number;
  readonly #netns = createNetns();
  readonly #monitors = new MonitorSet();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #told = () => {};

  constructor() {
    const netns = this.#netns;
    this.c = NetlinkConnection.open({ netns });
    this.bridge = createLink(this.c, { name: "l2br-200", kind: { type: "bridge" }, up: true });
    addAddress(this.c, { index: this.bridge, address: "10.150.0.1", prefixLength: 26 });
    this.vxlan = createLink(this.c, {
      name: "l2vx-50200",
      kind: { type: "vxlan", vni: 50200, local: "192.0.2.11", port: 4789, learning: false },
      master: this.bridge,
      up: true,
    });
    this.space = new HeldSpace(NetlinkConnection.open({ netns }), () => 0);
    this.#monitors.add("space", {
      netns,
      groups: [RTNLGRP.LINK, RTNLGRP.NEIGH, RTNLGRP.IPV4_ROUTE],
      onLost: () => this.space.look(),
      onMessage: (message) => {
        this.space.told(message);
        this.#told();
      },
    });
    this.space.look();
    this.#running = this.#monitors.run(this.#stop.signal);
  }

  /** Makes what zebra makes for a pod of another node, the flooding to it, and a route: four entries. */
  learn(to: string = vtep): void {
    this.learnMacs(to);
    const way = { dst: block, gateway: to, oif: this.bridge, onlink: true };
    addRoute(this.c, { ...way, metric: 20, protocol: RTPROT.BGP }, { replace: true });
  }

  /** The same without the route. */
  learnMacs(to: string = vtep): void {
    const { c, vxlan } = this;
    const own = { index: vxlan, dst: to, state: NUD.NOARP | NUD.REACHABLE };
    const flags = NTF.SELF | NTF.EXT_LEARNED;
    addFdb(c, { ...own, mac: everywhere, flags }, { append: true });
    addFdb(c, { ...own, mac: podMac, flags }, { replace: true });
    const inBridge = NTF.MASTER | NTF.EXT_LEARNED;
    addFdb(c, { index: vxlan, mac: podMac, state: NUD.NOARP, flags: inBridge }, { replace: true });
  }

  /** Takes it away. */
  forget(): void {
    const { c, vxlan } = this;
    deleteFdb(c, { index: vxlan, mac: podMac, flags: NTF.MASTER });
    deleteFdb(c, { index: vxlan, mac: podMac, dst: vtep, flags: NTF.SELF });
    deleteFdb(c, { index: vxlan, mac: everywhere, dst: vtep, flags: NTF.SELF });
    deleteRoute(c, { dst: block, metric: 20, protocol: RTPROT.BGP });
  }

  /** Waits for what the kernel tells to make a condition hold. */
  async until(holds: () => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(10_000);
    while (!holds()) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#told = resolve;
        // The last of the messages may have come before.
        setTimeout(resolve, 20);
      });
    }
  }

  /** A hold of another run of the daemon. */
  successor(): HeldSpace {
    return new HeldSpace(NetlinkConnection.open({ netns: this.#netns }), () => 0);
  }

  route(metric: number): boolean {
    return listRoutes(this.c).some((route) =>
      route.metric === metric && route.gateway === vtep && route.dst?.address === "10.150.0.64"
    );
  }

  /** The VTEPs behind a MAC. */
  tunnelEnds(of: string): string[] {
    return listFdb(this.c, { index: this.vxlan }).flatMap(({ mac, dst }) =>
      mac === of && dst !== undefined ? [dst] : []
    ).sort();
  }

  /** Whether the bridge knows the pod, and by whom. */
  inBridge(): "FRR" | "held" | undefined {
    const found = listFdb(this.c, { index: this.vxlan }).find(({ mac, dst }) =>
      mac === podMac && dst === undefined
    );
    if (found === undefined) return undefined;
    return ((found.flags ?? 0) & NTF.EXT_LEARNED) !== 0 ? "FRR" : "held";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#monitors[Symbol.dispose]();
    this.space[Symbol.dispose]();
    this.c[Symbol.dispose]();
    this.#netns[Symbol.dispose]();
  }
}

const everything = () => true;

/** What FRR has made is known, then taken away, and all of it is held. */
async function held(overlay: Overlay): Promise<void> {
  overlay.learn();
  await overlay.until(() => overlay.space.known === 4);
  overlay.forget();
  await overlay.until(() => overlay.space.size === 4);
}

Deno.test("what FRR takes away is put back behind FRR's own, and goes when it may", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  assert.ok(overlay.route(heldMetric) && !overlay.route(20));
  assert.equal(overlay.inBridge(), "held");
  assert.deepEqual(overlay.tunnelEnds(podMac), [vtep]);
  assert.deepEqual(overlay.tunnelEnds(everywhere), [vtep]);
  assert.equal(space.release(() => false), 0);
  assert.equal(space.release(({ vtep: to }) => to === vtep), 4);
  assert.ok(!overlay.route(heldMetric));
  assert.equal(overlay.inBridge(), undefined);
  assert.deepEqual(overlay.tunnelEnds(podMac), []);
  assert.deepEqual(overlay.tunnelEnds(everywhere), []);
});

Deno.test("what FRR makes again is FRR's alone: nothing of ours is left, and nothing of it goes", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  overlay.learn();
  // Of the flooding the kernel tells nothing: it was there.
  await overlay.until(() => space.size === 1);
  space.release(everything);
  assert.equal(space.size, 0);
  assert.ok(overlay.route(20) && !overlay.route(heldMetric));
  assert.equal(overlay.inBridge(), "FRR");
  assert.deepEqual(overlay.tunnelEnds(podMac), [vtep]);
  assert.deepEqual(overlay.tunnelEnds(everywhere), [vtep]);
  // They are known as FRR's: taken away once more, all is put back once more.
  overlay.forget();
  await overlay.until(() => space.size === 4);
});

Deno.test("what FRR takes away again before it may go is put back again", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  overlay.learn();
  await overlay.until(() => space.size === 1);
  overlay.forget();
  await overlay.until(() => space.size === 4 && overlay.tunnelEnds(podMac).length === 1);
  assert.ok(overlay.route(heldMetric));
});

Deno.test("a route that the kernel dropped without a word is held at the next look", async () => {
  await using overlay = new Overlay();
  const { c, bridge, space } = overlay;
  overlay.learn();
  await overlay.until(() => space.known === 4);
  space.look();
  assert.equal(space.size, 0);
  const gateway = { index: bridge, address: "10.150.0.1", prefixLength: 26 };
  deleteAddress(c, gateway);
  addAddress(c, gateway);
  assert.ok(!overlay.route(20));
  assert.equal(space.size, 0);
  space.look();
  assert.equal(space.size, 1);
  assert.ok(overlay.route(heldMetric));
  assert.equal(space.release(everything), 1);
  assert.ok(!overlay.route(heldMetric));
  space.look();
  assert.equal(space.size, 0);
});

Deno.test("what an earlier run of the daemon has put back is held by the next one, and goes when it may", async () => {
  await using overlay = new Overlay();
  await held(overlay);
  using next = overlay.successor();
  next.look();
  // The flooding is like FRR's own.
  assert.equal(next.size, 3);
  assert.equal(next.release(({ vtep: to }) => to === vtep), 3);
  assert.ok(!overlay.route(heldMetric));
  assert.equal(overlay.inBridge(), undefined);
  assert.deepEqual(overlay.tunnelEnds(podMac), []);
});

Deno.test("a pod that is on another node meanwhile is reached there", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  overlay.learn("192.0.2.13");
  await overlay.until(() => overlay.inBridge() === "FRR" && space.size === 1);
  assert.deepEqual(overlay.tunnelEnds(podMac), ["192.0.2.13"]);
  space.release(everything);
  assert.deepEqual(overlay.tunnelEnds(podMac), ["192.0.2.13"]);
  assert.deepEqual(overlay.tunnelEnds(everywhere), ["192.0.2.13"]);
});

Deno.test("what FRR makes again stays, also when the kernel has not told of it yet", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  overlay.learn();
  space.release(everything);
  assert.equal(overlay.inBridge(), "FRR");
  assert.deepEqual(overlay.tunnelEnds(podMac), [vtep]);
  await overlay.until(() => space.known === 4);
  assert.deepEqual(overlay.tunnelEnds(everywhere), [vtep]);
});

Deno.test("in a subnet that is not routed, what FRR makes again stays: all MACs, and the flooding where FRR knows as many VTEPs", async () => {
  await using overlay = new Overlay();
  const { space } = overlay;
  await held(overlay);
  overlay.learnMacs();
  await overlay.until(() => space.size === 2);
  space.release(everything, (name) => name === "l2vx-50200" ? 1 : undefined);
  assert.equal(space.size, 0);
  assert.deepEqual(overlay.tunnelEnds(podMac), [vtep]);
  assert.deepEqual(overlay.tunnelEnds(everywhere), [vtep]);
});

Deno.test("a MAC that FRR does not make again goes, though others on its node are back", async () => {
  await using overlay = new Overlay();
  const { space, c, bridge } = overlay;
  await held(overlay);
  const way = { dst: block, gateway: vtep, oif: bridge, onlink: true };
  addRoute(c, { ...way, metric: 20, protocol: RTPROT.BGP }, { replace: true });
  await overlay.until(() => space.size === 3);
  space.release(everything);
  assert.deepEqual(overlay.tunnelEnds(podMac), []);
  assert.equal(overlay.inBridge(), undefined);
  assert.deepEqual(overlay.tunnelEnds(everywhere), [vtep]);
});

Deno.test("what goes with its link is not held, nor are routes of others", async () => {
  await using overlay = new Overlay();
  const { space, c, bridge, vxlan } = overlay;
  overlay.learn();
  await overlay.until(() => space.known === 4);
  const other = { dst: parsePrefix("10.99.0.0/16"), gateway: vtep, oif: bridge, onlink: true };
  addRoute(c, { ...other, protocol: RTPROT.STATIC });
  deleteRoute(c, other);
  deleteLink(c, { index: vxlan });
  deleteLink(c, { index: bridge });
  await overlay.until(() => space.known === 0);
  assert.equal(space.size, 0);
});
