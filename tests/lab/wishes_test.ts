/** Pods with wishes in a lab of two nodes: annotations of Pod objects, as `kubectl` and the API have them. */
import assert from "node:assert/strict";
import { backend, labTest } from "./backend_test_case.ts";
import { applyTenants } from "./demo_lab.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { killDaemon, kubectl, startDaemon, startResponder } from "./machines.ts";
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
} from "./pods.ts";
import { until } from "./process.ts";
import { answerPort, type LabPod } from "./topology.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

let lab: Lab;

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `wishes-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist,
    keep: false,
    ...jobs,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyTenants(lab, signal);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function nodeAt(index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

/** A pod of the first tenant on a node, known to the API with the given annotations of the project. */
async function announce(
  node: RunningNode,
  name: string,
  annotations: Readonly<Record<string, string>>,
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<LabPod> {
  const ours = Object.entries(annotations).map((
    [key, value],
  ) => [`cni.pyroute2.org/${key}`, value]);
  const pod = { name, node: node.name, namespace: "team-a", tenant: "tenant-a" };
  const [announced] = await announcePods(lab, [pod], {
    ...metadata,
    annotations: Object.fromEntries(ours),
  });
  assert.ok(announced);
  return announced;
}

/** Asserts that a pod is refused, and that nothing is left of it. */
async function assertRefused(
  node: RunningNode,
  pod: LabPod,
  code: number,
  message: RegExp,
  config: unknown = networkConfig,
): Promise<void> {
  const path = podNetns(pod);
  await node.holder.run(["sh", "-ec", `touch ${path}; unshare --net=${path} true`]);
  try {
    const { stdout } = await callPlugin(node, dist, "ADD", pod, config);
    const answer = JSON.parse(stdout);
    assert.equal(answer.code, code, stdout);
    assert.match(answer.msg, message);
    const links = await node.holder.run(["nsenter", `--net=${path}`, "ip", "-br", "link"]);
    assert.match(links, /^lo\s[^\n]*\n?$/);
  } finally {
    await node.holder.run(["sh", "-ec", `umount ${path}; rm ${path}`]);
  }
}

/** Starts pods on their nodes, uses them, and ends those that are left. */
async function withPods(
  pods: readonly (readonly [RunningNode, LabPod])[],
  use: (addresses: readonly string[]) => Promise<void>,
): Promise<void> {
  const started: (readonly [RunningNode, LabPod])[] = [];
  const addresses: string[] = [];
  try {
    for (const [node, pod] of pods) {
      addresses.push(addressOf(await startPod(node, dist, pod)));
      started.push([node, pod]);
    }
    await use(addresses);
  } finally {
    for (const [node, pod] of started) await stopPod(node, dist, pod);
  }
}

labTest("a pod gets the address and MAC of its annotations, and is reached from afar", async () => {
  const [here, there] = [nodeAt(0), nodeAt(1)];
  const mac = "02:00:00:00:00:07";
  const fixed = await announce(here, "fixed", { ips: "10.150.0.40", mac });
  const remote = await announce(there, "remote", {});
  await withPods([[here, fixed], [there, remote]], async ([address]) => {
    assert.equal(address, "10.150.0.40");
    const link = await here.holder.run([
      "nsenter",
      `--net=${podNetns(fixed)}`,
      "ip",
      "link",
      "show",
      "eth0",
    ]);
    assert.ok(link.includes(mac), link);
    await startResponder(lab, here.holder, [{ path: podNetns(fixed), name: "fixed" }], signal);
    const question = { netns: podNetns(remote), address, port: answerPort };
    await until("the pod on the other node to be answered", patience, async () => {
      const [answer] = await askOn(lab, there.name, [question]);
      return answer?.name === "fixed" ? true : undefined;
    });
  });
});

labTest(
  "an address that is in use, or in another node's block, is refused with who has it",
  async () => {
    const [here, there] = [nodeAt(0), nodeAt(1)];
    const first = await announce(here, "first", { ips: "10.150.0.40" });
    const second = await announce(here, "second", { ips: "10.150.0.40" });
    await withPods([[here, first]], () => assertRefused(here, second, 106, /"team-a\/first"/));
    await withPods([[here, second]], () => Promise.resolve());
    const far = await announce(there, "far", { ips: "10.150.0.40" });
    await assertRefused(there, far, 106, /"vrf-200-10-150-0-0-26" of the node "node1"/);
  },
  { anyBackend: true },
);

labTest("an address in a block that is nobody's brings the block to the pod's node", async () => {
  const node = nodeAt(1);
  const pod = await announce(node, "lonely", { ips: '["10.150.77.9/26"]' });
  await withPods([[node, pod]], async ([address]) => {
    assert.equal(address, "10.150.77.9");
    assert.match(await kubectl(lab, ["get", "ipb", "vrf-200-10-150-77-0-26"]), /node2/);
  });
}, { anyBackend: true });

labTest("annotations that cannot be understood are refused", async () => {
  const node = nodeAt(0);
  const cases: [Record<string, string>, RegExp][] = [
    [{ ip: "10.150.0.40" }, /"cni\.pyroute2\.org\/ip"/],
    [{ ips: '{"eth0"' }, /cni\.pyroute2\.org\/ips/],
    [{ ips: "fd00::7" }, /which has .* only/],
    [{ ips: "10.150.0.1" }, /the gateway/],
    [{ mac: "01:00:00:00:00:01" }, /group/],
  ];
  for (const [annotations, message] of cases) {
    const pod = await announce(node, "wrong", annotations);
    await assertRefused(node, pod, 7, message);
    await kubectl(lab, ["delete", "pod", "wrong", "--namespace", "team-a"]);
  }
}, { anyBackend: true });

labTest("a pod goes to another domain once that lets its namespace in", async () => {
  const node = nodeAt(0);
  const pod = await announce(node, "guest", { domain: "tenant-b" });
  await assertRefused(node, pod, 7, /"tenant-b".*add "team-a".*"spec\.allowedNamespaces"/);
  const allow = (names: readonly string[] | null) =>
    kubectl(lab, [
      "patch",
      "vrd",
      "tenant-b",
      "--type=merge",
      "-p",
      JSON.stringify({ spec: { allowedNamespaces: names } }),
    ]);
  await allow(["team-a"]);
  try {
    await until("the domain to let the pod in", patience, async () => {
      await startPod(node, dist, pod);
      return true;
    });
    const host = backend === "netns" ? ["ip", "netns", "exec", "vrf-300"] : [];
    const ports = await node.holder.run([
      ...host,
      "ip",
      "-br",
      "link",
      "show",
      "master",
      "l3br-300",
    ]);
    assert.match(ports, /^veth/m);
    await stopPod(node, dist, pod);
  } finally {
    await allow(null);
  }
}, { anyBackend: true });

labTest(
  "a second interface reaches its own domain across the nodes, and goes by itself",
  async () => {
    const [here, there] = [nodeAt(0), nodeAt(1)];
    const side = {
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFDomain",
      metadata: { name: "side" },
      spec: {
        vrf: 310,
        table: 2310,
        prefix: "10.170.0.0",
        prefixlen: 16,
        ipblocklen: 26,
        attachments: [{ type: "l3vni", vni: 50310 }],
        allowedNamespaces: ["team-a"],
      },
    };
    await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(side));
    await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, "vrd/side"]);
    const config = { ...networkConfig, name: "side", domain: "side" };
    const [a, b] = [await announce(here, "two-a", {}), await announce(there, "two-b", {})];
    await withPods([[here, a], [there, b]], async ([first = ""]) => {
      const addresses: string[] = [];
      for (const [node, pod] of [[here, a], [there, b]] as const) {
        const { stdout, code } = await callPlugin(node, dist, "ADD", pod, config, "net1");
        assert.equal(code, 0, stdout);
        addresses.push(JSON.parse(stdout).ips[0].address.split("/")[0]);
      }
      const [second = ""] = addresses;
      assert.match(second, /^10\.170\./);
      await startResponder(lab, here.holder, [{ path: podNetns(a), name: "two-a" }], signal);
      const ask = async (address: string) => {
        const question = { netns: podNetns(b), address, port: answerPort };
        return (await askOn(lab, there.name, [question]))[0]?.name;
      };
      await until("the second interface to be answered", patience, async () => {
        return await ask(second) === "two-a" ? true : undefined;
      });
      await until("the first interface to be answered", patience, async () => {
        return await ask(first) === "two-a" ? true : undefined;
      });
      assert.equal((await callPlugin(here, dist, "DEL", a, config, "net1")).code, 0);
      assert.equal(await ask(second), undefined);
      assert.equal(await ask(first), "two-a");
      assert.equal((await callPlugin(there, dist, "DEL", b, config, "net1")).code, 0);
    });
    await kubectl(lab, ["delete", "vrd", "side", `--timeout=${patience}s`]);
  },
);

/** A StatefulSet's pod, made anew: its name stays, its UID does not. */
async function announceAgain(
  node: RunningNode,
  name: string,
  keep: string,
): Promise<LabPod> {
  await kubectl(lab, ["delete", "pod", name, "--namespace", "team-a", "--ignore-not-found"]);
  const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: "db", uid: "s-1" };
  const metadata = { ownerReferences: [{ ...owner, controller: true }] };
  return await announce(node, name, { "keep-address": keep }, metadata);
}

labTest(
  "a StatefulSet's pod keeps its address over its end, and over its node's restart",
  async () => {
    const [here, there] = [nodeAt(0), nodeAt(1)];
    const single = await announce(here, "single", { "keep-address": "true" });
    await assertRefused(here, single, 7, /StatefulSet.*without a controller/);

    const first = addressOf(await startPod(here, dist, await announceAgain(here, "db-0", "true")));
    await stopPod(here, dist, { name: "db-0", node: here.name, namespace: "team-a", tenant: "" });
    const other = await announce(here, "other", { ips: first });
    await assertRefused(here, other, 106, /kept for "eth0" of the pod "team-a\/db-0" until/);
    const block = "vrf-200-10-150-0-0-26";
    await until("the block to tell of it", patience, async () => {
      const kept = await kubectl(lab, ["get", "ipb", block, "-o", "jsonpath={.status.kept}"]);
      return kept.includes('"team-a/db-0"') && kept.includes('"until"') ? true : undefined;
    });

    // A restart of the machine leaves neither pods nor journal; what is left is at the API.
    await killDaemon(here);
    await here.holder.run([
      "sh",
      "-c",
      "rm /run/pyroute2/journal.db; rm -f /run/pyroute2/journal.db-*",
    ]);
    await startDaemon(lab, here, dist, signal);
    const back = await announceAgain(here, "db-0", "true");
    await withPods([[here, back]], async ([address]) => {
      assert.equal(address, first);
      await Promise.resolve();
    });

    const moved = await announceAgain(there, "db-0", "true");
    await until("the other node to know of it", patience, async () => {
      await assertRefused(
        there,
        moved,
        106,
        RegExp(`"${first}" in "${block}" of the node "node1"`),
      );
      return true;
    });
    const free = await announceAgain(there, "db-0", "on-node");
    await withPods([[there, free]], async ([address]) => {
      assert.notEqual(address, first);
      await Promise.resolve();
    });
  },
);
