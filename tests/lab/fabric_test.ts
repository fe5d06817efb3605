/**
 * The lab within an operator's fabric: two route reflectors and a provider edge router, which are plain FRR. One lab for all tests, in
 * the order of the file.
 */
import assert from "node:assert/strict";
import { type ApiReader, startApiReader } from "./api_reader.ts";
import { applyTenants, awaitRoutes, measureMatrix, startPods } from "./demo_lab.ts";
import { askFrr } from "./frr_words.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { kubectl, startDaemon } from "./machines.ts";
import { mismatches } from "./matrix.ts";
import { askFrom, askOn } from "./questions.ts";
import { readConditions, readPeers } from "./object_status.ts";
import { repository } from "./options.ts";
import { startEcho, startStream } from "./packet_stream.ts";
import { jobs, lostAtMost, patience } from "./patience.ts";
import { addressOf, podNetns, startPod, stopPod } from "./pods.ts";
import { until } from "./process.ts";
import { watchRoutes } from "./route_monitor.ts";
import { addHost, addVrf, type Router, startRouter } from "./routers.ts";
import { answerPort, type PlacedPod, underlay } from "./topology.ts";
import { inVrf, tableOf } from "./vrf_words.ts";
import { startResponder } from "./machines.ts";

const backend = Deno.env.get("PYROUTE2_LAB_BACKEND") === "device" ? "device" : "netns";
const dist = `${repository}/dist`;
const { signal } = new AbortController();

const reflectorAddresses = ["192.168.124.21", "192.168.124.22"] as const;
const edgeAddress = "192.168.124.31";
/** What the provider edge announces for the tenant, and the host there. */
const outsidePrefix = "1.2.3.0/24";
const customer = { name: "customer", address: "1.2.3.4/24", gateway: "1.2.3.1" } as const;
const customerAddress = "1.2.3.4";

let lab: Lab;
let api: ApiReader;
let pods: PlacedPod[];
let reflectors: Router[];
let edge: Router;
let customerNetns: string;

function startReflector(index: 0 | 1): Promise<Router> {
  const address = reflectorAddresses[index];
  return startRouter(lab, { name: `rr${index + 1}`, address, config: reflectorConfig(address) });
}

/** A route reflector that notices within nine seconds who has gone, and calls everyone when it comes back. */
function reflectorConfig(address: string): string {
  return `router bgp 65000
 bgp router-id ${address}
 no bgp default ipv4-unicast
 timers bgp 3 9
 neighbor clients peer-group
 neighbor clients remote-as 65000
 neighbor clients timers connect 2
${
    [...lab.nodes.map((node) => node.address), edgeAddress].map((client) =>
      ` neighbor ${client} peer-group clients`
    ).join("\n")
  }
 address-family l2vpn evpn
  neighbor clients activate
  neighbor clients route-reflector-client
 exit-address-family
exit`;
}

/**
 * The edge takes the second reflector's routes while it has them, and hears of the first one later: FRR 8.4 loses a route's next hop when the
 * best path changes, and here nobody puts it back.
 */
const edgeConfig = `route-map prefer permit 10
 set weight 100
exit
router bgp 65000
 bgp router-id ${edgeAddress}
 no bgp default ipv4-unicast
 neighbor ${reflectorAddresses[1]} remote-as 65000
 address-family l2vpn evpn
  neighbor ${reflectorAddresses[1]} activate
  neighbor ${reflectorAddresses[1]} route-map prefer in
  advertise-all-vni
 exit-address-family
exit`;

/** Makes the first reflector a peer of the edge, too, once no node's routes are new to it. */
async function giveEdgeFirstReflector(): Promise<void> {
  const [address] = reflectorAddresses;
  await edge.configure(`router bgp 65000
 neighbor ${address} remote-as 65000
 address-family l2vpn evpn
  neighbor ${address} activate
 exit-address-family
exit
`);
  await until("the edge to hear both reflectors", patience, async () => {
    const shown = await askFrr(edge.machine, "bgpd", "show bgp l2vpn evpn summary established");
    return shown.includes(address) ? true : undefined;
  });
}

