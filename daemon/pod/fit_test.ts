import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { createLink, getLink, setLink } from "../../lib/netlink/rtnl/link.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { createNetns } from "../../lib/sys/netns.ts";
import type { PodPort } from "../kernel/port.ts";
import { fitPod } from "./fit.ts";

/** A host end and a pod's end, both with an MTU of 1450. */
class Bench implements Disposable {
  readonly host: OwnedFd = createNetns();
  readonly pod: OwnedFd = createNetns();
  readonly connection: NetlinkConnection = NetlinkConnection.open({ netns: this.host });
  readonly inside: NetlinkConnection = NetlinkConnection.open({ netns: this.pod });
  readonly port: PodPort;

  constructor(mac = "02:00:00:00:00:05") {
    const netnsPath = `/proc/self/fd/${this.pod.fd}`;
    this.port = { name: "veth1", mac, addresses: [], ifname: "eth0", netnsPath };
    const peer = { name: "eth0", netnsFd: this.pod.fd, mtu: 1450, address: mac };
    createLink(this.connection, { name: "veth1", kind: { type: "veth", peer }, mtu: 1450 });
  }

  /** MTU of the host end and of the pod's. */
  mtus(): (number | undefined)[] {
    return [
      getLink(this.connection, { name: "veth1" })?.mtu,
      getLink(this.inside, { name: "eth0" })?.mtu,
    ];
  }

  [Symbol.dispose](): void {
    this.inside[Symbol.dispose]();
    this.connection[Symbol.dispose]();
    this.pod[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

Deno.test("A pod whose namespace is out of reach is left alone, and what it has is told", () => {
  using bench = new Bench();
  for (const netnsPath of ["/run/netns/pr2t-none", "/dev/null", "/proc/self/ns/mnt"]) {
    assert.equal(fitPod(bench.connection, { ...bench.port, netnsPath }, 1350), 1450);
  }
  assert.deepEqual(bench.mtus(), [1450, 1450]);
});

Deno.test("An interface of the same name in another namespace is not touched", () => {
  using bench = new Bench();
  using other = new Bench("02:00:00:00:00:06");
  const { netnsPath } = other.port;
  assert.equal(fitPod(bench.connection, { ...bench.port, netnsPath }, 1350), 1450);
  assert.deepEqual([...bench.mtus(), ...other.mtus()], [1450, 1450, 1450, 1450]);
});

Deno.test("A pod that has gone is nobody's problem", () => {
  using bench = new Bench();
  assert.equal(fitPod(bench.connection, { ...bench.port, name: "veth2" }, 1350), undefined);
});

Deno.test("Both ends get the MTU, up and down, and once they have it nothing is done", () => {
  using bench = new Bench();
  for (const mtu of [1350, 8950, 8950]) {
    assert.equal(fitPod(bench.connection, bench.port, mtu), mtu);
    assert.deepEqual(bench.mtus(), [mtu, mtu]);
  }
});

Deno.test("A smaller MTU that the pod chose itself stays, a larger one does not", () => {
  using bench = new Bench();
  const index = getLink(bench.inside, { name: "eth0" })?.index ?? 0;
  setLink(bench.inside, index, { mtu: 1280 });
  fitPod(bench.connection, bench.port, 1350);
  assert.deepEqual(bench.mtus(), [1350, 1280]);
  fitPod(bench.connection, bench.port, 1450);
  assert.deepEqual(bench.mtus(), [1450, 1280]);
  setLink(bench.inside, index, { mtu: 9000 });
  fitPod(bench.connection, bench.port, 1400);
  assert.deepEqual(bench.mtus(), [1400, 1400]);
});
