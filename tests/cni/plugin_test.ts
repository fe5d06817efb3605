import assert from "node:assert/strict";
import { join } from "node:path";
import { build } from "../../build.ts";
import { supportedVersions } from "../../lib/cni/version.ts";
import { createLink, getLink } from "../../lib/netlink/rtnl/link.ts";
import {
  cniEnv,
  eventually,
  execPlugin,
  Node,
  type PluginRun,
  Pod,
  sourcePlugin,
  spawnPlugin,
} from "./harness.ts";

function assertRefused(run: PluginRun, code: number, message: RegExp): void {
  assert.equal(run.code, 1, run.stderr);
  assert.equal(run.stderr, "");
  assert.equal(run.answer?.["code"], code, JSON.stringify(run.answer));
  assert.match(String(run.answer?.["msg"]), message);
  assert.equal(typeof run.answer?.["cniVersion"], "string");
}

Deno.test("Every failure before the daemon is an error object on stdout and exit 1", async (t) => {
  const pod = { path: "/nowhere" };
  const env = cniEnv("ADD", pod);
  const config = { cniVersion: "1.0.0", name: "n" };
  const { CNI_NETNS: _, ...withoutNetns } = env;
  const cases: [string, Record<string, string>, unknown, number, RegExp][] = [
    ["no JSON", env, "{", 6, /JSON on stdin/],
    ["no configuration", env, "", 6, /JSON on stdin/],
    ["no object", env, "[]", 6, /JSON object/],
    ["more than is read", env, " ".repeat(2 << 20), 6, /JSON on stdin/],
    ["no version", env, { name: "n" }, 1, /"0\.1\.0"/],
    ["an unknown version", env, { ...config, cniVersion: "9.9.9" }, 1, /9\.9\.9/],
    ["CHECK before 0.4.0", cniEnv("CHECK", pod), { ...config, cniVersion: "0.3.1" }, 1, /CHECK/],
    ["GC before 1.1.0", cniEnv("GC", pod), config, 1, /GC/],
    ["no command", {}, config, 4, /CNI_COMMAND/],
    ["no namespace", withoutNetns, config, 4, /CNI_NETNS/],
    ["a wrong name", { ...env, CNI_IFNAME: "a/b" }, config, 4, /CNI_IFNAME/],
    ["a namespace that is not there", env, config, 4, /CNI_NETNS/],
    ["a relative socket", env, { ...config, socketPathApi: "api" }, 7, /socketPathApi/],
    ["no daemon", cniEnv("DEL", pod), { ...config, socketPathApi: "/nowhere/api" }, 11, /"\/nowh/],
  ];
  for (const [name, given, stdin, code, message] of cases) {
    await t.step(name, async () => {
      assertRefused(await execPlugin(sourcePlugin, given, stdin), code, message);
    });
  }
});

Deno.test("VERSION is answered without a daemon, in the version of the question", async () => {
  for (const [stdin, version] of [['{"cniVersion":"0.4.0"}', "0.4.0"], ["", "1.1.0"]]) {
    const run = await execPlugin(sourcePlugin, { CNI_COMMAND: "VERSION" }, stdin);
    assert.equal(run.code, 0);
    assert.deepEqual(run.answer, {
      cniVersion: version,
      supportedVersions: [...supportedVersions],
    });
  }
});

Deno.test("A pod is attached, checked and detached in every version", async (t) => {
  await using node = await Node.start();
  for (const cniVersion of supportedVersions) {
    await t.step(cniVersion, async () => {
      using pod = new Pod();
      const config = node.config({ cniVersion });
      const added = await execPlugin(sourcePlugin, cniEnv("ADD", pod), config);
      assert.equal(added.code, 0, JSON.stringify(added));
      assert.deepEqual(added.answer, expectedResult(cniVersion, pod, node));
      assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);

      const prevResult = added.answer;
      const checked = await execPlugin(
        sourcePlugin,
        cniEnv("CHECK", pod),
        node.config({ cniVersion, prevResult }),
      );
      if (cniVersion === "0.3.1") assertRefused(checked, 1, /CHECK/);
      else assert.deepEqual(checked, { code: 0, answer: undefined, stderr: "" });

      for (const _ of ["once", "twice"]) {
        const deleted = await execPlugin(sourcePlugin, cniEnv("DEL", pod), config);
        assert.deepEqual(deleted, { code: 0, answer: undefined, stderr: "" });
      }
      assert.deepEqual(pod.interfaces(), ["lo"]);
      assert.deepEqual(node.hostEnds(), []);
      assert.equal(node.pool.rows.size, 0);
    });
  }
  assert.ok(!node.lines.join().includes("never forwarded"));
  assert.ok(node.lines.some((line) => line.includes('"pod":"web-0"')));
});

