/**
 * The lab in the backend that PYROUTE2_LAB_BACKEND names: one lab for all tests, each of which leaves it as it found it, but for
 * the last ones, which take tenants away.
 */
import assert from "node:assert/strict";
import { capabilitiesOf, capabilityMask } from "../confinement/container_rights.ts";
import { backend, labTest } from "./backend_test_case.ts";
import { applyTenants, awaitRoutes, measureMatrix, startPods } from "./demo_lab.ts";
import { type Lab, openLab, type RunningNode, startLab } from "./lab.ts";
import {
  cniConfigDir,
  killApi,
  killDaemon,
  killFrr,
  kubectl,
  startAgent,
  startApi,
  startDaemon,
} from "./machines.ts";
import { mismatches } from "./matrix.ts";
import { askOn } from "./questions.ts";
import { repository } from "./options.ts";
import { jobs, patience } from "./patience.ts";
import {
  addressOf,
  announcePods,
  callPlugin,
  networkConfig,
  podNetns,
  startPod,
  stopPod,
  untilKnown,
} from "./pods.ts";
import { executeRaw, until } from "./process.ts";
import { answerPort, type LabPod, type PlacedPod } from "./topology.ts";
import { inVrf, tableOf } from "./vrf_words.ts";

const dist = `${repository}/dist`;
/** What the manifests leave to daemon and FRR must be enough for all of these tests; with VRF links it was not tried. */
const confined = backend === "netns";
const { signal } = new AbortController();

