import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { openJournal } from "./journal.ts";
import type { Attachment } from "./port.ts";

const row: Attachment = {
  network: "pyroute2",
  containerId: "c1",
  ifname: "eth0",
  namespace: "default",
  pod: "web",
  podUid: "uid-1",
  domain: "blue",
  vrf: 200,
  address: "10.150.0.2",
  prefixLength: 26,
  gateway: "10.150.0.1",
  block: "10.150.0.0/26",
  state: "reserved",
  hostIfname: "veth0",
  mac: "",
  netnsPath: "/run/netns/x",
  createdAt: 1,
};

class Directory implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "pr2t-journal-" });
  readonly file = join(this.path, "sub", "journal.db");
  [Symbol.dispose]() {
    Deno.removeSync(this.path, { recursive: true });
  }
}

const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;

Deno.test("a file that is no database is refused, and moved aside when that is allowed", () => {
  using directory = new Directory();
  Deno.mkdirSync(join(directory.path, "sub"));
  Deno.writeTextFileSync(directory.file, "not a journal at all".repeat(500));
  assert.throws(() => openJournal(directory.file), { name: "IpamError", code: "JournalCorrupt" });
  const { journal, recovered } = openJournal(directory.file, { recover: true, now: () => 7 });
  using _closed = journal;
  assert.equal(recovered, true);
  assert.deepEqual(journal.list(), []);
  assert.match(Deno.readTextFileSync(`${directory.file}.corrupt-7`), /^not a journal/);
});

Deno.test("a journal with damaged pages is refused", () => {
  using directory = new Directory();
  {
    using journal = openJournal(directory.file).journal;
    for (let i = 0; i < 200; i++) {
      journal.insert({ ...row, containerId: `c${i}`, address: `10.150.0.${i}` });
    }
  }
  using file = Deno.openSync(directory.file, { write: true });
  file.seekSync(4096, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(8192).fill(0xa5));
  assert.throws(() => openJournal(directory.file), { code: "JournalCorrupt" });
});

Deno.test("a journal of a later version is refused", () => {
  using directory = new Directory();
  openJournal(directory.file).journal[Symbol.dispose]();
  const database = new DatabaseSync(directory.file);
  database.exec("PRAGMA user_version = 99");
  database.close();
  assert.throws(() => openJournal(directory.file), {
    code: "JournalCorrupt",
    message: /version "99"/,
  });
});

Deno.test("a directory that cannot be made is an unavailable journal", () => {
  using directory = new Directory();
  Deno.writeTextFileSync(join(directory.path, "sub"), "a file, not a directory");
  assert.throws(() => openJournal(directory.file), { code: "JournalUnavailable" });
});

Deno.test("a write after the file was deleted or replaced fails, for it would not be found again", () => {
  using directory = new Directory();
  using journal = openJournal(directory.file).journal;
  journal.insert(row);
  Deno.removeSync(directory.file);
  assert.throws(() => journal.delete(row), { code: "JournalUnavailable", message: /deleted/ });
  Deno.writeTextFileSync(directory.file, "");
  assert.throws(() => journal.delete(row), { code: "JournalUnavailable", message: /replaced/ });
  assert.deepEqual(journal.list(), [row]);
});

Deno.test("the journal and its log are closed to other users", () => {
  using directory = new Directory();
  using journal = openJournal(directory.file).journal;
  journal.insert(row);
  assert.equal(mode(join(directory.path, "sub")), 0o700);
  assert.equal(mode(directory.file), 0o600);
  assert.equal(mode(`${directory.file}-wal`), 0o600);
});

Deno.test("one address of a VRF, and one key, have one row", () => {
  using journal = openJournal(":memory:").journal;
  journal.insert(row);
  assert.throws(() => journal.insert({ ...row, containerId: "c2" }), {
    code: "JournalUnavailable",
  });
  assert.throws(() => journal.insert({ ...row, address: "10.150.0.3" }), {
    code: "JournalUnavailable",
  });
  journal.insert({ ...row, containerId: "c2", vrf: 300 });
  assert.equal(journal.list().length, 2);
});

Deno.test("what was written is read again after the journal was opened anew", () => {
  using directory = new Directory();
  const block = {
    name: "vrf-200-10-150-0-0-26",
    vrf: 200,
    cidr: "10.150.0.0/26",
    uid: "u",
    releasing: false,
  };
  {
    using journal = openJournal(directory.file).journal;
    journal.insert(row);
    journal.saveBlock(block);
    assert.equal(journal.update(row, { state: "attached", mac: "02:00:00:00:00:01" }), true);
    assert.equal(journal.update({ ...row, ifname: "eth1" }, { state: "attached" }), false);
  }
  using journal = openJournal(directory.file).journal;
  assert.deepEqual(journal.find(row), { ...row, state: "attached", mac: "02:00:00:00:00:01" });
  assert.deepEqual(journal.blocks(), [block]);
  journal.saveBlock({ ...block, releasing: true });
  assert.equal(journal.blocks()[0]?.releasing, true);
  journal.deleteBlock(block.name);
  assert.deepEqual([journal.delete(row), journal.delete(row)], [true, false]);
  assert.deepEqual([journal.list(), journal.blocks(), journal.find(row)], [[], [], undefined]);
});

Deno.test("a process that is killed loses no row that it reported, and a second daemon is locked out", async () => {
  using directory = new Directory();
  const script = `
    import { openJournal } from ${JSON.stringify(import.meta.resolve("./journal.ts"))};
    const { journal } = openJournal(${JSON.stringify(directory.file)});
    const row = ${JSON.stringify(row)};
    for (let i = 1; ; i++) {
      journal.insert({ ...row, containerId: "c" + i, address: "10.150." + (i >> 8) + "." + (i & 255) });
      Deno.stdout.writeSync(new TextEncoder().encode("c" + i + "\\n"));
    }`;
  const scriptFile = join(directory.path, "writer.ts");
  Deno.writeTextFileSync(scriptFile, script);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-all",
      "--config",
      new URL("../../deno.json", import.meta.url).pathname,
      scriptFile,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    const first = said === "";
    said += chunk;
    if (first) {
      assert.throws(() => openJournal(directory.file), {
        code: "JournalUnavailable",
        message: /locked/,
      });
    }
    if (said.length > 400) child.kill("SIGKILL");
  }
  await child.status;
  using journal = openJournal(directory.file).journal;
  const rows = new Set(journal.list().map(({ containerId }) => containerId));
  const reported = said.split("\n").slice(0, -1);
  assert.ok(reported.length > 50);
  for (const containerId of reported) assert.ok(rows.has(containerId), containerId);
});
