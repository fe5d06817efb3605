import assert from "node:assert/strict";
import { join } from "node:path";
import { JsonConnection } from "../../lib/ipc/client.ts";
import { maxBodyBytes } from "../../lib/ipc/messages.ts";
import { Errno } from "../../lib/sys/errno.ts";
import { libc } from "../../lib/sys/libc.ts";
import { openNetns, openOwnNetns } from "../../lib/sys/netns.ts";
import { openUnixDatagram, unixAddress } from "../../lib/sys/unix_datagram.ts";
import { startCniServer } from "../../daemon/server/cni_server.ts";
import { SocketPathError } from "../../daemon/server/socket_path.ts";
import { cniEnv, eventually, execPlugin, Node, Pod, sourcePlugin } from "./harness.ts";
import { sendFds } from "./send_fd.ts";

const sender = join(import.meta.dirname ?? ".", "send_fd.ts");

/** Milliseconds in which the daemon answers, whatever it is asked. */
const patienceMs = 60_000;

/** The protocol by hand, from the test's own process. */
class Client implements Disposable {
  readonly #connection: JsonConnection;

  private constructor(connection: JsonConnection) {
    this.#connection = connection;
  }

  static async open(node: Node): Promise<Client> {
    return new Client(await JsonConnection.open(node.api));
  }

  async create(pid: unknown = Deno.pid): Promise<string> {
    const { status, body } = await this.post("/v1/requests", { pid });
    assert.equal(status, 201, JSON.stringify(body));
    assert.ok(typeof body === "object" && body !== null && "rid" in body);
    assert.match(String(body.rid), /^[0-9a-f]{32}$/);
    return String(body.rid);
  }

  async add(node: Node, rid: string, pod: Pod): Promise<{ code: number; msg: string }> {
    const { body } = await this.post(`/v1/requests/${rid}`, requestOf(node, pod));
    return errorOf(body);
  }

  post(target: string, value: unknown): Promise<{ status: number; body: unknown }> {
    return this.#connection.post(target, JSON.stringify(value), AbortSignal.timeout(patienceMs));
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

function requestOf(node: Node, pod: Pod): Record<string, unknown> {
  const { SECRET_TOKEN: _, ...env } = cniEnv("ADD", pod);
  return { command: "ADD", env, config: node.config(), descriptor: true };
}

/** The error of an answer; code 0 for a result. */
function errorOf(body: unknown): { code: number; msg: string } {
  assert.ok(typeof body === "object" && body !== null);
  if (!("error" in body)) return { code: 0, msg: "" };
  const { error } = body;
  assert.ok(typeof error === "object" && error !== null && "code" in error && "msg" in error);
  const details = "details" in error ? ` (${error.details})` : "";
  return { code: Number(error.code), msg: `${error.msg}${details}` };
}

function assertNothingLeft(node: Node, pod: Pod): void {
  assert.deepEqual(pod.interfaces(), ["lo"]);
  assert.deepEqual(node.hostEnds(), []);
  assert.equal(node.pool.rows.size, 0);
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** How many datagrams the daemon has refused. */
function refusals(node: Node): number {
  return node.lines.filter((line) => line.includes("Descriptor refused")).length;
}

/** Makes a socket file and closes the socket. */
function leaveDatagramSocket(path: string): void {
  using socket = openUnixDatagram();
  const address = unixAddress(path);
  assert.equal(libc.bind(socket.fd, address, address.length), 0);
}

/** Short waits for descriptors that do not come, long ones for slow processes. */
const impatient = { server: { limits: { fdTimeoutMs: 200, lifetimeMs: 60_000 } } };

Deno.test("Only root finds a way in: the folder is 0700, the sockets are 0600", async () => {
  await using node = await Node.start();
  assert.equal((Deno.statSync(node.dir).mode ?? 0) & 0o777, 0o700);
  for (const path of [node.api, node.fdpass]) {
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600, path);
  }
});

Deno.test("A wrong request id is refused, whatever it looks like", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using client = await Client.open(node);
  for (const rid of ["0".repeat(32), "x", "..%2f..", "%00", "a".repeat(5_000)]) {
    const { code } = await client.add(node, rid, pod);
    assert.equal(code, 105, rid);
  }
  assertNothingLeft(node, pod);
});

Deno.test("A request id works once, also when its first use failed", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using client = await Client.open(node);
  const rid = await client.create();
  assert.match((await client.add(node, rid, pod)).msg, /within 200 ms/);
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
  assert.match((await client.add(node, rid, pod)).msg, /used/);
  assertNothingLeft(node, pod);
});

Deno.test("A request id expires, and the descriptor that came for it is closed", async () => {
  await using node = await Node.start({ server: { limits: { lifetimeMs: 50, fdTimeoutMs: 200 } } });
  using pod = new Pod();
  using client = await Client.open(node);
  const before = openDescriptors();
  const rid = await client.create();
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
  // Datagrams keep their order: when the second one has been judged, the first one has arrived.
  assert.equal(sendFds(node.fdpass, "x", []), 0);
  await eventually(() => refusals(node) > 0, "the datagrams to be judged");
  await eventually(() => openDescriptors() === before, "the descriptor to be closed");
  assert.match((await client.add(node, rid, pod)).msg, /expired/);
  assertNothingLeft(node, pod);
});