const switchAddress = "192.168.124.41";

/** Starts a switch of another AS, which passes EVPN routes on as they are; with a password, if one is given. */
function startSwitch(password?: string): Promise<Router> {
  const nodes = lab.nodes.map(({ address }) => address);
  const config = `router bgp 65500
 bgp router-id ${switchAddress}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor rack peer-group
 neighbor rack remote-as external
 neighbor rack bfd
 neighbor rack timers connect 1
${password === undefined ? "" : ` neighbor rack password ${password}\n`}${
    nodes.map((address) => ` neighbor ${address} peer-group rack`).join("\n")
  }
 address-family l2vpn evpn
  neighbor rack activate
 exit-address-family
exit`;
  return startRouter(lab, { name: "tor", address: switchAddress, config });
}

/** A tenant whose addresses are nobody else's. */
const shop = {
  apiVersion: "cni.pyroute2.org/v1alpha1",
  kind: "VRFDomain",
  metadata: { name: "shop" },
  spec: {
    vrf: 400,
    table: 2400,
    prefix: "10.160.0.0",
    prefixlen: 16,
    ipblocklen: 26,
    attachments: [{ type: "l3vni", vni: 50400 }],
  },
} as const;
const binding = {
  apiVersion: "cni.pyroute2.org/v1alpha1",
  kind: "VRFDomainBinding",
  spec: { namespaceRef: { name: "shop" }, vrfDomainRef: { name: "shop" } },
} as const;

const tenant = { number: 200, vni: 50200 } as const;
const edgeVrf = {
  ...tenant,
  local: edgeAddress,
  gateway: "169.254.200.31/32",
  mac: "02:00:00:00:31:c8",
} as const;

function edgeVrfConfig(target: string): string {
  return `vrf vrf-${tenant.number}
 vni ${tenant.vni}
exit-vrf
router bgp 65000 vrf vrf-${tenant.number}
 bgp router-id ${edgeAddress}
 address-family ipv4 unicast
  network ${outsidePrefix}
 exit-address-family
 address-family l2vpn evpn
  advertise ipv4 unicast
  rd ${edgeAddress}:${tenant.number}
  route-target import ${target}
  route-target export ${target}
 exit-address-family
exit
`;
}

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `fabric-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist,
    keep: false,
    ...jobs,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  api = await startApiReader(lab);
  await applyTenants(lab, signal);
  pods = await startPods(lab, dist, signal);
  const [first, second, pe] = await Promise.all([
    startReflector(0),
    startReflector(1),
    startRouter(lab, { name: "pe", address: edgeAddress, config: edgeConfig }),
  ]);
  assert.ok(first !== undefined && second !== undefined && pe !== undefined);
  [reflectors, edge] = [[first, second], pe];
  await addVrf(edge, edgeVrf, edgeVrfConfig("65000:200"));
  customerNetns = await addHost(edge, tenant.number, customer);
  const answers = [{ path: customerNetns, name: customer.name }];
  await startResponder(lab, edge.machine, answers, signal);
});

Deno.test.afterAll(async () => {
  api?.[Symbol.dispose]();
  for (const router of [...reflectors ?? [], edge]) await router?.[Symbol.asyncDispose]();
  await lab?.[Symbol.asyncDispose]();
});

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
function labTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${backend}: ${name}`, fn, sanitizeOps: false, sanitizeResources: false });
}

function podOf(node: RunningNode, tenantName: string): PlacedPod {
  const pod = pods.find((each) => each.node === node.name && each.tenant === tenantName);
  assert.ok(pod);
  return pod;
}

