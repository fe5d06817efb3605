import assert from "node:assert/strict";
import { join } from "node:path";
import { startFrrInstance } from "./testing/frr_instance.ts";
import { askDaemons } from "./vty.ts";
import { runVtysh } from "./vtysh.ts";

const signal = () => AbortSignal.timeout(30_000);

/** A daemon that answers each command with chunks of bytes, and closes the connection after the last. */
function fakeDaemon(path: string, answers: readonly (readonly string[])[]): Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const serve = async () => {
    using connection = await listener.accept();
    const buffer = new Uint8Array(1024);
    const encoder = new TextEncoder();
    for (const chunks of answers) {
      if (await connection.read(buffer) === null) return;
      for (const chunk of chunks) {
        await connection.write(encoder.encode(chunk));
        // The reader takes what is there before more comes.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  };
  serve().catch(() => {});
  return { [Symbol.dispose]: () => listener.close() };
}

async function inDirectory(task: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-vty-" });
  try {
    await task(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("an answer is whole however it is cut into pieces, and whatever its return code", async () => {
  await inDirectory(async (directory) => {
    const answers = [["\0\0\0\0"], ["vrf é", " up\n\0", "\0\0", "\x01"], ["", "\0", "\0\0\0"]];
    using _fake = fakeDaemon(join(directory, "zebra.vty"), answers);
    const asked = await askDaemons(directory, { zebra: ["show vrf", "show nothing"] }, signal());
    assert.deepEqual(asked, {
      answering: ["zebra"],
      replies: [
        { daemon: "zebra", command: "show vrf", output: "vrf é up" },
        { daemon: "zebra", command: "show nothing", output: "" },
      ],
    });
  });
});

Deno.test("a daemon that does not run has said nothing; one that ends while it is asked is an error", async () => {
  await inDirectory(async (directory) => {
    // A socket's file outlives a daemon that was killed.
    Deno.listen({ transport: "unix", path: join(directory, "bfdd.vty") }).close();
    const asked = await askDaemons(directory, { zebra: ["show vrf"], bfdd: [] }, signal());
    assert.deepEqual(asked, {
      answering: [],
      replies: [{ daemon: "zebra", command: "show vrf", output: "" }],
    });
    using _fake = fakeDaemon(join(directory, "bgpd.vty"), [["\0\0\0\0"], ["half an ans"]]);
    await assert.rejects(askDaemons(directory, { bgpd: ["show bgp"] }, signal()), {
      code: "FrrUnavailable",
      message: /bgpd: it closed the connection/,
    });
  });
});

Deno.test("a daemon that is stuck keeps nobody waiting beyond the signal", async () => {
  await inDirectory(async (directory) => {
    using _stuck = Deno.listen({ transport: "unix", path: join(directory, "zebra.vty") });
    const asked = askDaemons(directory, { zebra: [] }, AbortSignal.timeout(50));
    await assert.rejects(asked, { code: "FrrTimeout" });
    const late = askDaemons(directory, { zebra: [] }, AbortSignal.abort());
    await assert.rejects(late, { code: "FrrTimeout" });
  });
});

Deno.test("FRR says over its sockets what it says to vtysh", async () => {
  await using frr = await startFrrInstance();
  await runVtysh(
    frr,
    ["configure terminal", "router bgp 65000", "neighbor 192.0.2.1 remote-as 65001", "end"],
    signal(),
  );
  const questions = {
    zebra: ["show vrf", "show interface vrf all brief", "show ip route json"],
    bgpd: ["show bgp summary failed", "show running-config"],
    staticd: [],
    bfdd: ["show bfd peers brief json", "show nothing of the kind"],
  };
  const { answering, replies } = await askDaemons(frr.vtyDir, questions, signal());
  assert.deepEqual(answering, ["zebra", "bgpd", "staticd", "bfdd"]);
  const commands = replies.map(({ command }) =>
    command === "show running-config" ? "show running-config bgpd" : command
  );
  const byVtysh = await runVtysh(frr, commands, signal());
  // vtysh adds lines of its own around a configuration, and says in other words what it does not know.
  const ofVtysh = /^\s*(?:$|!|%|Building |Current |frr |service integrated|end$)/;
  const words = (text: string) => text.split("\n").filter((line) => !ofVtysh.test(line));
  assert.deepEqual(
    replies.map(({ output }) => words(output)),
    byVtysh.map(({ output }) => words(output)),
  );
  assert.match(replies[3]?.output ?? "", /192\.0\.2\.1/);
  assert.match(replies[6]?.output ?? "", /Unknown command/);
});
