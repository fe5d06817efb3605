/**
 * A real containerd on a node of the lab runs containers through the built plugin: by `ctr`, as a person does without a cluster, and
 * by the CRI, as the kubelet does. One lab for all tests, each of which leaves it as it found it.
 */
import assert from "node:assert/strict";
import { backend } from "../lab/backend_test_case.ts";
import { applyTenants } from "../lab/demo_lab.ts";
import { type Lab, openLab, removeAbandonedLabs, type RunningNode, startLab } from "../lab/lab.ts";
import { startApi } from "../lab/machines.ts";
import { repository } from "../lab/options.ts";
import { executeRaw, until } from "../lab/process.ts";
import { answerPort, outsideName, tenants, underlay } from "../lab/topology.ts";
import {
  type Container,
  type Containerd,
  containerdSocket,
  importImage,
  insideTask,
  networkName,
  startContainerd,
} from "./containerd.ts";
import {
  allocations,
  type AttachmentRow,
  attachmentRows,
  podNamespaces,
  podVeths,
} from "./attachments.ts";
import { killDaemon, startDaemonAgain } from "./daemon_restart.ts";
import { connectCri, type CriClient, CriError, type SandboxConfig } from "./cri.ts";
import { runtimeDirectory } from "./node_directories.ts";
import { respondWith, rootFileSystem } from "./root_file_system.ts";
import {
  cgroupPrefix,
  cgroupsOf,
  hostMounts,
  hostPaths,
  pidNamespace,
  processesIn,
  removeAbandonedCgroups,
  removeCgroups,
} from "./traces.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();
const patience = 120;
const ours = { type: "pyroute2-cni-plugin" };

let lab: Lab;
let node: RunningNode;
let containerd: Containerd;
let pathsBefore: string[];

Deno.test.beforeAll(async () => {
  await removeAbandonedLabs();
  await removeAbandonedCgroups();
  pathsBefore = await hostPaths();
  const name = `containerd-${backend}-${Deno.pid}`;
  const progress = (line: string) => console.error(`   ${line}`);
  lab = await startLab({ name, backend, nodes: 1, dist, keep: false, signal, progress });
  const [first] = lab.nodes;
  assert.ok(first);
  node = first;
  await applyTenants(lab, signal);
  containerd = await startContainerd({
    holder: node.holder,
    directory: lab.directory,
    dist,
    namespace: cgroupPrefix + lab.name,
  });
  await containerd.configure([ours]);
  await importImage(node.holder);
});