function nodeAt(index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

function nodeNamed(name: string): RunningNode {
  return nodeAt(lab.nodes.findIndex((node) => node.name === name));
}

/** Creates or changes objects, as `kubectl apply` does. */
function apply(...items: readonly unknown[]): Promise<string> {
  const list = { apiVersion: "v1", kind: "List", items };
  return kubectl(lab, ["apply", "-f", "-"], JSON.stringify(list));
}

/** Gives every node its settings; each may have an AS number of its own. */
function configureNodes(
  specOf: (node: { readonly asn: number }) => Readonly<Record<string, unknown>>,
): Promise<string> {
  return apply(...lab.nodes.map((node, index) => ({
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFNodeConfig",
    metadata: { name: node.name },
    spec: {
      nodeRef: { name: node.name },
      interfaces: [{ name: underlay.ifname, local: node.address }],
      ...specOf({ asn: 65001 + index }),
    },
  })));
}

/** Gives the first tenant route targets; null takes them away. */
function patchTargets(routeTargets: unknown): Promise<string> {
  const patch = JSON.stringify({ spec: { routeTargets } });
  return kubectl(lab, ["patch", "vrd", "tenant-a", "--type=merge", "-p", patch]);
}

/** Waits until every node says that it has exactly these peers, all of them established. */
async function untilPeers(peersOf: (node: RunningNode) => readonly string[]): Promise<void> {
  const wanted = lab.nodes.map((node) =>
    peersOf(node).toSorted().map((address) => `${address}=true`).join(" ")
  );
  await until(`the peers "${wanted.join("; ")}"`, patience, async () => {
    return (await peersByState()).join("; ") === wanted.join("; ") ? true : undefined;
  });
}

/** Waits until the settings of every node are ready, or are not, for this reason. */
async function untilSettings(reason: string): Promise<void> {
  await until(`each node's settings to be "${reason}"`, patience, async () => {
    const found = await readConditions(api, "vrfnodeconfigs", "Ready");
    const all = found.length === lab.nodes.length;
    return all && found.every((each) => each.reason === reason) || undefined;
  });
}

/** Waits until every node says of a peer that it is up, or down. */
async function untilPeer(address: string, established: boolean): Promise<void> {
  await until(`"${address}" to be ${established ? "up" : "down"}`, patience, async () => {
    const states = await peersByState();
    return states.every((state) => state.includes(`${address}=${established}`)) || undefined;
  });
}

/** The last notification of a session in words, its own or the peer's; RFC 9384 has one for BFD. */
async function lastNotification(node: RunningNode, address: string): Promise<string> {
  const text = await askFrr(node.holder, "bgpd", `show bgp neighbors ${address} json`);
  return String(JSON.parse(text)[address]?.lastNotificationReason);
}

/** Each node's peers, such as `192.168.124.21=true`. */
async function peersByState(): Promise<string[]> {
  const peers = await readPeers(api);
  return lab.nodes.map(({ name }) =>
    (peers.get(name) ?? []).map(({ address, established }) => `${address}=${established}`)
      .toSorted().join(" ")
  );
}

/** Prefixes that a node's VRF has from BGP. */
async function learnt(node: RunningNode, vrf: number): Promise<string[]> {
  const show = `show ip route vrf vrf-${vrf} bgp json`;
  return Object.keys(JSON.parse(await askFrr(node.holder, "zebra", show)));
}

async function untilMatrixHolds(): Promise<void> {
  await until(
    "the matrix",
    patience,
    async () => mismatches(await measureMatrix(lab, pods)).length === 0 ? true : undefined,
  );
}

labTest(
  "nodes that are given route reflectors peer with them and not with each other",
  async () => {
    await configureNodes(() => ({ routeReflectors: reflectorAddresses }));
    await untilPeers(() => reflectorAddresses);
    await awaitRoutes(lab, pods, signal);
    await untilMatrixHolds();
    await giveEdgeFirstReflector();
  },
);

labTest(
  "a prefix that a provider edge announces for a tenant carries that tenant's traffic both ways",
  async () => {
    for (const node of lab.nodes) {
      await until(`"${node.name}" to learn ${outsidePrefix}`, patience, async () => {
        return (await learnt(node, 200)).includes(outsidePrefix) ? true : undefined;
      });
      assert.ok(!(await learnt(node, 300)).includes(outsidePrefix));
      const mine = podOf(node, "tenant-a");
      const [out, stranger] = await askOn(lab, node.name, [
        { netns: podNetns(mine), address: customerAddress, port: answerPort },
        { netns: podNetns(podOf(node, "tenant-b")), address: customerAddress, port: answerPort },
      ]);
      assert.deepEqual(out, { name: "customer", seen: mine.address });
      assert.equal(stranger, null);
      const [back] = await askFrom(lab, edge.machine, [
        { netns: customerNetns, address: mine.address, port: answerPort },
      ]);
      assert.deepEqual(back, { name: mine.name, seen: customerAddress });
    }
  },
);

labTest(
  "of two reflectors one dies and comes back: no prefix is left without a route, and no more packets than a lost next hop costs",
  async () => {
    const [node, other] = [nodeAt(0), nodeAt(1)];
    // What the nodes held when they changed their peers goes first: it is no loss of this reflector.
    await until("all held routes to go", patience, async () => {
      const show = ["ip", "route", "show", ...tableOf(lab, tenant.number)];
      const routes = await inVrf(lab, node, tenant.number, show);
      return routes.includes("metric 20142") ? undefined : true;
    });
    const from = podNetns(podOf(node, "tenant-a"));
    const pod = podOf(other, "tenant-a");
    await startEcho(other.holder, podNetns(pod), `${lab.directory}/${pod.name}-echo.log`);
    await startEcho(edge.machine, customerNetns, `${lab.directory}/customer-echo.log`);
    await using toPod = await startStream(node.holder, from, pod.address);
    await using toCustomer = await startStream(node.holder, from, customerAddress);
    await using monitor = await watchRoutes(lab, node, tenant.number);
    await reflectors[0]?.[Symbol.asyncDispose]();
    await untilPeer(reflectorAddresses[0], false);
    reflectors[0] = await startReflector(0);
    await untilPeer(reflectorAddresses[0], true);
    for (const stream of [toPod, toCustomer]) {
      const { sent, lost } = await stream.stop();
      assert.ok(sent > 0);
      assert.ok(lost.length <= lostAtMost, `${lost.length} of ${sent} datagrams were lost`);
    }
    // A deletion of the test's own shows that deletions are seen.
    const own = "203.0.113.0/24";
    const route = ["blackhole", own, ...tableOf(lab, tenant.number)];
    for (const verb of ["add", "del"]) {
      await inVrf(lab, node, tenant.number, ["ip", "route", verb, ...route]);
    }
    await until("the test's own deletion, and nothing else to be lost", patience, async () => {
      return (await monitor.lost()).join() === own || undefined;
    });
  },
);

labTest(
  "next hops that FRR loses while no daemon runs are put back by the next daemon",
  async () => {
    const node = nodeAt(0);
    await node.holder.run(["pkill", "-KILL", "-f", "[ ]daemon --config"]);
    await reflectors[0]?.[Symbol.asyncDispose]();
    await until("FRR to notice", patience, async () => {
      const established = "show bgp l2vpn evpn summary established";
      const shown = await askFrr(node.holder, "bgpd", established);
      return shown.includes(reflectorAddresses[0]) ? undefined : true;
    });
    await startDaemon(lab, node, dist, signal);
    await untilMatrixHolds();
  },
);

labTest("a reflector that is taken out of the settings leaves FRR", async () => {
  await configureNodes(() => ({ routeReflectors: [reflectorAddresses[1]] }));
  await untilPeers(() => [reflectorAddresses[1]]);
  for (const node of lab.nodes) {
    const running = await askFrr(node.holder, "bgpd", "show running-config");
    assert.ok(!running.includes(reflectorAddresses[0]), running);
  }
  await untilMatrixHolds();
});

labTest("a domain follows the route targets of the provider", async () => {
  const provider = "64999:1200";
  await edge.configure(`router bgp 65000 vrf vrf-200
 address-family l2vpn evpn
  no route-target import 65000:200
  no route-target export 65000:200
  route-target import ${provider}
  route-target export ${provider}
`);
  const node = nodeAt(0);
  await until("the prefix to go", patience, async () => {
    return (await learnt(node, 200)).includes(outsidePrefix) ? undefined : true;
  });
  try {
    await patchTargets({ import: [provider], export: [provider] });
    await until("the pods to reach the customer", patience, async () => {
      const mine = podOf(node, "tenant-a");
      const question = { netns: podNetns(mine), address: customerAddress, port: answerPort };
      const [answer] = await askOn(lab, node.name, [question]);
      return answer?.name === "customer" && answer.seen === mine.address ? true : undefined;
    });
    await untilMatrixHolds();
  } finally {
    await patchTargets(null);
  }
  await until("the prefix to go again", patience, async () => {
    return (await learnt(node, 200)).includes(outsidePrefix) ? undefined : true;
  });
});

labTest(
  "a tenant reaches another whose route target it imports, and not the other way",
  async () => {
    const shopPods = lab.nodes.map((node) => ({
      name: `shop-${node.name}`,
      node: node.name,
      namespace: "shop",
      tenant: "shop",
    }));
    await kubectl(lab, ["create", "namespace", "shop"]);
    await apply(shop, { ...binding, metadata: { name: "shop" } });
    await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, "vrd/shop"]);
    const placed: PlacedPod[] = [];
    /** Waits until the tenant's pod on each node gets these answers from the shop's pods. */
    const untilAnswers = (wanted: readonly (string | null)[]) =>
      until(`the answers ${JSON.stringify(wanted)}`, patience, async () => {
        for (const node of lab.nodes) {
          const netns = podNetns(podOf(node, "tenant-a"));
          const found = await askOn(
            lab,
            node.name,
            placed.map(({ address }) => ({ netns, address, port: answerPort })),
          );
          const names = found.map((answer) => answer?.name ?? null);
          if (JSON.stringify(names) !== JSON.stringify(wanted)) return undefined;
        }
        return true;
      });
    try {
      for (const pod of shopPods) {
        const node = nodeNamed(pod.node);
        placed.push({ ...pod, address: addressOf(await startPod(node, dist, pod)) });
        const answers = [{ path: podNetns(pod), name: pod.name }];
        await startResponder(lab, { ...node.holder, name: pod.name }, answers, signal);
      }
      await untilAnswers([null, null]);
      await patchTargets({ import: ["65000:400"] });
      await untilAnswers(placed.map(({ name }) => name));
      for (const { name, node } of placed) {
        const { address } = podOf(nodeNamed(node), "tenant-a");
        const question = { netns: podNetns({ name }), address, port: answerPort };
        assert.deepEqual(await askOn(lab, node, [question]), [null]);
      }
      await patchTargets(null);
      await untilAnswers([null, null]);
      await untilMatrixHolds();
    } finally {
      await patchTargets(null);
      for (const pod of placed) await stopPod(nodeNamed(pod.node), dist, pod);
      await kubectl(lab, ["delete", "vrb", "shop"]);
      await kubectl(lab, ["delete", "vrd", "shop"]);
    }
  },
);

