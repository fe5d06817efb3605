/** What strangers at the sockets can cost the daemon, and whom they keep out: nobody for long. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { JsonConnection } from "../../lib/ipc/client.ts";
import { maxBodyBytes } from "../../lib/ipc/messages.ts";
import { changedBytes } from "../fuzz/mutation.ts";
import { sendRaw } from "../fuzz/targets/raw_http.ts";
import { cniEnv, eventually, execPlugin, Node, Pod, sourcePlugin } from "./harness.ts";
import { NodeProcess } from "./node_process.ts";
import { sendFds } from "./send_fd.ts";

/** Milliseconds in which the daemon answers, whatever it is asked. */
const patienceMs = 60_000;
const encoder = new TextEncoder();

async function post(node: { readonly api: string }, target: string, body: unknown) {
  using connection = await JsonConnection.open(node.api);
  return await connection.post(target, JSON.stringify(body), AbortSignal.timeout(patienceMs));
}

async function create(node: { readonly api: string }): Promise<string> {
  const { status, body } = await post(node, "/v1/requests", { pid: Deno.pid });
  assert.equal(status, 201, JSON.stringify(body));
  return String(Reflect.get(Object(body), "rid"));
}

/** Whether a client with nothing to hide is served. */
async function isServed(node: { readonly api: string }): Promise<boolean> {
  const status = {
    command: "STATUS",
    env: { CNI_COMMAND: "STATUS" },
    config: { cniVersion: "1.1.0", name: "pr2t" },
    descriptor: false,
  };
  try {
    const answer = await post(node, `/v1/requests/${await create(node)}`, status);
    return answer.status === 200;
  } catch {
    return false;
  }
}

