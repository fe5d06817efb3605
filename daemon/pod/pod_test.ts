import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { NLM_F } from "../../lib/netlink/message.ts";
import { addAddress, IFA_F, listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { createLink, getLink, listLinks, setLink } from "../../lib/netlink/rtnl/link.ts";
import { RT_SCOPE, RTM } from "../../lib/netlink/rtnl/types.ts";
import { recordDatagrams } from "../../lib/netlink/testing/record_datagrams.ts";
import { createNetns, inNetns, netnsIdentity, openOwnNetns } from "../../lib/sys/netns.ts";
import { linkLocalOf } from "../../lib/net/mac.ts";
import { readSysctl, writeSysctl } from "../../lib/sys/sysctl.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { podAlias, podMac } from "../kernel/names.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import { listRunningPods } from "../kernel/running_pods.ts";
import { podNetwork } from "./network.ts";
import { PodError, type PodInterfaceSpec, type PodRoute } from "./port.ts";

/** A VRF's side in a namespace of its own, and a pod. */
class Bench implements Disposable {
  readonly host: OwnedFd = createNetns();
  readonly pod: OwnedFd = createNetns();
  readonly connection: NetlinkConnection = NetlinkConnection.open({ netns: this.host });
  readonly podConnection: NetlinkConnection = NetlinkConnection.open({ netns: this.pod });
  readonly point: AttachmentPoint;

  constructor(bridge: "l3br-200" | "l2br-200" = "l3br-200") {
    const bridgeIndex = createLink(this.connection, {
      name: bridge,
      kind: { type: "bridge" },
      address: "02:00:00:00:02:00",
      mtu: 1450,
      addrGenMode: "none",
      up: true,
    });
    const { connection } = this;
    for (
      const address of [
        { address: "10.150.0.1", prefixLength: 26 },
        { address: "fd00:150::1", prefixLength: 64, nodad: true },
        { address: "fe80::1", prefixLength: 64, nodad: true },
      ]
    ) addAddress(connection, { index: bridgeIndex, ...address });
    const stretched = bridge === "l2br-200";
    this.point = { connection, bridgeIndex, bridge, mtu: 1450, stretched };
  }

  [Symbol.dispose](): void {
    this.podConnection[Symbol.dispose]();
    this.connection[Symbol.dispose]();
    this.pod[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

const four = { address: "10.150.0.5", prefixLength: 26, gateway: "10.150.0.1" };
const six = { address: "fd00:150::5", prefixLength: 64, gateway: "fd00:150::1" };
const default4: PodRoute = { destination: "0.0.0.0/0", gateway: four.gateway };
const default6: PodRoute = { destination: "::/0", gateway: six.gateway };

const spec: PodInterfaceSpec = {
  hostIfname: "pr2tc0ffee",
  alias: "c0ffee/eth0",
  ifname: "eth0",
  mac: podMac(200, "10.150.0.5"),
  addresses: [four],
  routes: [default4],
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

/** Types and flags of the first message of each netlink datagram that an action sends, on this thread or on another. */
async function requestsOf(
  action: () => Promise<unknown>,
): Promise<readonly { readonly type: number; readonly flags: number }[]> {
  return (await recordDatagrams(action)).map(({ bytes }) => {
    const view = new DataView(bytes.buffer);
    return { type: view.getUint16(4, true), flags: view.getUint16(6, true) };
  });
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
  const unreachable = { ...spec, routes: [{ ...default4, gateway: "192.0.2.1" }] };
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

Deno.test("A second interface with a default route of its own is refused and not made", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, spec);
  const addresses = [{ ...four, address: "10.150.0.6" }];
  const second = { ...spec, hostIfname: "pr2tother", ifname: "net1", addresses };
  await assert.rejects(
    podNetwork.attach(bench.point, bench.pod, { ...second, mac: podMac(200, "10.150.0.6") }),
    (thrown: unknown) => thrown instanceof PodError && thrown.code === "RouteExists",
  );
  assert.equal(podNetwork.hasHostEnd(bench.connection, "pr2tother"), false);
  assert.deepEqual(listLinks(bench.podConnection).map((link) => link.name), ["lo", "eth0"]);
});

Deno.test("A wished MAC that the bridge or one of its ports has is refused and nothing is made", async () => {
  using bench = new Bench();
  using other = createNetns();
  const first = await podNetwork.attach(bench.point, other, { ...spec, hostIfname: "pr2tother" });
  for (const mac of ["02:00:00:00:02:00", first.hostMac]) {
    await assert.rejects(
      podNetwork.attach(bench.point, bench.pod, { ...spec, mac, macIsWished: true }),
      (thrown: unknown) =>
        thrown instanceof PodError && thrown.code === "MacInUse" && thrown.message.includes(mac),
    );
  }
  assert.equal(podNetwork.hasHostEnd(bench.connection, spec.hostIfname), false);
  assert.deepEqual(listLinks(bench.podConnection).map((link) => link.name), ["lo"]);
});

Deno.test("A pod gets its interface, address, route and a working gateway", async () => {
  using bench = new Bench();
  using own = openOwnNetns();
  const home = netnsIdentity(own);
  const attached = await podNetwork.attach(bench.point, bench.pod, spec);
  using after = openOwnNetns();
  assert.equal(netnsIdentity(after), home);

  const link = getLink(bench.podConnection, { name: "eth0" });
  assert.deepEqual([link?.mac, link?.mtu, link?.up], [spec.mac, 1450, true]);
  assert.equal(attached.mac, spec.mac);
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

/** A pod with both IP versions. */
const dual: PodInterfaceSpec = { ...spec, addresses: [four, six], routes: [default4, default6] };

/** What bash says of a connection from the pod to a port where nobody listens. */
async function connect(pod: OwnedFd, address: string): Promise<string> {
  const command = ["timeout", "5", "bash", "-c", `</dev/tcp/${address}/9`];
  const { stderr } = await new Deno.Command("nsenter", {
    args: [`--net=/proc/${Deno.pid}/fd/${pod.fd}`, ...command],
  }).output();
  return new TextDecoder().decode(stderr);
}

Deno.test("A pod's IPv6 address is in use when it is attached, with a working gateway beside IPv4", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, dual);
  const addresses = listAddresses(bench.podConnection).filter(({ family }) => family === 6);
  const unusable = IFA_F.TENTATIVE | IFA_F.DADFAILED;
  assert.deepEqual(addresses.filter(({ flags }) => (flags & unusable) !== 0), []);
  assert.deepEqual(
    addresses.filter(({ scope }) => scope === RT_SCOPE.LINK).map(({ address }) => address),
    [linkLocalOf(dual.mac)],
  );
  assert.ok(
    addresses.some(({ address, prefixLength }) => address === six.address && prefixLength === 64),
  );
  assert.match(
    await ip(bench.pod, "ip", "-6", "route", "show", "default"),
    /^default via fd00:150::1 dev eth0 /,
  );
  // Nobody listens at the gateways, so that their refusal is the proof that they were reached.
  assert.match(await connect(bench.pod, "fd00:150::1"), /refused/);
  assert.match(await connect(bench.pod, "10.150.0.1"), /refused/);
  const host = getLink(bench.connection, { name: spec.hostIfname });
  assert.equal(host?.bridgePort?.hairpin, true);
});

Deno.test("A pod with IPv6 alone has no route of IPv4, and gets it where the runtime has turned IPv6 off", async () => {
  using bench = new Bench();
  for (const name of ["all", "default"]) {
    inNetns(bench.pod, () => writeSysctl(["net", "ipv6", "conf", name, "disable_ipv6"], 1));
  }
  const alone = { ...spec, addresses: [six], routes: [default6] };
  await podNetwork.attach(bench.point, bench.pod, alone);
  assert.match(await connect(bench.pod, "fd00:150::1"), /refused/);
  assert.equal(await ip(bench.pod, "ip", "-4", "route"), "");
  assert.match(await ip(bench.pod, "ip", "-6", "address", "show", "lo"), /inet6 ::1/);
});

Deno.test("A router advertisement from whomever changes nothing in a pod with IPv6", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, dual);
  const accepts = inNetns(
    bench.pod,
    () => readSysctl(["net", "ipv6", "conf", "eth0", "accept_ra"]),
  );
  assert.equal(accepts, "0");
});

Deno.test("A pod without IPv6 is left alone with it", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, spec);
  const read = (key: string) => readSysctl(["net", "ipv6", "conf", "eth0", key]);
  const found = inNetns(bench.pod, () => ["accept_ra", "accept_dad", "ndisc_notify"].map(read));
  assert.deepEqual(found, ["1", "1", "0"]);
});