labTest(
  "a domain whose routes would enter another one is refused, and the other goes on",
  async () => {
    const spec = { ...shop.spec, routeTargets: { export: ["65000:200"] } };
    await apply({ ...shop, metadata: { name: "intruder" }, spec });
    try {
      await until("the refusal", patience, async () => {
        const found = await readConditions(api, "vrfdomains", "Accepted");
        const intruder = found.find(({ name }) => name === "intruder");
        return intruder?.reason === "RouteTargetInUse" && intruder.message.includes('"tenant-a"') ||
          undefined;
      });
      await untilMatrixHolds();
    } finally {
      await kubectl(lab, ["delete", "vrd", "intruder"]);
    }
  },
);

labTest(
  "nodes of AS numbers of their own reach each other through a top of rack switch",
  async () => {
    await using _switch = await startSwitch();
    const peer = {
      address: switchAddress,
      asn: 65500,
      timers: { keepalive: 3, hold: 9, connect: 1 },
    };
    await configureNodes(({ asn }) => ({ asn, peers: [peer] }));
    await untilPeers(() => [switchAddress]);
    await awaitRoutes(lab, pods, signal);
    await untilMatrixHolds();
    // The nodes of a rack often share one number: then each must take what carries its own.
    await configureNodes(() => ({ asn: 65001, peers: [{ ...peer, allowAsIn: 1 }] }));
    await untilPeers(() => [switchAddress]);
    await awaitRoutes(lab, pods, signal);
    await untilMatrixHolds();
  },
);