let lab: Lab;
let pods: PlacedPod[];

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `test-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist,
    keep: false,
    ...jobs,
    confined,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyTenants(lab, signal);
  pods = await startPods(lab, dist, signal);
  await awaitRoutes(lab, pods, signal);
});

Deno.test.afterAll(async () => {
  // Absent where it did not come up, which has been said then.
  const name = lab?.name;
  if (name === undefined) return;
  await lab[Symbol.asyncDispose]();
  await assert.rejects(() => openLab(name), /There is no lab/);
});

function nodeAt(index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

async function assertMatrix(): Promise<void> {
  assert.deepEqual(mismatches(await measureMatrix(lab, pods)), []);
}

labTest(
  "daemon and FRR have the DaemonSet's capabilities, its profiles, and no new privileges",
  async () => {
    const programs = [
      ["pyroute2-cni", ["-f", "[ ]daemon --config"]],
      ["pyroute2-frr", ["-f", "[ ]frr-agent --start-daemons"]],
      ...["watchfrr", "zebra", "bgpd", "staticd", "bfdd"].map((name) =>
        ["pyroute2-frr", ["-x", name]] as const
      ),
    ] as const;
    for (const [container, words] of programs) {
      const script = `cat "/proc/$(pgrep -o "$@")/status"`;
      const status = await nodeAt(0).holder.run(["sh", "-c", script, "sh", ...words]);
      const valueOf = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1];
      const bounds = BigInt(`0x${valueOf("CapBnd")}`);
      assert.equal(bounds, capabilityMask(capabilitiesOf(container)), words.join(" "));
      // 2: a filter (proc_pid_status(5)).
      assert.deepEqual([valueOf("NoNewPrivs"), valueOf("Seccomp")], ["1", "2"], words.join(" "));
    }
  },
  { ignore: !confined },
);

labTest("every pod reaches its own tenant's pods, nobody else's, and the outside", assertMatrix);

labTest("the pods of two tenants on different nodes have the very same address", async () => {
  const addresses = new Map<string, Set<string>>();
  for (const pod of pods) {
    addresses.set(pod.address, (addresses.get(pod.address) ?? new Set()).add(pod.tenant));
  }
  assert.ok([...addresses.values()].some((tenants) => tenants.size === 2));
  await Promise.resolve();
});

labTest("kubectl shows the nodes' state, the blocks' use and why a domain is ready", async () => {
  await until(
    "each node to say that it is ready, with three domains and its peer up",
    patience,
    async () => {
      const states = await kubectl(lab, ["get", "vrns"]);
      const isSo = ({ name }: RunningNode) => new RegExp(`${name}\\s+true\\s+3\\s+1`).test(states);
      return lab.nodes.every(isSo) || undefined;
    },
  );
  await until("the blocks' status", patience, async () => {
    const use = await kubectl(lab, [
      "get",
      "ipb",
      "vrf-200-10-150-0-0-26",
      "-o",
      "jsonpath={.status.allocations}",
    ]);
    return Object.keys(JSON.parse(use || "{}")).length === 3 ? true : undefined;
  });
  assert.match(await kubectl(lab, ["describe", "vrd", "tenant-a"]), /Type:\s+Ready/);
});

labTest("links, rules and firewall that someone deletes by hand come back", async () => {
  const node = nodeAt(0);
  await inVrf(lab, node, 200, ["ip", "link", "del", "l3vx-50200"]);
  await inVrf(lab, node, 300, ["ip", "link", "set", "l3br-300", "down"]);
  await node.holder.run(["ip", "rule", "del", "priority", "900", "fwmark", "200/0xffff3fff"]);
  await node.holder.run(["nft", "delete", "table", "inet", "pyroute2-cni"]);
  await until("the node to heal", patience, async () => {
    const vxlan = await inVrf(lab, node, 200, ["ip", "-br", "link", "show", "dev", "l3vx-50200"])
      .catch(
        () => "",
      );
    const bridge = await inVrf(lab, node, 300, ["ip", "link", "show", "dev", "l3br-300"]);
    const rules = await node.holder.run(["ip", "rule"]);
    const tables = await node.holder.run(["nft", "list", "tables"]);
    const healed = vxlan !== "" && /[<,]UP[,>]/.test(bridge) && /fwmark 0xc8\//.test(rules) &&
      tables.includes("pyroute2-cni");
    return healed ? true : undefined;
  });
  await awaitRoutes(lab, pods, signal);
  await untilMatrixHolds();
});

labTest("routes that the kernel drops with a bridge's last address come back", async () => {
  for (const times of ["once", "once more"]) {
    const flush = ["ip", "address", "flush", "dev", "l3br-200", "scope", "global"];
    await inVrf(lab, nodeAt(0), 200, flush);
    await until(`the route to be back ${times}`, patience, async () => {
      const routes = await inVrf(lab, nodeAt(0), 200, [
        "ip",
        "route",
        "show",
        ...tableOf(lab, 200),
      ]);
      const own = routes.includes("10.150.0.0/26 dev l3br-200");
      // With VRF links zebra gives its next hops ids.
      return own && /^10\.150\.0\.64\/26 (nhid \d+ )?via/m.test(routes) ? true : undefined;
    });
  }
  await untilMatrixHolds();
});

/** After a fault the matrix must come to hold again; each measure waits silence out by itself. */
async function untilMatrixHolds(): Promise<void> {
  await until(
    "the matrix",
    patience,
    async () => mismatches(await measureMatrix(lab, pods)).length === 0 ? true : undefined,
  );
}

const extra: LabPod = { name: "extra", node: "node1", namespace: "team-a", tenant: "tenant-a" };

labTest(
  "ADD, CHECK and DEL: the same container twice is refused, CHECK sees damage, DEL is idempotent",
  async () => {
    const node = nodeAt(0);
    const result = await startPod(node, dist, extra);
    try {
      const again = await callPlugin(node, dist, "ADD", extra, networkConfig);
      assert.equal(again.code, 1);
      assert.equal(JSON.parse(again.stdout).code, 4);
      const config = { ...networkConfig, prevResult: result };
      assert.equal((await callPlugin(node, dist, "CHECK", extra, config)).code, 0);
      await node.holder.run([
        "nsenter",
        `--net=${podNetns(extra)}`,
        "ip",
        "address",
        "flush",
        "dev",
        "eth0",
      ]);
      const damaged = await callPlugin(node, dist, "CHECK", extra, config);
      assert.equal(damaged.code, 1);
      assert.match(damaged.stdout, /address/);
    } finally {
      await stopPod(node, dist, extra);
    }
    assert.deepEqual((await callPlugin(node, dist, "DEL", extra, networkConfig)).code, 0);
  },
);

labTest("pods start and end while the API server is away, from the node's own blocks", async () => {
  const node = nodeAt(0);
  const [known] = await announcePods(lab, [{ ...extra, name: "known" }]);
  assert.ok(known);
  await untilKnown(node, dist, known);
  await killApi(lab);
  try {
    assert.match(addressOf(await startPod(node, dist, known)), /^10\.150\.0\./);
    await stopPod(node, dist, known);
  } finally {
    await startApi(lab, dist, signal);
  }
  await kubectl(lab, ["delete", "pod", known.name, "--namespace", known.namespace]);
  await untilMatrixHolds();
}, { anyBackend: true });

labTest(
  "a killed daemon leaves the pods' network alone, and its successor takes them over",
  async () => {
    const node = nodeAt(1);
    const pod = pods.find((each) => each.node === node.name && each.tenant === "tenant-a");
    assert.ok(pod);
    await killDaemon(node);
    try {
      const refused = await callPlugin(node, dist, "ADD", pod, networkConfig);
      assert.equal(JSON.parse(refused.stdout).code, 11);
      await assertMatrix();
    } finally {
      await startDaemon(lab, node, dist, signal);
    }
    const prevented = await callPlugin(node, dist, "ADD", pod, networkConfig);
    assert.equal(JSON.parse(prevented.stdout).code, 4);
    await assertMatrix();
  },
);

labTest("FRR that was killed with its agent gets its whole configuration back", async () => {
  const node = nodeAt(1);
  await killFrr(node);
  await node.holder.run(["sh", "-c", "rm -rf /run/frr/* /etc/frr/frr.conf"]);
  startAgent(lab, node, dist);
  await awaitRoutes(lab, pods, signal);
  await untilMatrixHolds();
});

labTest("new pods follow a changed binding, and running ones keep their network", async () => {
  const node = nodeAt(0);
  await kubectl(lab, [
    "patch",
    "vrb",
    "team-a",
    "--type=merge",
    "-p",
    '{"spec":{"vrfDomainRef":{"name":"tenant-b"}}}',
  ]);
  const moved = { ...extra, name: "moved" };
  try {
    const address = await until("the new binding", patience, async () => {
      const found = addressOf(await startPod(node, dist, moved));
      if (found.startsWith("10.150.0.") && Number(found.split(".")[3]) >= 64) return found;
      await stopPod(node, dist, moved);
      return undefined;
    });
    assert.match(address, /^10\.150\.0\./);
    await assertMatrix();
  } finally {
    await stopPod(node, dist, moved);
    await kubectl(lab, [
      "patch",
      "vrb",
      "team-a",
      "--type=merge",
      "-p",
      '{"spec":{"vrfDomainRef":{"name":"tenant-a"}}}',
    ]);
  }
});

/** Creates objects, as `kubectl apply` does. */
function apply(...items: readonly unknown[]): Promise<string> {
  const list = { apiVersion: "v1", kind: "List", items };
  return kubectl(lab, ["apply", "-f", "-"], JSON.stringify(list));
}

/** Waits until an object's condition is as wanted, told as `status reason`. */
function untilCondition(object: string, type: string, wanted: string): Promise<true> {
  const path = `{.status.conditions[?(@.type=="${type}")]['status','reason']}`;
  return until(`${type} of "${object}" to be "${wanted}"`, patience, async () => {
    const found = await kubectl(lab, ["get", object, "-o", `jsonpath=${path}`]);
    return found === wanted ? true : undefined;
  });
}

const api = "cni.pyroute2.org/v1alpha1";

labTest(
  "a wrong VRFNodeConfig is refused by its node, which goes on; a right one is used",
  async () => {
    const node = nodeAt(0);
    const config = (interfaces: unknown) => ({
      apiVersion: api,
      kind: "VRFNodeConfig",
      metadata: { name: "lab" },
      spec: { nodeRef: { name: node.name }, interfaces },
    });
    try {
      await apply(config([{ name: "eth7", local: node.address }]));
      await untilCondition("vrnc/lab", "Accepted", "False InterfaceNotFound");
      await assertMatrix();
      await apply(config([{ name: "eth0", local: "203.0.113.9" }]));
      await untilCondition("vrnc/lab", "Accepted", "False AddressNotFound");
      await assertMatrix();
      await apply(config([{ name: "eth0", local: node.address }]));
      await untilCondition("vrnc/lab", "Ready", "True Applied");
      await assertMatrix();
      assert.match(await kubectl(lab, ["get", "events"]), /InterfaceNotFound/);
    } finally {
      await kubectl(lab, ["delete", "vrnc", "lab", "--ignore-not-found"]);
    }
  },
  { anyBackend: true },
);

labTest("the chosen CNIConfig is written on every node, and a refused one on none", async () => {
  const config = (name: string, priority: number, type: string) => ({
    apiVersion: api,
    kind: "CNIConfig",
    metadata: { name },
    spec: { fileName: `${name}.conflist`, enabled: true, priority, plugins: [{ type }] },
  });
  const untilFiles = (wanted: readonly string[]) =>
    until(`the files ${JSON.stringify(wanted)} on each node`, patience, () => {
      const same = lab.nodes.every((node) => {
        const found = [...Deno.readDirSync(cniConfigDir(lab, node))].map(({ name }) => name);
        return JSON.stringify(found) === JSON.stringify(wanted);
      });
      return Promise.resolve(same ? true : undefined);
    });
  try {
    await apply(config("good", 1, "pyroute2-cni-plugin"), config("evil", 2, "../../bin/sh"));
    await untilCondition("cnic/evil", "Accepted", "False PluginNotAllowed");
    await untilCondition("cnic/good", "Ready", "True Applied");
    await untilFiles(["good.conflist"]);
    assert.match(await kubectl(lab, ["get", "cnics"]), /good/);
  } finally {
    await kubectl(lab, ["delete", "cnic", "good", "evil", "--ignore-not-found"]);
  }
  await untilFiles([]);
}, { anyBackend: true });

labTest(
  "without their binding and namespace running pods keep their network, and end as ever",
  async () => {
    const node = nodeAt(0);
    const last = { ...extra, name: "last" };
    await startPod(node, dist, last);
    try {
      await kubectl(lab, ["delete", "vrb", "team-a"]);
      await kubectl(lab, ["delete", "namespace", "team-a"]);
      const fresh = { ...extra, name: "fresh" };
      await until("pods of the namespace to go to the default domain", patience, async () => {
        const found = addressOf(await startPod(node, dist, fresh));
        await stopPod(node, dist, fresh);
        return found.startsWith("10.244.") ? true : undefined;
      });
      await assertMatrix();
    } finally {
      await stopPod(node, dist, last);
      await applyTenants(lab, signal);
    }
    await assertMatrix();
  },
  { anyBackend: true },
);

labTest(
  "a domain with pods stays until they are gone, then leaves nothing behind on any node",
  async () => {
    await kubectl(lab, ["delete", "vrb", "team-b"]);
    await kubectl(lab, ["delete", "vrd", "tenant-b", "--wait=false"]);
    const mine = pods.filter((pod) => pod.tenant === "tenant-b");
    await until("the domain to say who holds it", patience, async () => {
      const states = await kubectl(lab, ["get", "vrns", "-o", "json"]);
      return states.includes("PodsAttached") ? true : undefined;
    });
    const [first] = mine;
    assert.ok(first);
    const asked = { netns: podNetns(first), address: mine[1]?.address ?? "", port: answerPort };
    assert.equal((await askOn(lab, first.node, [asked]))[0]?.name, mine[1]?.name);
    for (const pod of mine) {
      await stopPod(
        nodeAt(lab.nodes.findIndex(({ name }) => name === pod.node)),
        dist,
        pod,
      );
    }
    await kubectl(lab, ["wait", "--for=delete", "vrd/tenant-b", `--timeout=${patience}s`]);
    for (const node of lab.nodes) await assertNothingLeft(node, 300, 2300, 50300);
    assert.ok(!(await kubectl(lab, ["get", "ipb", "-o", "name"])).includes("vrf-300-"));
    pods = pods.filter((pod) => pod.tenant !== "tenant-b");
    await assertMatrix();
  },
);

async function assertNothingLeft(
  node: RunningNode,
  vrf: number,
  table: number,
  vni: number,
): Promise<void> {
  const shown = [
    await node.holder.run(["ip", "-br", "link"]),
    await node.holder.run(["ip", "netns"]),
    await node.holder.run(["ip", "rule"]),
    await node.holder.run(["nft", "list", "ruleset"]),
    await node.holder.run(["vtysh", "-c", "show running-config"]),
    (await executeRaw(node.holder.inside(["ip", "route", "show", "table", String(table)]))).stdout,
  ].join("\n");
  for (
    const trace of [
      `vrf-${vrf}`,
      `br-${vrf}`,
      `vx-${vni}`,
      `pr2h-${vrf}`,
      String(table),
      `0x0000012c`,
      String(vni),
    ]
  ) {
    assert.ok(!shown.includes(trace), `"${trace}" is left on "${node.name}":\n${shown}`);
  }
}