Deno.test("A neighbour that knew the IPv6 address learns the new MAC at once", async () => {
  using bench = new Bench();
  await ip(
    bench.host,
    ...["ip", "neigh", "add", six.address, "lladdr", "02:99:00:00:00:01"],
    ...["dev", "l3br-200", "nud", "stale"],
  );
  const { mac } = await podNetwork.attach(bench.point, bench.pod, dual);
  const deadline = AbortSignal.timeout(5_000);
  for (;;) {
    deadline.throwIfAborted();
    const neighbours = await ip(bench.host, "ip", "neigh", "show", six.address);
    if (neighbours.includes(mac)) break;
  }
});

Deno.test("An interface reaches only what it is to reach, and one without routes its subnet", async () => {
  using bench = new Bench();
  const { gateway } = four;
  const to = (...destinations: string[]) =>
    destinations.map((destination) => ({ destination, gateway }));
  const some = {
    ...dual,
    routes: [
      ...to("10.150.0.0/16", "192.0.2.0/24"),
      { destination: "fd00:150::/48", gateway: six.gateway },
    ],
  };
  await podNetwork.attach(bench.point, bench.pod, some);
  const routes = await ip(bench.pod, "ip", "route");
  assert.match(routes, /^10\.150\.0\.0\/16 via 10\.150\.0\.1 dev eth0/m);
  assert.match(routes, /^192\.0\.2\.0\/24 via 10\.150\.0\.1 dev eth0/m);
  assert.doesNotMatch(routes, /default/);
  const routes6 = await ip(bench.pod, "ip", "-6", "route");
  assert.match(routes6, /^fd00:150::\/48 via fd00:150::1 dev eth0/m);
  assert.doesNotMatch(routes6, /default/);
  assert.deepEqual(podNetwork.inspect(bench.point, bench.pod, some), []);
  await ip(bench.pod, "ip", "route", "del", "192.0.2.0/24");
  const [fault, ...others] = podNetwork.inspect(bench.point, bench.pod, some);
  assert.match(fault ?? "", /no route to "192\.0\.2\.0\/24" by "10\.150\.0\.1"/);
  assert.deepEqual(others, []);
  await podNetwork.detach(bench.connection, spec.hostIfname);
  await podNetwork.attach(bench.point, bench.pod, { ...spec, routes: [] });
  assert.doesNotMatch(await ip(bench.pod, "ip", "route"), /via/);
});