Deno.test.afterAll(async () => {
  const { name, directory } = lab;
  const namespace = await pidNamespace(node.holder.pid);
  assert.ok(namespace);
  try {
    // A container runs until the end: what is left must go with the node.
    await containerd.run("last", respondWith("last"));
    assert.ok((await processesIn(namespace)).length > 5);
  } finally {
    await lab[Symbol.asyncDispose]();
    await until("the control groups", patience, () => removeCgroups(name).then(() => true));
  }
  assert.deepEqual(await processesIn(namespace), []);
  assert.deepEqual(await cgroupsOf(name), []);
  assert.deepEqual(await hostMounts([directory, runtimeDirectory, "/etc/cni", "/opt/cni"]), []);
  assert.deepEqual(await hostPaths(), pathsBefore);
  await assert.rejects(() => openLab(name), /There is no lab/);
});

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
function labTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${backend}: ${name}`, fn, sanitizeOps: false, sanitizeResources: false });
}

/** Runs a test's part with containers, and ends those that are left. */
async function withContainers(
  names: readonly string[],
  use: (containers: readonly Container[]) => Promise<void>,
): Promise<void> {
  const started = await Promise.allSettled(
    names.map((name) => containerd.run(name, respondWith(name))),
  );
  const containers = started.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
  try {
    for (const each of started) if (each.status === "rejected") throw each.reason;
    await use(containers);
  } finally {
    await Promise.all(containers.map((container) => container.end()));
  }
}

/** The attachment of a container in the journal. */
function rowOf(id: string): AttachmentRow {
  const row = attachmentRows(lab, node).find((each) => each.container_id === id);
  assert.ok(row, `The journal has no row of "${id}"`);
  return row;
}

/** Asserts that neither kernel nor journal nor API know of any container. */
async function assertNothingAttached(): Promise<void> {
  assert.deepEqual(attachmentRows(lab, node), []);
  assert.deepEqual(await podVeths(node), []);
  assert.deepEqual(await podNamespaces(node), []);
  assert.equal(await containerd.ctr(["container", "ls", "--quiet"]), "");
  await until("the blocks' status", patience, async () => {
    return Object.keys(await allocations(lab, node)).length === 0 ? true : undefined;
  });
}

/** For how long silence is waited out. */
const limit = ["-w", "3"];

/** Who answers a container at an address; it is asked again until its command has begun to listen. */
async function answerIn(container: Container, address: string): Promise<string> {
  return await until(`an answer from "${address}"`, patience, async () => {
    const said = await container.exec(["/bin/nc", ...limit, address, String(answerPort)]);
    return said.trim() === "" ? undefined : said.trim();
  });
}

/** Who answers the node at an address; an empty text for nobody. */
async function answerOnNode(address: string): Promise<string> {
  const words = ["busybox", "nc", ...limit, address, String(answerPort)];
  return await until(`an answer from "${address}"`, patience, async () => {
    const { stdout } = await executeRaw(node.holder.inside(words));
    return stdout.trim() === "" ? undefined : stdout.trim();
  });
}

labTest(
  "containers get addresses of the default domain's block and reach one another",
  async () => {
    await withContainers(["one", "two"], async ([one, two]) => {
      assert.ok(one && two);
      const [mine, other] = [rowOf(one.cniId), rowOf(two.cniId)];
      // A container of ctr's is no pod: its namespace is empty, and so it goes to the default domain.
      assert.deepEqual([mine.domain, mine.namespace, mine.state], ["vrf-42", "", "attached"]);
      assert.equal(mine.block, other.block);
      const shown = await one.exec(["/bin/ip", "-o", "-4", "address", "show", "dev", "eth0"]);
      assert.ok(shown.includes(` ${mine.address}/`), shown);
      assert.match(mine.address, /^10\.244\./);
      assert.match(
        await one.exec(["/bin/ip", "route"]),
        new RegExp(`^default via ${mine.gateway} dev eth0`),
      );
      assert.equal(await answerIn(one, other.address), "two");
      assert.equal(await answerIn(two, mine.address), "one");
      assert.equal(await answerOnNode(mine.address), "one");
      // The outside host has no route back: it sees the node's address, or nobody at all.
      assert.equal(await answerIn(one, underlay.outside), `${outsideName} ${node.address}`);
      await until("the block's status", patience, async () => {
        const given = await allocations(lab, node);
        return mine.address in given && other.address in given ? true : undefined;
      });
      assert.deepEqual((await podVeths(node)).sort(), [mine.host_ifname, other.host_ifname].sort());
    });
    await assertNothingAttached();
  },
);

labTest("ten containers that start at once get ten addresses", async () => {
  const names = Array.from({ length: 10 }, (_, index) => `at-once-${index}`);
  await withContainers(names, async (containers) => {
    const rows = containers.map(({ cniId }) => rowOf(cniId));
    assert.equal(new Set(rows.map(({ address }) => address)).size, 10);
    assert.equal((await podVeths(node)).length, 10);
    const [first] = containers;
    assert.ok(first);
    for (const [index, { address }] of rows.entries()) {
      assert.equal(await answerIn(first, address), names[index]);
    }
  });
  await assertNothingAttached();
});

labTest("plugins of others run behind ours and get its result", async () => {
  const sysctl = "net.ipv4.conf.eth0.arp_filter";
  await containerd.configure([
    ours,
    { type: "tuning", mac: "02:00:5e:00:53:01", sysctl: { [sysctl]: "1" } },
    { type: "portmap", snat: true, capabilities: { portMappings: true } },
  ]);
  try {
    await withContainers(["chained"], async ([chained]) => {
      assert.ok(chained);
      const row = rowOf(chained.cniId);
      const path = `/proc/sys/${sysctl.replaceAll(".", "/")}`;
      assert.equal((await chained.exec(["/bin/cat", path])).trim(), "1");
      const link = await chained.exec(["/bin/ip", "link", "show", "dev", "eth0"]);
      assert.ok(link.includes("02:00:5e:00:53:01"), link);
      assert.equal(await answerOnNode(row.address), "chained");
      const cached = JSON.parse(
        await node.holder.run([
          "cat",
          `/var/lib/cni/results/${networkName}-${chained.cniId}-eth0`,
        ]),
      );
      assert.equal(cached.result.cniVersion, "1.0.0");
      assert.equal(cached.result.ips[0].gateway, row.gateway);
      assert.ok(cached.result.ips[0].address.startsWith(`${row.address}/`));
    });
    await assertNothingAttached();
  } finally {
    await containerd.configure([ours]);
  }
});

function connectNodeCri(): CriClient {
  return connectCri(`/proc/${node.holder.pid}/root${containerdSocket}`);
}

/** Runs a test's part with pods that the CRI starts, and ends those that are left. */
async function withPods(
  pods: readonly Pick<SandboxConfig, "name" | "namespace" | "annotations">[],
  use: (ids: readonly string[], cri: CriClient) => Promise<void>,
): Promise<void> {
  using cri = connectNodeCri();
  const ids: string[] = [];
  try {
    for (const pod of pods) {
      ids.push(
        await cri.runPodSandbox({
          ...pod,
          uid: `uid-${pod.name}`,
          logDirectory: `${runtimeDirectory}/logs/${pod.name}`,
          cgroupParent: `/${cgroupPrefix}${lab.name}`,
        }),
      );
    }
    await use(ids, cri);
  } finally {
    for (const id of ids) await endSandbox(cri, id);
  }
}

/** Ends the sandboxes that failed to start, which containerd keeps until the kubelet does so. */
async function endSandboxes(): Promise<void> {
  using cri = connectNodeCri();
  for (const id of await cri.podSandboxes()) await endSandbox(cri, id);
}

async function endSandbox(cri: CriClient, id: string): Promise<void> {
  await cri.stopPodSandbox(id);
  await cri.removePodSandbox(id);
}

labTest("the kubelet's interface starts pods in the domains of their namespaces", async () => {
  const [a, b] = tenants;
  assert.ok(a && b);
  const pods = [
    { name: "web-a", namespace: a.namespace },
    { name: "web-a2", namespace: a.namespace },
    { name: "web-b", namespace: b.namespace },
  ];
  await withPods(pods, async (ids, cri) => {
    const rows = ids.map(rowOf);
    assert.deepEqual(
      rows.map(({ domain, namespace, pod }) => [domain, namespace, pod]),
      [[a.name, a.namespace, "web-a"], [a.name, a.namespace, "web-a2"], [
        b.name,
        b.namespace,
        "web-b",
      ]],
    );
    for (const [index, id] of ids.entries()) {
      const address = await cri.podAddress(id);
      assert.equal(address, rows[index]?.address);
      // The kubelet's probes come from the node.
      assert.equal(await answerOnNode(address), pods[index]?.name);
    }
    const [web, other, foreign] = rows;
    assert.ok(web && other && foreign);
    const inside = await insideTask(node.holder, "k8s.io", ids[0] ?? "");
    const ask = async (address: string) => {
      const words = inside(["/bin/nc", ...limit, address, String(answerPort)]);
      return (await executeRaw(node.holder.inside(words))).stdout.trim();
    };
    assert.equal(await ask(other.address), "web-a2");
    assert.equal(await ask(foreign.address), "");
    assert.equal(await ask(underlay.outside), `${outsideName} ${node.address}`);
  });
  await assertNothingAttached();
});

labTest(
  "a pod's annotations come from the runtime itself, so that no API is needed for them",
  async () => {
    const pod = (ips: string) => ({
      name: "wishing",
      namespace: "team-a",
      annotations: { "cni.pyroute2.org/ips": ips },
    });
    const capabilities = { "io.kubernetes.cri.pod-annotations": true };
    await containerd.configure([{ ...ours, capabilities }]);
    await lab.api.run(["pkill", "-KILL", "-f", "[ ]apiserver --data-dir"]);
    try {
      await withPods([pod("10.150.0.40")], async ([id = ""], cri) => {
        assert.equal(await cri.podAddress(id), "10.150.0.40");
      });
      await assert.rejects(
        () => withPods([pod("10.151.0.40")], () => Promise.resolve()),
        (error) =>
          error instanceof CriError && /in the prefix "10\.150\.0\.0\/16"/.test(error.message),
      );
    } finally {
      await startApi(lab, dist, signal);
      await containerd.configure([ours]);
      await endSandboxes();
    }
    await assertNothingAttached();
  },
);

labTest("what a runtime never detaches is released when the daemon starts again", async () => {
  // Without an eye on it, this ctr never calls the plugins with DEL.
  const run = ["run", "--detach", "--cni", "--rootfs", rootFileSystem, "forgotten"];
  await containerd.ctr([...run, ...respondWith("forgotten")]);
  const { address } = rowOf(`${containerd.namespace}-forgotten`);
  assert.equal(await answerOnNode(address), "forgotten");
  await containerd.ctr(["task", "rm", "--force", "forgotten"]);
  await containerd.ctr(["container", "rm", "forgotten"]);
  await killDaemon(node);
  await startDaemonAgain(lab, node, dist, signal);
  await assertNothingAttached();
});

labTest(
  "without a daemon no container starts, the runtime says why, and nothing is left",
  async () => {
    await killDaemon(node);
    try {
      const refused = {
        message: /Expected the daemon to listen on ".*\/pyroute2\/api", found nobody/,
      };
      await assert.rejects(() => containerd.run("refused", respondWith("refused")), refused);
      await assert.rejects(
        () => withPods([{ name: "refused", namespace: "team-a" }], () => Promise.resolve()),
        (error) => error instanceof CriError && refused.message.test(error.message),
      );
      assert.deepEqual(attachmentRows(lab, node), []);
      assert.deepEqual(await podVeths(node), []);
    } finally {
      await startDaemonAgain(lab, node, dist, signal);
      await endSandboxes();
    }
    await withContainers(["refused"], async ([retried]) => {
      assert.ok(retried);
      assert.equal(await answerOnNode(rowOf(retried.cniId).address), "refused");
    });
    await assertNothingAttached();
  },
);