Deno.test("A request whose descriptor never comes fails with a clear error", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using client = await Client.open(node);
  const error = await client.add(node, await client.create(), pod);
  assert.equal(error.code, 105);
  assert.match(error.msg, /within 200 ms, found none/);
  const without = { ...requestOf(node, pod), descriptor: false };
  const { body } = await client.post(`/v1/requests/${await client.create()}`, without);
  assert.match(errorOf(body).msg, /without one/);
  assertNothingLeft(node, pod);
});

Deno.test("What is not exactly one network namespace of a container is refused and closed", async (t) => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using other = new Pod();
  using host = openOwnNetns();
  using file = openNetns("/dev/null");
  using mounts = openNetns("/proc/self/ns/mnt");
  using client = await Client.open(node);
  const before = openDescriptors();
  const cases: [string, readonly number[], RegExp][] = [
    ["none", [], /no descriptor/],
    ["two", [pod.netns.fd, other.netns.fd], /2 descriptors/],
    ["a hundred", new Array<number>(100).fill(pod.netns.fd), /100 descriptors/],
    ["a file", [file.fd], /CNI_NETNS/],
    ["another kind of namespace", [mounts.fd], /CNI_NETNS/],
    ["the host's", [host.fd], /the host's/],
  ];
  for (const [name, fds, message] of cases) {
    await t.step(name, async () => {
      const rid = await client.create();
      assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), fds), 0);
      const error = await client.add(node, rid, pod);
      assert.equal(error.code, 105);
      assert.match(error.msg, message);
    });
  }
  assertNothingLeft(node, pod);
  assert.equal(openDescriptors(), before);
  assert.match(await node.metrics.render(), /refused_total\{reason="wrong-descriptor"\} 6/);
});

Deno.test("Datagrams that make no sense are dropped, counted, and stop nothing", async () => {
  await using node = await Node.start();
  using pod = new Pod();
  using client = await Client.open(node);
  const before = openDescriptors();
  const long = JSON.stringify({ rid: "0".repeat(32), filler: "x".repeat(1_000) });
  for (const payload of ["x", "{}", "[]", '{"rid":1}', '{"rid":"short"}', long]) {
    assert.equal(sendFds(node.fdpass, payload, [pod.netns.fd]), 0);
  }
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid: "0".repeat(32) }), [pod.netns.fd]), 0);
  const rid = await client.create();
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
  assert.deepEqual(await client.add(node, rid, pod), { code: 0, msg: "" });
  // The request has ended: one more descriptor for it belongs to nobody.
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
  await eventually(() => refusals(node) === 8, "all datagrams to be judged");
  assert.equal(openDescriptors(), before);
  const metrics = await node.metrics.render();
  assert.match(metrics, /refused_total\{reason="malformed"\} 6/);
  assert.match(metrics, /refused_total\{reason="unknown"\} 2/);
});

Deno.test("Another process of root cannot bring its descriptor into a request", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using stolen = new Pod();
  using client = await Client.open(node);
  const rid = await client.create();
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", sender, node.fdpass, rid, stolen.path],
  }).output();
  assert.equal(code, 0);
  const error = await client.add(node, rid, pod);
  assert.equal(error.code, 105);
  assert.match(error.msg, /came from process/);
  assertNothingLeft(node, pod);
  assertNothingLeft(node, stolen);
});

/** The sender where every user can read it: the repository and Deno itself may lie in root's home. */
async function senderForEveryone(): Promise<{ deno: string; script: string } & AsyncDisposable> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-sender-" });
  await Deno.chmod(directory, 0o755);
  const deno = `${directory}/deno`;
  const script = `${directory}/sender.js`;
  await Deno.copyFile(Deno.execPath(), deno);
  await Deno.chmod(deno, 0o755);
  const bundled = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--output", script, sender],
  }).output();
  assert.ok(bundled.success, new TextDecoder().decode(bundled.stderr));
  return {
    deno,
    script,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("A process that is not root is kept out, even where the sockets were opened to it", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  using client = await Client.open(node);
  const rid = await client.create();
  await using program = await senderForEveryone();
  const nobody = async (): Promise<number> => {
    const { code } = await new Deno.Command("setpriv", {
      args: [
        ...["--reuid=65534", "--regid=65534", "--clear-groups", "env", "DENO_DIR=/dev/null/deno"],
        ...[program.deno, "run", "-A", "--no-config", "--no-lock", program.script],
        ...[node.fdpass, rid, "/proc/self/ns/net"],
      ],
    }).output();
    return code;
  };
  assert.equal(await nobody(), Errno.EACCES);
  await Deno.chmod(node.dir, 0o755);
  assert.equal(await nobody(), Errno.EACCES);
  await Deno.chmod(node.fdpass, 0o666);
  assert.equal(await nobody(), 0);
  const error = await client.add(node, rid, pod);
  assert.match(error.msg, /of user "65534"/);
  assertNothingLeft(node, pod);
});