labTest("BFD ends a session whose path is cut, long before its hold time does", async () => {
  await using _switch = await startSwitch();
  const peer = {
    address: switchAddress,
    asn: 65500,
    timers: { connect: 1 },
    bfd: { detectMultiplier: 4 },
  };
  await configureNodes(({ asn }) => ({ asn, peers: [peer] }));
  await untilPeers(() => [switchAddress]);
  const untilBfd = (wanted: string) =>
    until(`BFD to be "${wanted}" on each node`, patience, async () => {
      const peers = await readPeers(api);
      return lab.nodes.every(({ name }) => peers.get(name)?.[0]?.bfd === wanted) || undefined;
    });
  await untilBfd("up");
  await lab.api.run(["ip", "link", "set", "u-tor", "down"]);
  await untilPeer(switchAddress, false);
  // Its hold time would have ended it, too, after 180 seconds.
  for (const node of lab.nodes) {
    assert.equal(await lastNotification(node, switchAddress), "Cease/BFD Down");
  }
  await lab.api.run(["ip", "link", "set", "u-tor", "up"]);
  await untilPeers(() => [switchAddress]);
  await untilBfd("up");
});

labTest("a session's password comes from a Secret, is followed, and shows nowhere", async () => {
  const [first, second] = ["first-0f6c1d", "second-91ab7e"];
  await using switchRouter = await startSwitch(first);
  const secret = (password: string) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "tor", namespace: "pyroute2-cni" },
    stringData: { password },
  });
  const passwordSecretRef = { name: "tor" };
  const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 }, passwordSecretRef };
  await configureNodes(({ asn }) => ({ asn, peers: [peer] }));
  await untilSettings("PasswordMissing");
  // Without a password the switch is not spoken with at all.
  await untilPeers(() => []);
  await kubectl(lab, ["create", "namespace", "pyroute2-cni"]);
  await apply(secret(first));
  await untilPeers(() => [switchAddress]);
  await untilSettings("Applied");

  await switchRouter.configure(`router bgp 65500\n neighbor rack password ${second}\n`);
  await apply(secret(second));
  for (const node of lab.nodes) {
    await until(`"${node.name}" to take the new password`, patience, async () => {
      const running = await askFrr(node.holder, "bgpd", "show running-config");
      return running.includes(second) && !running.includes(first) ? true : undefined;
    });
  }
  await untilPeers(() => [switchAddress]);

  await kubectl(lab, ["delete", "secret", "tor", "-n", "pyroute2-cni"]);
  await untilSettings("PasswordMissing");
  await untilPeers(() => [switchAddress]);
  for (const password of [first, second]) {
    const shown = await kubectl(lab, ["get", "vrnc,vrns,events", "-A", "-o", "yaml"]);
    assert.ok(!shown.includes(password), "a password in the API");
    for await (const file of Deno.readDir(lab.directory)) {
      if (!file.name.endsWith(".log")) continue;
      const text = await Deno.readTextFile(`${lab.directory}/${file.name}`);
      assert.ok(!text.includes(password), `a password in "${file.name}"`);
    }
  }
  for (const node of lab.nodes) {
    const find = ["find", "/etc/frr", "/run", "-xdev", "-type", "f", "-perm", "/o+r"];
    const grep = ["xargs", "-r", "grep", "-ls", second];
    const open = await node.holder.run([
      "sh",
      "-c",
      `${find.join(" ")} | ${grep.join(" ")} || true`,
    ]);
    assert.equal(open, "", "a password in a file that others can read");
  }
});