Deno.test("DEL works after the namespace is gone and without CNI_NETNS", async () => {
  await using node = await Node.start();
  const { CNI_NETNS: _, ...env } = cniEnv("DEL", { path: "" });
  const pod = new Pod();
  try {
    const added = await execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
    assert.equal(added.code, 0);
  } finally {
    pod[Symbol.dispose]();
  }
  assert.equal((await execPlugin(sourcePlugin, env, node.config())).code, 0);
  assert.equal(node.pool.rows.size, 0);
  await eventually(() => node.hostEnds().length === 0, "no host end");
});

Deno.test("A second ADD and an interface of the same name are refused and left alone", async () => {
  await using node = await Node.start();
  using pod = new Pod();
  createLink(pod.connection, { name: "eth0", kind: { type: "bridge" } });
  const refused = await execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
  assertRefused(refused, 4, /"eth0"/);
  assert.equal(getLink(pod.connection, { name: "eth0" })?.kind?.type, "bridge");
  assert.equal(node.pool.rows.size, 0);

  using other = new Pod();
  const config = node.config();
  assert.equal((await execPlugin(sourcePlugin, cniEnv("ADD", other, "c2"), config)).code, 0);
  const again = await execPlugin(sourcePlugin, cniEnv("ADD", other, "c2"), config);
  assertRefused(again, 4, /DEL first/);
  assert.deepEqual(other.interfaces(), ["lo", "eth0"]);
  assert.equal(node.hostEnds().length, 1);
});

Deno.test("CHECK tells what is missing in the container", async () => {
  await using node = await Node.start();
  using pod = new Pod();
  const { answer } = await execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
  await podNetworkLost(pod);
  const config = node.config({ prevResult: answer });
  const checked = await execPlugin(sourcePlugin, cniEnv("CHECK", pod), config);
  assertRefused(checked, 103, /difference/);
  assert.match(String(checked.answer?.["details"]), /is down/);
});

Deno.test("GC removes what the runtime no longer lists, STATUS succeeds", async () => {
  await using node = await Node.start();
  using first = new Pod();
  using second = new Pod();
  await execPlugin(sourcePlugin, cniEnv("ADD", first, "c1"), node.config());
  await execPlugin(sourcePlugin, cniEnv("ADD", second, "c2"), node.config());
  const config = node.config({
    "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }],
  });
  const collected = await execPlugin(sourcePlugin, { CNI_COMMAND: "GC" }, config);
  assert.deepEqual(collected, { code: 0, answer: undefined, stderr: "" });
  assert.deepEqual(node.pool.list().map((row) => row.containerId), ["c2"]);
  assert.deepEqual(first.interfaces(), ["lo"]);
  const status = await execPlugin(sourcePlugin, { CNI_COMMAND: "STATUS" }, node.config());
  assert.deepEqual(status, { code: 0, answer: undefined, stderr: "" });
});

for (const [size, padding] of [["small", 0], ["large", 20_000]] as const) {
  Deno.test(`A plugin that is killed while it waits has its ADD undone, with a ${size} configuration`, () => {
    return killedWhileItWaits({ "pyroute2.test/padding": "x".repeat(padding) });
  });
}

async function killedWhileItWaits(fields: Readonly<Record<string, string>>): Promise<void> {
  let waiting = false;
  await using node = await Node.start({
    deps: {
      awaitReady: (_vrf, _blocks, signal) =>
        new Promise((_, reject) => {
          waiting = true;
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
    },
  });
  using pod = new Pod();
  const child = spawnPlugin(sourcePlugin, cniEnv("ADD", pod));
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(node.config(fields))));
  await writer.close();
  await eventually(() => waiting, "the ADD to wait");
  assert.equal(node.pool.rows.size, 1);
  child.kill("SIGKILL");
  await child.output();
  await eventually(() => node.pool.rows.size === 0, "the address to be given back");
  assert.deepEqual(pod.interfaces(), ["lo"]);
}