async function eventuallyServed(node: { readonly api: string }): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!await isServed(node)) {
    assert.ok(performance.now() < deadline, "Expected to be served within 20 s");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Connections that stay open. */
class Connections implements Disposable {
  readonly open: Deno.UnixConn[] = [];
  /** How many could not be opened. */
  refused = 0;

  /** Opens one and sends a text; nobody being there is what a flood may meet. */
  async add(path: string, text: string): Promise<void> {
    try {
      const connection = await Deno.connect({ transport: "unix", path });
      this.open.push(connection);
      if (text !== "") await connection.write(encoder.encode(text));
    } catch (thrown) {
      if (!(thrown instanceof Error)) throw thrown;
      this.refused++;
    }
  }

  /** Whether as many at least are refused, or closed from the other side. */
  async dropped(count: number): Promise<boolean> {
    let closed = this.refused;
    const enough = Promise.withResolvers<boolean>();
    for (const connection of this.open) {
      connection.read(new Uint8Array(1)).then((length) => length === null, () => true)
        .then((ended) => {
          if (ended && ++closed >= count) enough.resolve(true);
        });
    }
    const timer = setTimeout(() => enough.resolve(false), 20_000);
    try {
      return closed >= count || await enough.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.open) connection.close();
  }
}

/** Does something several times, which must open nothing that stays. */
async function leavesNothing(node: NodeProcess, act: () => Promise<void>): Promise<void> {
  assert.ok(await isServed(node));
  const before = node.descriptors;
  for (let round = 0; round < 8; round++) await act();
  await node.settle(before);
  assert.ok(await isServed(node));
}

function requestHead(rid: string, length: number): string {
  return `POST /v1/requests/${rid} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${length}\r\n\r\n`;
}

Deno.test("A sender that is slow loses its request, and keeps no other out", async () => {
  await using node = await NodeProcess.start({ maxOutstanding: 4, bodyTimeoutMs: 300 });
  await leavesNothing(node, async () => {
    using slow = new Connections();
    for (let count = 0; count < 4; count++) {
      await slow.add(node.api, `${requestHead(await create(node), 1_000)}{"command":`);
    }
    await eventuallyServed(node);
    const answer = new Uint8Array(4_096);
    const length = await slow.open[0]?.read(answer);
    assert.match(
      new TextDecoder().decode(answer.subarray(0, length ?? 0)),
      /^HTTP\/1\.1 400 .*connection: close.*within 300 ms/s,
    );
  });
});

Deno.test("A body without end is cut off where it is too large", async () => {
  await using node = await NodeProcess.start();
  const chunk = encoder.encode(`10000\r\n${"x".repeat(0x10000)}\r\n`);
  // How much is read and thrown away until the refusal is written differs; far less than this does.
  const endless = 512 * maxBodyBytes;
  const memory = node.memory;
  await leavesNothing(node, async () => {
    for (const target of ["/v1/requests", `/v1/requests/${await create(node)}`]) {
      using connection = await Deno.connect({ transport: "unix", path: node.api });
      const head =
        `POST ${target} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n`;
      await connection.write(encoder.encode(head));
      let sent = 0;
      try {
        while (sent < endless) sent += await connection.write(chunk);
      } catch (thrown) {
        assert.ok(thrown instanceof Deno.errors.BrokenPipe, String(thrown));
      }
      assert.ok(sent < endless, "Expected the body to be cut off, found it taken");
    }
  });
  assert.ok(node.memory < memory + 64 * 2 ** 20, `${memory} bytes became ${node.memory}`);
});

Deno.test("More connections than there are descriptors are dropped, and the next ones are served", async () => {
  await using node = await NodeProcess.start({}, 128);
  await leavesNothing(node, async () => {
    using flood = new Connections();
    for (let count = 0; count < 500; count++) await flood.add(node.api, "POST /v1/requ");
    // Each is closed by the server or was refused: it has room for a quarter of them.
    assert.ok(await flood.dropped(250), "Expected the server to run out of descriptors");
    await eventuallyServed(node);
  });
  assert.equal((Deno.statSync(node.api).mode ?? 0) & 0o777, 0o600);
});

Deno.test("A flood of requests costs no memory that is not given back, and is told to come again", async () => {
  await using node = await NodeProcess.start({ maxOutstanding: 64, lifetimeMs: 500 });
  const flood = async (): Promise<number> => {
    const asked = Array.from({ length: 500 }, () => post(node, "/v1/requests", { pid: Deno.pid }));
    const answers = await Promise.all(asked);
    const busy =
      answers.filter(({ status, body }) =>
        status === 503 && Reflect.get(Object(body), "error")?.code === 11
      ).length;
    assert.equal(busy + answers.filter(({ status }) => status === 201).length, answers.length);
    return busy;
  };
  await flood();
  const [descriptors, memory] = [node.descriptors, node.memory];
  let busy = 0;
  for (let round = 0; round < 10; round++) busy += await flood();
  assert.ok(busy > 1_000, `${busy} refusals`);
  await eventuallyServed(node);
  await node.settle(descriptors);
  assert.ok(node.memory < memory + 64 * 2 ** 20, `${memory} bytes became ${node.memory}`);
});

Deno.test("Large bodies at a time cost no memory that is not given back", async () => {
  await using node = await NodeProcess.start();
  const text = `{"command":"${"x".repeat(maxBodyBytes - 100)}"}`;
  const flood = () =>
    Promise.all(Array.from({ length: 20 }, async () => {
      using connection = await JsonConnection.open(node.api);
      const { status } = await connection.post(
        `/v1/requests/${await create(node)}`,
        text,
        AbortSignal.timeout(patienceMs),
      );
      assert.equal(status, 400);
    }));
  for (let round = 0; round < 3; round++) await flood();
  const memory = node.memory;
  for (let round = 0; round < 6; round++) await flood();
  assert.ok(node.memory < memory + 96 * 2 ** 20, `${memory} bytes became ${node.memory}`);
  assert.ok(await isServed(node));
});

Deno.test("Descriptors by the hundred are all closed, with every message", async () => {
  await using node = await NodeProcess.start({ lifetimeMs: 300 });
  using pod = new Pod();
  await leavesNothing(node, async () => {
    for (const rid of [await create(node), "0".repeat(32), "x"]) {
      const payload = JSON.stringify({ rid });
      assert.equal(sendFds(node.fdpass, payload, new Array<number>(253).fill(pod.netns.fd)), 0);
    }
  });
});

Deno.test("A peer that dies between both sockets, or in the midst of its request, leaves nothing", async () => {
  await using node = await NodeProcess.start({ lifetimeMs: 300 });
  using pod = new Pod();
  await leavesNothing(node, async () => {
    for (let count = 0; count < 5; count++) {
      const rid = await create(node);
      assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
      using half = new Connections();
      await half.add(node.api, `${requestHead(await create(node), 1_000)}{`);
    }
  });
});

Deno.test("Whatever bytes come where HTTP is expected, the next client is served", async () => {
  await using node = await NodeProcess.start({ bodyTimeoutMs: 200 });
  const recorded = [
    `POST /v1/requests HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{"pid":1}`,
    `${requestHead("0".repeat(32), 2)}{}`,
    "POST /v1/requests HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ].map((text) => encoder.encode(text));
  await leavesNothing(node, () =>
    fc.assert(
      fc.asyncProperty(changedBytes(recorded), async (bytes) => {
        await sendRaw(node.api, bytes);
      }),
      { numRuns: 100 },
    ));
});

Deno.test("A client that closes its side after the request gets its answer, or is undone", async () => {
  await using node = await Node.start();
  using pod = new Pod();
  const rid = await create(node);
  assert.equal(sendFds(node.fdpass, JSON.stringify({ rid }), [pod.netns.fd]), 0);
  const { SECRET_TOKEN: _, ...env } = cniEnv("ADD", pod);
  const body = JSON.stringify({ command: "ADD", env, config: node.config(), descriptor: true });
  const text = await sendRaw(
    node.api,
    encoder.encode(requestHead(rid, encoder.encode(body).length) + body),
  );
  const attached = text.startsWith("HTTP/1.1 200");
  await eventually(
    () => (pod.interfaces().length > 1) === attached && node.pool.rows.size === Number(attached),
    `the pod to be ${attached ? "attached" : "as it was"}`,
  );
});

Deno.test("A container cannot take over the interface of another one's namespace", async () => {
  await using node = await Node.start();
  using pod = new Pod();
  const first = await execPlugin(sourcePlugin, cniEnv("ADD", pod, "c1"), node.config());
  assert.equal(first.code, 0, JSON.stringify(first.answer));
  const rows = [...node.pool.rows.keys()];
  const ends = node.hostEnds();
  const second = await execPlugin(sourcePlugin, cniEnv("ADD", pod, "c2"), node.config());
  assert.equal(second.answer?.["code"], 4, JSON.stringify(second.answer));
  assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
  assert.deepEqual(node.hostEnds(), ends);
  assert.deepEqual([...node.pool.rows.keys()], rows);
  assert.equal((await execPlugin(sourcePlugin, cniEnv("DEL", pod, "c2"), node.config())).code, 0);
  assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
});

Deno.test("A network configuration that is nested too deep is refused by the daemon, too", async () => {
  await using node = await Node.start();
  const rid = await create(node);
  using connection = await JsonConnection.open(node.api);
  const text = `{"config":${"[".repeat(400_000)}${"]".repeat(400_000)}}`;
  const { body } = await connection.post(
    `/v1/requests/${rid}`,
    text,
    AbortSignal.timeout(patienceMs),
  );
  const error = Reflect.get(Object(body), "error");
  assert.equal(error.code, 6);
  assert.match(error.msg, /nested at most/);
});