labTest("a peer's filters keep routes of a type out, and let them in again", async () => {
  await using _switch = await startSwitch();
  const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
  const filters = { in: [{ routeType: "prefix", action: "deny" }, {}] };
  const untilRoutes = (some: boolean) =>
    until(`${some ? "some" : "no"} routes of the other node`, patience, async () => {
      const routes = await Promise.all(lab.nodes.map((node) => learnt(node, 200)));
      return routes.every(({ length }) => length > 0 === some) || undefined;
    });
  await configureNodes(({ asn }) => ({ asn, peers: [peer] }));
  await untilPeers(() => [switchAddress]);
  await untilRoutes(true);
  await configureNodes(({ asn }) => ({ asn, peers: [{ ...peer, filters }] }));
  await untilRoutes(false);
  await untilPeers(() => [switchAddress]);
  await configureNodes(({ asn }) => ({ asn, peers: [peer] }));
  await untilRoutes(true);
  await untilMatrixHolds();
});

labTest(
  "a peer that sends more routes than it may is shut down, says why, and comes back by the rule",
  async () => {
    await using _switch = await startSwitch();
    const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
    // One node alone: where it goes first, the other one may never see too many.
    const limit = (maxPrefixes: unknown) =>
      configureNodes(({ asn }) => ({
        asn,
        peers: [asn === 65001 ? { ...peer, maxPrefixes } : peer],
      }));
    const node = nodeAt(0);
    const untilReady = (wanted: RegExp) =>
      until(`the settings to be ready or not: ${wanted}`, patience, async () => {
        const found = (await readConditions(api, "vrfnodeconfigs", "Ready"))
          .find(({ name }) => name === node.name);
        const text = `${found?.status} ${found?.reason} ${found?.message}`;
        return wanted.test(text) ? true : undefined;
      });
    const established = async (): Promise<number> => {
      const show = `show bgp neighbors ${switchAddress} json`;
      const shown = JSON.parse(await askFrr(node.holder, "bgpd", show));
      return Number(shown[switchAddress].connectionsEstablished);
    };
    await limit({ limit: 1_000 });
    await untilPeers(() => [switchAddress]);
    await awaitRoutes(lab, pods, signal);
    await untilReady(/^True Applied *$/);

    await limit({ limit: 1 });
    await untilReady(/^False MaxPrefixesExceeded .*at most 1 routes.*until its maxPrefixes/);
    const down = `${switchAddress}=false`;
    await until("the session to be down", patience, async () => {
      return (await peersByState())[0] === down ? true : undefined;
    });
    const running = await askFrr(node.holder, "bgpd", "show running-config");
    assert.match(running, new RegExp(`neighbor ${switchAddress} shutdown`));
    const [peerAtLimit] = (await readPeers(api)).get(node.name) ?? [];
    assert.match(peerAtLimit?.lastError ?? "", /at most 1 routes/);
    await until("an event", patience, async () => {
      const events = await kubectl(lab, ["get", "events", "-A"]);
      return events.includes("MaxPrefixesExceeded") ? true : undefined;
    });
    const metrics = await node.holder.run(["curl", "-s", "http://127.0.0.1:24800/metrics"]);
    assert.match(metrics, /bgp_peer_over_limit\{peer="192.168.124.41",action="shutdown"\} 1/);

    await limit({ limit: 1, warnOnly: true });
    await untilPeers(() => [switchAddress]);
    await untilReady(/^True Applied .*at most 1 routes.*found more/);
    await awaitRoutes(lab, pods, signal);

    // Spoken with again after ten seconds, and again too many.
    const before = await established();
    await limit({ limit: 1, restartSeconds: 10 });
    await untilReady(/^False MaxPrefixesExceeded .*until 20/);
    await until("the peer to come back", patience, async () => {
      return await established() > before ? true : undefined;
    });
    await limit({ limit: 1_000 });
    await untilPeers(() => [switchAddress]);
    await untilReady(/^True Applied *$/);
    await awaitRoutes(lab, pods, signal);
    await untilMatrixHolds();
  },
);