Deno.test("Commands that run at shutdown finish", async () => {
  const gate = Promise.withResolvers<void>();
  let waiting = false;
  await using node = await Node.start({
    deps: {
      awaitReady: () => {
        waiting = true;
        return gate.promise;
      },
    },
  });
  using pod = new Pod();
  const adding = execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
  await eventually(() => waiting, "the ADD to wait");
  const stopped = node.stop();
  gate.resolve();
  assert.equal((await adding).code, 0);
  await stopped;
  assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
});

Deno.test("Commands that wait for what does not come are undone at shutdown", async () => {
  let waiting = false;
  await using node = await Node.start({
    server: { graceMs: 50 },
    deps: {
      awaitReady: (_vrf, _blocks, given) => {
        waiting = true;
        return new Promise((_, reject) =>
          given.addEventListener("abort", () => reject(given.reason))
        );
      },
    },
  });
  using pod = new Pod();
  const adding = execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
  await eventually(() => waiting, "the ADD to wait");
  await node.stop();
  assert.equal((await adding).answer?.["code"], 11);
  assert.deepEqual(pod.interfaces(), ["lo"]);
  assert.equal(node.pool.rows.size, 0);
});

Deno.test("The built plugin attaches many pods at once, and no descriptor is lost", async () => {
  const dir = await Deno.makeTempDir({ prefix: "pr2t-cni-" });
  try {
    await build({ out: dir, only: "pyroute2-cni-plugin", progress: () => {} });
    const plugin = [join(dir, "pyroute2-cni-plugin")];
    await using node = await Node.start();
    const pods = Array.from({ length: 16 }, () => new Pod());
    try {
      const before = openDescriptors();
      const all = (command: string) =>
        Promise.all(
          pods.map((pod, at) => execPlugin(plugin, cniEnv(command, pod, `c${at}`), node.config())),
        );
      for (const run of await all("ADD")) assert.equal(run.code, 0, JSON.stringify(run));
      const addresses = node.pool.list().map((row) => row.allocations[0]?.address);
      assert.equal(new Set(addresses).size, 16);
      assert.equal(node.hostEnds().length, 16);
      for (const pod of pods) assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
      for (const run of await all("DEL")) {
        assert.deepEqual(run, { code: 0, answer: undefined, stderr: "" });
      }
      assert.deepEqual(node.hostEnds(), []);
      await eventually(() => openDescriptors() <= before, "all descriptors to be closed");
    } finally {
      for (const pod of pods) pod[Symbol.dispose]();
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

function expectedResult(cniVersion: string, pod: Pod, node: Node): Record<string, unknown> {
  const [row] = node.pool.list();
  const host = getLink(node.connection, { name: row?.hostIfname ?? "" });
  const newest = cniVersion === "1.1.0";
  const old = cniVersion === "0.3.1" || cniVersion === "0.4.0";
  const mtu = newest ? { mtu: 1450 } : {};
  return {
    cniVersion,
    interfaces: [
      { name: row?.hostIfname, mac: host?.mac, ...mtu },
      { name: "eth0", mac: row?.mac, sandbox: pod.path, ...mtu },
    ],
    ips: row?.allocations.map(({ address, prefixLength, gateway }, index) => ({
      ...(old ? { version: ["4", "6"][index] } : {}),
      address: `${address}/${prefixLength}`,
      gateway,
      interface: 1,
    })),
    routes: [{ dst: "0.0.0.0/0", gw: "10.150.0.1" }, { dst: "::/0", gw: "fd00:150::1" }],
    dns: {},
  };
}

async function podNetworkLost(pod: Pod): Promise<void> {
  const { code } = await new Deno.Command("nsenter", {
    args: [`--net=${pod.path}`, "ip", "link", "set", "eth0", "down"],
  }).output();
  assert.equal(code, 0);
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}
