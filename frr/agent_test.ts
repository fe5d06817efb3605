import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runFrrAgent } from "./agent.ts";
import { createFrrClient } from "./client.ts";
import { startTestAgent } from "./testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import { readGolden } from "./testing/goldens.ts";

const signal = () => AbortSignal.timeout(30_000);

Deno.test("an agent that is not there is unavailable, and a signal ends the waiting", async () => {
  const dir = await Deno.makeTempDir({ prefix: "pr2t-frr-" });
  try {
    using absent = createFrrClient(join(dir, "none.sock"));
    await assert.rejects(absent.state(signal()), { code: "FrrUnavailable" });
    await assert.rejects(absent.apply("", signal()), { code: "FrrUnavailable" });
    const path = join(dir, "silent.sock");
    using listener = Deno.listen({ transport: "unix", path });
    using silent = createFrrClient(path);
    await assert.rejects(silent.state(AbortSignal.timeout(50)), { code: "FrrTimeout" });
    assert(listener.addr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("an agent whose FRR does not run says so", async () => {
  const dir = await Deno.makeTempDir({ prefix: "pr2t-frr-" });
  try {
    await using agent = await startTestAgent({ vtyDir: dir, confDir: dir });
    await assert.rejects(agent.client.state(signal()), { code: "FrrUnavailable" });
    await assert.rejects(agent.client.apply(await readGolden("alone"), signal()), {
      code: "FrrUnavailable",
    });
    await assert.rejects(Deno.stat(join(dir, "frr.conf")), Deno.errors.NotFound);
    for (
      const [path, reason] of [["livez", "not running: zebra, bgpd, staticd"], [
        "readyz",
        "not ready: zebra, bgpd, staticd",
      ]]
    ) {
      const response = await fetch(`http://127.0.0.1:${agent.probePort}/${path}`);
      assert.equal(response.status, 503);
      assert((await response.text()).startsWith(reason ?? ""));
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a second agent ends at once, and the first one still answers", async () => {
  await using frr = await startFrrInstance();
  await using agent = await startTestAgent(frr);
  const second = runFrrAgent({
    ...{ vtyDir: frr.vtyDir, confDir: frr.confDir, socketPath: agent.socketPath },
    ...{ host: "127.0.0.1", port: agent.probePort, signal: signal(), log: () => {} },
  });
  await assert.rejects(second, Deno.errors.AddrInUse);
  assert.equal((await agent.client.state(signal())).ready, true);
});

Deno.test("the agent checks, applies, keeps and reports over its private socket", async () => {
  await using frr = await startFrrInstance();
  await using agent = await startTestAgent(frr);
  const { client } = agent;
  assert.equal(((await Deno.stat(agent.socketPath)).mode ?? 0) & 0o777, 0o600);
  await assert.rejects(client.check(await readGolden("refused"), signal()), {
    code: "FrrRefused",
    line: /line 7/,
  });
  const good = await readGolden("two_tenants_same_prefix");
  await client.check(good, signal());
  const [first, second] = await Promise.all([
    client.apply(good, signal()),
    client.apply(good, signal()),
  ]);
  assert(first.changed);
  assert(!second.changed, "requests are served in turn");
  await assert.rejects(client.apply(await readGolden("refused_by_bgpd"), signal()), {
    code: "FrrRefused",
    line: /neighbor 192\.168\.124\.9 activate: % /,
    message: /the last good configuration is back/,
  });
  const kept = await Deno.readTextFile(join(frr.confDir, "frr.conf"));
  assert(kept.endsWith(good));
  const { mode, uid } = await Deno.stat(join(frr.confDir, "frr.conf"));
  assert.equal((mode ?? 0) & 0o777, 0o640);
  assert.equal(uid, (await Deno.stat(frr.confDir)).uid);
  const state = await client.state(signal());
  assert(state.ready);
  assert.deepEqual(state.peers.map((peer) => [peer.address, peer.established]), [
    ["192.168.124.2", false],
    ["192.168.124.3", false],
  ]);
  assert.deepEqual(state.vnis.map((vni) => [vni.vni, vni.state]), [[50200, "Down"], [
    50300,
    "Down",
  ]]);
  assert.deepEqual(await client.routes("vrf-200", signal()), { routes: [], prefixRoutes: [] });
  await assert.rejects(client.routes("x y", signal()), { code: "FrrRefused" });
});

Deno.test("only probes are served on TCP, and nothing unknown on the socket", async () => {
  await using frr = await startFrrInstance();
  await using agent = await startTestAgent(frr);
  const status = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${agent.probePort}${path}`, { method });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await status("/livez"), 200);
  assert.equal(await status("/readyz"), 200);
  for (
    const [path, method] of [["/apply", "POST"], ["/check", "POST"], ["/state", "GET"], [
      "/",
      "GET",
    ]] as const
  ) {
    assert.equal(await status(path, method), 404);
  }
});

Deno.test("a bgpd that is killed comes back with its configuration and another epoch", async () => {
  await using frr = await startFrrInstance();
  await using agent = await startTestAgent(frr);
  const text = await readGolden("default_domain");
  await agent.client.apply(text, signal());
  const before = await agent.client.state(signal());
  assert.equal((await agent.client.state(signal())).epoch, before.epoch);
  await frr.run("sh", "-c", "kill -9 $(cat /run/frr/bgpd.pid)");
  const after = await untilRestarted(frr, agent.client.state, before.epoch);
  assert.notEqual(after, before.epoch);
  await agent.client.apply(text, signal());
  const third = await agent.client.apply(text, signal());
  assert(!third.changed);
  assert.equal((await agent.client.state(signal())).peers.length, 2);
});

Deno.test("an agent that starts FRR loads the kept configuration, and stops FRR at its end", async () => {
  await using frr = await startFrrInstance();
  await frr.run("/usr/lib/frr/frrinit.sh", "stop");
  const text = await readGolden("default_domain");
  await Deno.writeTextFile(join(frr.confDir, "frr.conf"), text);
  const main = fileURLToPath(new URL("./testing/agent_main.ts", import.meta.url));
  const config = fileURLToPath(new URL("../deno.json", import.meta.url));
  await using process = new Deno.Command("nsenter", {
    args: [
      "-t",
      `${frr.pid}`,
      "-n",
      "-m",
      "--",
      Deno.execPath(),
      "run",
      "-A",
      "-q",
      "--config",
      config,
      main,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "listening\n");
  await reader.cancel();
  using client = createFrrClient(join(frr.vtyDir, "reload.sock"));
  assert((await client.state(signal())).ready);
  await client.apply(text, signal());
  assert(!(await client.apply(text, signal())).changed);
  process.kill("SIGTERM");
  assert.equal((await process.status).code, 0);
  const left = await frr.run("ls", "/run/frr");
  assert(!/\.pid$|reload\.sock/m.test(left), left);
});

/** The epoch once FRR answers again and bgpd has another process. */
async function untilRestarted(
  frr: FrrInstance,
  state: (signal: AbortSignal) => Promise<{ epoch: string }>,
  before: string,
): Promise<string> {
  const end = performance.now() + 30_000;
  while (performance.now() < end) {
    const epoch = await state(signal()).then((state) => state.epoch, () => before);
    if (epoch !== before && !epoch.includes("=-")) return epoch;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`bgpd has not been restarted: ${await frr.run("ls", "/run/frr")}`);
}