Deno.test("Bodies that are too large, no JSON or of another shape are refused", async () => {
  await using node = await Node.start(impatient);
  using pod = new Pod();
  const good = requestOf(node, pod);
  const env = cniEnv("ADD", pod);
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [
    `CNI_${"ABCDEFGHIJ"[at % 10]}${"ABCDEFGHIJ"[Math.floor(at / 10)]}`,
    "x",
  ]));
  const cases: [string, number][] = [
    ["", 6],
    ["{", 6],
    ["[]", 6],
    [JSON.stringify({ ...good, command: "EXEC" }), 6],
    [JSON.stringify({ ...good, env: { ...env, LD_PRELOAD: "x" } }), 6],
    [JSON.stringify({ ...good, env: { CNI_PATH: "x".repeat(40_000) } }), 6],
    [JSON.stringify({ ...good, env: many }), 6],
    [JSON.stringify({ ...good, command: "DEL" }), 4],
    [JSON.stringify({ ...good, config: { cniVersion: "1.1.0", name: "../x" } }), 7],
    [JSON.stringify({ ...good, config: null }), 6],
    ["x".repeat(maxBodyBytes + 1), 105],
  ];
  for (const [text, code] of cases) {
    using client = await Client.open(node);
    const rid = await client.create();
    using raw = await JsonConnection.open(node.api);
    const { status, body } = await raw.post(
      `/v1/requests/${rid}`,
      text,
      AbortSignal.timeout(patienceMs),
    );
    assert.ok(status >= 400);
    assert.equal(errorOf(body).code, code, text.slice(0, 80));
  }
  for (const pid of [0, -1, 1.5, "1", null, 2 ** 31]) {
    using client = await Client.open(node);
    const { status } = await client.post("/v1/requests", { pid });
    assert.equal(status, 400);
  }
  assertNothingLeft(node, pod);
});

Deno.test("More requests than the limit are told to come again", async () => {
  await using node = await Node.start({ server: { limits: { maxOutstanding: 2 } } });
  using client = await Client.open(node);
  await client.create();
  await client.create();
  const { status, body } = await client.post("/v1/requests", { pid: Deno.pid });
  assert.equal(status, 503);
  assert.equal(errorOf(body).code, 11);
});

Deno.test("A namespace that is the host's is refused through the plugin, too", async () => {
  await using node = await Node.start();
  const env = cniEnv("ADD", { path: "/proc/self/ns/net" });
  const run = await execPlugin(sourcePlugin, env, node.config());
  assert.equal(run.code, 1);
  assert.match(String(run.answer?.["msg"]), /the host's/);
});

Deno.test("A command that takes too long is stopped and undone", async () => {
  await using node = await Node.start({
    server: { commandTimeoutMs: 100 },
    deps: {
      awaitReady: (_vrf, _blocks, given) =>
        new Promise((_, reject) => given.addEventListener("abort", () => reject(given.reason))),
    },
  });
  using pod = new Pod();
  const run = await execPlugin(sourcePlugin, cniEnv("ADD", pod), node.config());
  assert.equal(run.answer?.["code"], 11);
  assertNothingLeft(node, pod);
});

Deno.test("A second daemon is refused, and sockets of a dead one are replaced", async () => {
  await using node = await Node.start();
  const { options } = node;
  await assert.rejects(startCniServer(options), /in use|running process/);
  await node.stop();

  // What a killed process leaves: both socket files with nobody behind them.
  Deno.listen({ transport: "unix", path: node.api }).close();
  leaveDatagramSocket(node.fdpass);
  await using _server = await startCniServer(options);
  using client = await JsonConnection.open(node.api);
  const { status } = await client.post(
    "/v1/requests",
    JSON.stringify({ pid: Deno.pid }),
    AbortSignal.timeout(patienceMs),
  );
  assert.equal(status, 201);
});

Deno.test("A daemon whose socket was deleted says so instead of waiting for nobody", async () => {
  for (const socket of ["api", "fdpass"] as const) {
    await using node = await Node.start();
    await Deno.remove(node[socket]);
    await assert.rejects(
      node.finished,
      (thrown: unknown) => thrown instanceof SocketPathError && thrown.code === "SocketLost",
    );
  }
});

Deno.test("A socket is not put where others have files, nor over one", async () => {
  await using node = await Node.start();
  await node.stop();
  const inTmp = { ...node.options, apiPath: "/tmp/pr2t-api" };
  await assert.rejects(startCniServer(inTmp), /directory of its own/);
  const file = join(node.dir, "file");
  await Deno.writeTextFile(file, "");
  await assert.rejects(startCniServer({ ...node.options, apiPath: file }), /another file/);
  assert.equal(await Deno.readTextFile(file), "");
});