labTest(
  "lines of FRR are added, and those that it does not take hold up nothing but themselves",
  async () => {
    await using switchRouter = await startSwitch();
    const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
    const give = (bgp: readonly string[]) =>
      configureNodes(({ asn }) => ({ asn, peers: [peer], extraConfig: { bgp } }));
    const patch = (domain: string, extraConfig: unknown) =>
      kubectl(lab, [
        ...["patch", "vrd", domain, "--type=merge", "-p"],
        JSON.stringify({ spec: { extraConfig } }),
      ]);
    const untilDomain = (domain: string, wanted: RegExp) =>
      until(`"${domain}" to be ready or not: ${wanted}`, patience, async () => {
        const found = (await readConditions(api, "vrfdomains", "Ready"))
          .find(({ name }) => name === domain);
        return wanted.test(`${found?.reason} ${found?.message}`) ? true : undefined;
      });
    const mss = `neighbor ${switchAddress} tcp-mss 1200`;
    await give([mss]);
    await untilPeers(() => [switchAddress]);
    await untilSettings("Applied");
    // Neither a line outside the list nor one that leaves its context gets as far as a node.
    for (const line of ["log file /etc/cron.d/x", `${mss}\nlog file /etc/cron.d/x`, "exit"]) {
      await assert.rejects(give([line]), /extraConfig/);
    }
    try {
      // bgpd alone knows that it has no such peer, and how many paths there may be.
      await give([mss, "neighbor 192.0.2.99 passive"]);
      await patch("tenant-a", { ipv4: ["maximum-paths 4000000"] });
      await untilSettings("ExtraConfigRefused");
      await untilDomain("tenant-a", /ExtraConfigRefused .*maximum-paths 4000000/);
      const [first] = await readConditions(api, "vrfnodeconfigs", "Ready");
      assert.match(first?.message ?? "", /neighbor 192\.0\.2\.99 passive.*Specify remote-as/);
      // What others change is applied meanwhile.
      const extra = "198.51.100.0";
      await patch("tenant-b", {
        bgp: ["no bgp network import-check"],
        ipv4: [`network ${extra}/24`],
      });
      await until("each node to announce the prefix", patience, async () => {
        const show = "show bgp l2vpn evpn route type prefix";
        const shown = await askFrr(switchRouter.machine, "bgpd", show);
        return shown.split(`[${extra}]`).length > lab.nodes.length ? true : undefined;
      });
      await untilDomain("tenant-b", /^Applied/);
      await untilMatrixHolds();
    } finally {
      await patch("tenant-a", null);
      await patch("tenant-b", null);
      await give([mss]);
    }
    await untilSettings("Applied");
    await untilDomain("tenant-a", /^Applied/);
    for (const node of lab.nodes) {
      const running = await askFrr(node.holder, "bgpd", "show running-config");
      assert.ok(running.includes(mss) && !running.includes("198.51.100.0"), running);
    }
    await untilMatrixHolds();
  },
);

labTest("nodes whose settings go mesh again", async () => {
  await kubectl(lab, ["delete", "vrnc", ...lab.nodes.map(({ name }) => name)]);
  await untilPeers((node) =>
    lab.nodes.filter(({ name }) => name !== node.name).map(({ address }) => address)
  );
  await awaitRoutes(lab, pods, signal);
  await untilMatrixHolds();
});
