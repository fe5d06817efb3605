import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { createLink, getLink, listLinks } from "../../lib/netlink/rtnl/link.ts";
import { createNetns, netnsIdentity, openOwnNetns } from "../../lib/sys/netns.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import { podNetwork } from "./network.ts";
import { PodError, type PodInterfaceSpec } from "./port.ts";

/** A VRF's side in a namespace of its own, and a pod. */
class Bench implements Disposable {
  readonly host: OwnedFd = createNetns();
  readonly pod: OwnedFd = createNetns();
  readonly connection: NetlinkConnection = NetlinkConnection.open({ netns: this.host });
  readonly podConnection: NetlinkConnection = NetlinkConnection.open({ netns: this.pod });
  readonly point: AttachmentPoint;

  constructor() {
    const bridgeIndex = createLink(this.connection, {
      name: "l3br-200",
      kind: { type: "bridge" },
      address: "02:00:00:00:02:00",
      mtu: 1450,
      up: true,
    });
    addAddress(this.connection, { index: bridgeIndex, address: "10.150.0.1", prefixLength: 26 });
    const { connection } = this;
    this.point = { connection, bridgeIndex, bridge: "l3br-200", mtu: 1450 };
  }

  [Symbol.dispose](): void {
    this.podConnection[Symbol.dispose]();
    this.connection[Symbol.dispose]();
    this.pod[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

const spec: PodInterfaceSpec = {
  hostIfname: "pr2tc0ffee",
  alias: "c0ffee/eth0",
  ifname: "eth0",
  address: "10.150.0.5",
  prefixLength: 26,
  gateway: "10.150.0.1",
};

/** Runs a command in a namespace, to see with other eyes than our own netlink. */
async function ip(netns: OwnedFd, ...args: string[]): Promise<string> {
  const command = new Deno.Command("nsenter", {
    args: [`--net=/proc/${Deno.pid}/fd/${netns.fd}`, ...args],
  });
  const { code, stdout, stderr } = await command.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("A descriptor that is no namespace is refused and nothing is made", async () => {
  using bench = new Bench();
  using file = Deno.openSync("/dev/null");
  const fd = [...Deno.readDirSync("/proc/self/fd")].map((entry) => Number(entry.name)).find((n) =>
    linkOf(n) === "/dev/null" && n > 2
  );
  assert.ok(fd !== undefined && file !== undefined);
  await assert.rejects(
    podNetwork.attach(bench.point, { fd }, spec),
    (thrown: unknown) => thrown instanceof PodError && thrown.code === "PodNetnsUnusable",
  );
  assert.equal(podNetwork.hasHostEnd(bench.connection, spec.hostIfname), false);
});

Deno.test("An interface that the container has is left alone", async () => {
  using bench = new Bench();
  createLink(bench.podConnection, { name: "eth0", kind: { type: "bridge" } });
  const before = getLink(bench.podConnection, { name: "eth0" });
  await assert.rejects(
    podNetwork.attach(bench.point, bench.pod, spec),
    (thrown: unknown) => thrown instanceof PodError && thrown.code === "InterfaceExists",
  );
  assert.deepEqual(getLink(bench.podConnection, { name: "eth0" }), before);
  assert.equal(podNetwork.hasHostEnd(bench.connection, spec.hostIfname), false);
});

Deno.test("A failure halfway leaves nothing on either side", async () => {
  using bench = new Bench();
  const unreachable = { ...spec, gateway: "192.0.2.1" };
  await assert.rejects(podNetwork.attach(bench.point, bench.pod, unreachable), NetlinkError);
  assert.equal(podNetwork.hasHostEnd(bench.connection, spec.hostIfname), false);
  assert.deepEqual(listLinks(bench.podConnection).map((link) => link.name), ["lo"]);
});

Deno.test("A bridge that is gone leaves nothing on either side", async () => {
  using bench = new Bench();
  const point = { ...bench.point, bridgeIndex: 4_000 };
  await assert.rejects(podNetwork.attach(point, bench.pod, spec), NetlinkError);
  assert.deepEqual(listLinks(bench.podConnection).map((link) => link.name), ["lo"]);
  assert.equal(podNetwork.hasHostEnd(bench.connection, spec.hostIfname), false);
});

Deno.test("A pod gets its interface, address, route and a working gateway", async () => {
  using bench = new Bench();
  using own = openOwnNetns();
  const home = netnsIdentity(own);
  const attached = await podNetwork.attach(bench.point, bench.pod, spec);
  using after = openOwnNetns();
  assert.equal(netnsIdentity(after), home);

  const link = getLink(bench.podConnection, { name: "eth0" });
  assert.deepEqual([link?.mac, link?.mtu, link?.up], [attached.mac, 1450, true]);
  assert.equal(getLink(bench.podConnection, { index: 1 })?.up, true);
  const host = getLink(bench.connection, { name: spec.hostIfname });
  assert.equal(host?.alias, "c0ffee/eth0");
  assert.equal(host?.master, bench.point.bridgeIndex);
  assert.equal(host?.bridgePort?.hairpin, true);
  assert.equal(host?.mac, attached.hostMac);
  assert.equal(attached.mtu, 1450);
  assert.match(
    await ip(bench.pod, "ip", "-4", "addr", "show", "eth0"),
    /inet 10\.150\.0\.5\/26 brd|inet 10\.150\.0\.5\/26/,
  );
  assert.match(
    await ip(bench.pod, "ip", "route", "show", "default"),
    /default via 10\.150\.0\.1 dev eth0/,
  );
  // Nobody listens at the gateway, so that its refusal is the proof that it was reached.
  const reached = await new Deno.Command("nsenter", {
    args: [`--net=/proc/${Deno.pid}/fd/${bench.pod.fd}`, "bash", "-c", "</dev/tcp/10.150.0.1/9"],
  }).output();
  assert.match(new TextDecoder().decode(reached.stderr), /refused/);
});

Deno.test("A neighbour that knew the address learns the new MAC at once", async () => {
  using bench = new Bench();
  await ip(
    bench.host,
    ...["ip", "neigh", "add", "10.150.0.5", "lladdr", "02:99:00:00:00:01"],
    ...["dev", "l3br-200", "nud", "stale"],
  );
  const { mac } = await podNetwork.attach(bench.point, bench.pod, spec);
  const deadline = AbortSignal.timeout(5_000);
  for (;;) {
    deadline.throwIfAborted();
    const neighbours = await ip(bench.host, "ip", "neigh", "show", "10.150.0.5");
    if (neighbours.includes(mac)) break;
  }
});

Deno.test("What a killed daemon left of the same attachment is replaced", async () => {
  using bench = new Bench();
  createLink(bench.connection, {
    name: spec.hostIfname,
    kind: { type: "veth", peer: { name: "pr2tother" } },
  });
  await podNetwork.attach(bench.point, bench.pod, spec);
  assert.equal(getLink(bench.connection, { name: "pr2tother" }), undefined);
});

Deno.test("Detaching removes both ends, works without the namespace and a second time", async () => {
  using bench = new Bench();
  assert.equal(await podNetwork.detach(bench.connection, spec.hostIfname), false);
  await podNetwork.attach(bench.point, bench.pod, spec);
  assert.equal(await podNetwork.detach(bench.connection, spec.hostIfname), true);
  assert.deepEqual(listLinks(bench.podConnection).map((link) => link.name), ["lo"]);
  assert.equal(await podNetwork.detach(bench.connection, spec.hostIfname), false);
});

Deno.test("Every difference from what was made is found", async () => {
  using bench = new Bench();
  const { mac } = await podNetwork.attach(bench.point, bench.pod, spec);
  const made = { ...spec, mac };
  assert.deepEqual(podNetwork.inspect(bench.point, bench.pod, made), []);

  await ip(bench.pod, "ip", "route", "del", "default");
  assert.match(podNetwork.inspect(bench.point, bench.pod, made).join(), /default route/);
  await ip(bench.pod, "ip", "addr", "flush", "dev", "eth0");
  assert.match(podNetwork.inspect(bench.point, bench.pod, made).join(), /no address/);
  await ip(bench.pod, "ip", "link", "set", "eth0", "down", "address", "02:00:00:00:00:99");
  const faults = podNetwork.inspect(bench.point, bench.pod, made).join();
  assert.match(faults, /02:00:00:00:00:99/);
  assert.match(faults, /is down/);
  await ip(bench.host, "ip", "link", "set", spec.hostIfname, "nomaster");
  assert.match(podNetwork.inspect(bench.point, bench.pod, made).join(), /not in the bridge/);
  await podNetwork.detach(bench.connection, spec.hostIfname);
  const gone = podNetwork.inspect(bench.point, bench.pod, made);
  assert.equal(gone.length, 2);
});

Deno.test("Many pods attach and detach at once", async () => {
  using bench = new Bench();
  const pods = Array.from({ length: 12 }, () => createNetns());
  try {
    await Promise.all(pods.map((pod, at) =>
      podNetwork.attach(bench.point, pod, {
        ...spec,
        hostIfname: `pr2tc${at}`,
        alias: `c${at}/eth0`,
        address: `10.150.0.${at + 10}`,
      })
    ));
    const ports = () => listLinks(bench.connection, { master: bench.point.bridgeIndex }).length;
    assert.equal(ports(), 12);
    await Promise.all(
      pods.map((_, at) => podNetwork.detach(bench.connection, `pr2tc${at}`)),
    );
    assert.equal(ports(), 0);
  } finally {
    for (const pod of pods) pod[Symbol.dispose]();
  }
});

function linkOf(fd: number): string {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}