Deno.test("What is wrong with IPv6 in a pod is found, whatever IPv4 does", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, dual);
  assert.deepEqual(podNetwork.inspect(bench.point, bench.pod, dual), []);
  const faults = () => podNetwork.inspect(bench.point, bench.pod, dual);
  await ip(bench.pod, "ip", "-6", "route", "del", "default");
  assert.deepEqual(faults(), ['the container has no default route by "fd00:150::1"']);
  await ip(bench.pod, "ip", "address", "del", "fd00:150::5/64", "dev", "eth0");
  assert.match(faults().join(), /no address "fd00:150::5\/64"/);
  // A duplicate of the gateway's address is found, so that the kernel does not use it.
  const taken = { ...dual, addresses: [four, { ...six, address: "fd00:150::1" }] };
  await ip(bench.pod, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1");
  await ip(bench.pod, "ip", "address", "add", "fd00:150::1/64", "dev", "eth0");
  assert.match(
    podNetwork.inspect(bench.point, bench.pod, taken).join(),
    /the address "fd00:150::1\/64" of "eth0" is not in use/,
  );
});

Deno.test("A stretched bridge knows each pod's address from the start, and forgets it when told", async () => {
  using bench = new Bench("l2br-200");
  const { host } = bench;
  const neighbours = () => ip(host, "ip", "neigh", "show", "dev", "l2br-200");
  const stale = `${four.address} lladdr 02:99:00:00:00:01 dev l2br-200 extern_learn nud noarp`;
  await ip(host, "ip", "neigh", "add", ...stale.split(" "));
  await podNetwork.attach(bench.point, bench.pod, dual);
  const entries = [four, six].map(({ address }) =>
    `${address} lladdr ${spec.mac} PERMANENT proto 142`
  );
  const known = (await neighbours()).split("\n").map((line) => line.trim());
  assert.deepEqual(known.filter((line) => line.includes("PERMANENT")), entries);
  // The bridge itself knows where the MAC is: it has seen the pod's announcement.
  assert.match(await ip(host, "bridge", "fdb", "show", "dev", spec.hostIfname), RegExp(spec.mac));
  for (const { address } of [four, six]) podNetwork.forget(bench.connection, 200, address);
  assert.ok(!(await neighbours()).includes("PERMANENT"));
  podNetwork.forget(bench.connection, 200, four.address);
  podNetwork.forget(bench.connection, 300, four.address);
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
        mac: podMac(200, `10.150.0.${at + 10}`),
        addresses: [{ ...four, address: `10.150.0.${at + 10}` }, {
          ...six,
          address: `fd00:150::${at + 10}`,
        }],
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

Deno.test("A pod that runs is found in the kernel with all that a lost journal had known of it", async () => {
  using bench = new Bench();
  const owner = { containerId: "c0ffee", ifname: "eth0", network: "pyroute2" };
  const addresses = [four, six];
  const routes = [default4, default6];
  const dual = { ...spec, alias: podAlias(owner), addresses, routes };
  await podNetwork.attach(bench.point, bench.pod, dual);
  const look = (vrf: number, wanted: (name: string) => boolean = () => true) =>
    listRunningPods(bench.connection, vrf, wanted);
  assert.deepEqual(look(200), [{
    ...owner,
    hostIfname: spec.hostIfname,
    mac: spec.mac,
    addresses: addresses.map(({ address, prefixLength }) => ({ address, prefixLength })),
  }]);
  assert.deepEqual(look(300), [], "it is in another VRF's bridge");
  assert.deepEqual(look(200, (name) => name !== spec.hostIfname), []);
  const host = getLink(bench.connection, { name: spec.hostIfname });
  assert.ok(host);
  setLink(bench.connection, host.index, { master: 0 });
  assert.equal(look(300).length, 1, "without a bridge nobody can tell");
});

Deno.test("An attachment changes the kernel by three datagrams and asks for no list, however many pods there are", async () => {
  using bench = new Bench();
  using other = createNetns();
  const first = { ...spec, hostIfname: "pr2tf00d", mac: podMac(200, "10.150.0.6") };
  await podNetwork.attach(bench.point, other, first);
  const sent = await requestsOf(() => podNetwork.attach(bench.point, bench.pod, spec));
  // The pair with its port; in the pod loopback, address, link and route; the MAC once more, which announces it.
  assert.equal(sent.filter(({ type }) => type !== RTM.GETLINK).length, 3);
  assert.deepEqual(sent.filter(({ flags }) => (flags & NLM_F.DUMP) === NLM_F.DUMP), []);
});

Deno.test("A detachment changes the kernel by one datagram and asks for no list", async () => {
  using bench = new Bench();
  await podNetwork.attach(bench.point, bench.pod, spec);
  const sent = await requestsOf(() => podNetwork.detach(bench.point.connection, spec.hostIfname));
  assert.deepEqual(sent.map(({ type }) => type), [RTM.DELLINK]);
  assert.deepEqual(sent.filter(({ flags }) => (flags & NLM_F.DUMP) === NLM_F.DUMP), []);
});
