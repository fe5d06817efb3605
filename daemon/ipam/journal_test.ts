import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { openJournal } from "./journal.ts";
import type { Attachment } from "./port.ts";

/** A row of IPv4 alone, with another address if one is given. */
function four(address: string) {
  return [{ address, prefixLength: 26, gateway: "10.150.0.1", block: "10.150.0.0/26" }];
}

/** The same of IPv6. */
function six(address: string) {
  return [{ address, prefixLength: 64, gateway: "fd00:150::1", block: "fd00:150::/64" }];
}

const row: Attachment = {
  network: "pyroute2",
  containerId: "c1",
  ifname: "eth0",
  namespace: "default",
  pod: "web",
  podUid: "uid-1",
  domain: "blue",
  vrf: 200,
  allocations: four("10.150.0.2"),
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
      journal.insert({ ...row, containerId: `c${i}`, allocations: four(`10.150.0.${i}`) });
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

Deno.test("a file that was deleted is written anew with all rows before the next one, also with its directory", async (t) => {
  for (
    const [what, remove] of [
      ["the file", (file: string) => Deno.removeSync(file)],
      ["its directory", (file: string) => Deno.removeSync(join(file, ".."), { recursive: true })],
    ] as const
  ) {
    await t.step(what, () => {
      using directory = new Directory();
      const second = { ...row, containerId: "c2", allocations: four("10.150.0.3") };
      let told = 0;
      {
        using journal = openJournal(directory.file, { rewritten: () => told++ }).journal;
        journal.insert(row);
        journal.saveBlock({
          name: "b",
          vrf: 200,
          cidr: "10.150.0.0/26",
          uid: "u",
          releasing: false,
        });
        remove(directory.file);
        assert.deepEqual(journal.list(), [row], "what it knows is not lost");
        journal.insert(second);
        assert.equal(told, 1);
        assert.equal(mode(directory.file), 0o600);
        assert.throws(() => openJournal(directory.file), { code: "JournalUnavailable" });
      }
      using again = openJournal(directory.file).journal;
      assert.deepEqual(again.list(), [row, second]);
      assert.equal(again.blocks().length, 1);
      assert.deepEqual(
        [...Deno.readDirSync(join(directory.file, ".."))].map(({ name }) => name).sort(),
        ["journal.db", "journal.db-wal"],
      );
    });
  }
});

Deno.test("a write after the file was replaced fails, for it would not be found again", () => {
  using directory = new Directory();
  using journal = openJournal(directory.file).journal;
  journal.insert(row);
  Deno.removeSync(directory.file);
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
  assert.throws(() => journal.insert({ ...row, allocations: four("10.150.0.3") }), {
    code: "JournalUnavailable",
  });
  journal.insert({ ...row, containerId: "c2", vrf: 300 });
  assert.equal(journal.list().length, 2);
});

Deno.test("a row has addresses of either IP version or both, each once in its VRF, or it is not written at all", () => {
  using journal = openJournal(":memory:").journal;
  const both = { ...row, allocations: [...four("10.150.0.2"), ...six("fd00:150::2")] };
  journal.insert(both);
  for (
    const allocations of [
      [],
      six("fd00:150::2"),
      [...four("10.150.0.9"), ...six("fd00:150::2")],
      [...four("10.150.0.2"), ...six("fd00:150::9")],
    ]
  ) {
    assert.throws(() => journal.insert({ ...row, containerId: "c2", allocations }), {
      code: "JournalUnavailable",
    });
  }
  const other = { ...row, containerId: "c3", allocations: six("fd00:150::3") };
  journal.insert(other);
  assert.deepEqual(journal.list(), [both, other]);
});

/** The tables as version 1 had them, with a row and a block. */
const version1 = `
  CREATE TABLE attachments (
    network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,
    namespace TEXT NOT NULL, pod TEXT NOT NULL, pod_uid TEXT NOT NULL,
    domain TEXT NOT NULL, vrf INTEGER NOT NULL,
    address TEXT NOT NULL, prefix_length INTEGER NOT NULL, gateway TEXT NOT NULL, block TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'attached', 'releasing')),
    host_ifname TEXT NOT NULL, mac TEXT NOT NULL, netns_path TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (network, container_id, ifname),
    UNIQUE (vrf, address)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE blocks (
    name TEXT PRIMARY KEY, vrf INTEGER NOT NULL, cidr TEXT NOT NULL, uid TEXT NOT NULL,
    releasing INTEGER NOT NULL CHECK (releasing IN (0, 1))
  ) STRICT, WITHOUT ROWID;
  INSERT INTO attachments VALUES ('pyroute2', 'c1', 'eth0', 'default', 'web', 'uid-1', 'blue', 200, '10.150.0.2', 26,
    '10.150.0.1', '10.150.0.0/26', 'reserved', 'veth0', '', '/run/netns/x', 1);
  INSERT INTO blocks VALUES ('vrf-200-10-150-0-0-26', 200, '10.150.0.0/26', 'u', 0);
  PRAGMA user_version = 1;
`;

Deno.test("a journal of the first version keeps its rows, and takes those of both IP versions from then on", () => {
  using directory = new Directory();
  Deno.mkdirSync(join(directory.path, "sub"));
  const database = new DatabaseSync(directory.file);
  database.exec(version1);
  database.close();
  const added = {
    ...row,
    containerId: "c2",
    allocations: [...four("10.150.0.3"), ...six("fd00:150::3")],
  };
  {
    const { journal, recovered } = openJournal(directory.file, { recover: true });
    using _closed = journal;
    assert.equal(recovered, false);
    assert.deepEqual(journal.list(), [row]);
    assert.equal(journal.blocks().length, 1);
    assert.throws(() => journal.insert({ ...row, containerId: "c2" }), {
      code: "JournalUnavailable",
    });
    journal.insert(added);
  }
  using journal = openJournal(directory.file).journal;
  assert.deepEqual(journal.list(), [row, added]);
});

Deno.test("a first journal that cannot be brought to the present version stays as it is", () => {
  using directory = new Directory();
  Deno.mkdirSync(join(directory.path, "sub"));
  const database = new DatabaseSync(directory.file);
  database.exec(`${version1} CREATE TABLE attachments_1 (x) STRICT;`.replace("(x)", "(x TEXT)"));
  database.close();
  assert.throws(() => openJournal(directory.file), { code: "JournalUnavailable" });
  const again = new DatabaseSync(directory.file);
  assert.equal(again.prepare("SELECT count(*) AS n FROM attachments").get()?.["n"], 1);
  assert.equal(again.prepare("PRAGMA user_version").get()?.["user_version"], 1);
  again.close();
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

Deno.test("addresses that are kept are read again, and each has one keeper", () => {
  using directory = new Directory();
  const kept = { vrf: 200, address: "fd00::7", pod: "shop/web-0", ifname: "eth0", seconds: 60 };
  {
    using journal = openJournal(directory.file).journal;
    journal.saveKept({ ...kept, until: undefined });
    journal.saveKept({ ...kept, vrf: 300, until: 2 ** 41 });
  }
  using journal = openJournal(directory.file).journal;
  assert.deepEqual(journal.kept(), [
    { ...kept, until: undefined },
    { ...kept, vrf: 300, until: 2 ** 41 },
  ]);
  journal.saveKept({ ...kept, pod: "shop/web-1", until: 1 });
  journal.deleteKept(300, kept.address);
  journal.deleteKept(300, kept.address);
  assert.deepEqual(journal.kept(), [{ ...kept, pod: "shop/web-1", until: 1 }]);
});

Deno.test("a process that is killed loses no row that it reported, and a second daemon is locked out", async () => {
  using directory = new Directory();
  const script = `
    import { openJournal } from ${JSON.stringify(import.meta.resolve("./journal.ts"))};
    const { journal } = openJournal(${JSON.stringify(directory.file)});
    const row = ${JSON.stringify(row)};
    for (let i = 1; ; i++) {
      const [first] = row.allocations;
      const address = "10.150." + (i >> 8) + "." + (i & 255);
      journal.insert({ ...row, containerId: "c" + i, allocations: [{ ...first, address }] });
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
  try {
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const read = async () => {
      const { value, done } = await reader.read();
      said += value ?? "";
      return !done;
    };
    await read();
    assert.throws(() => openJournal(directory.file), {
      code: "JournalUnavailable",
      message: /locked/,
    });
    while (said.length <= 400 && await read());
    child.kill("SIGKILL");
    while (await read());
  } finally {
    await child[Symbol.asyncDispose]();
  }
  using journal = openJournal(directory.file).journal;
  const rows = new Set(journal.list().map(({ containerId }) => containerId));
  const reported = said.split("\n").slice(0, -1);
  assert.ok(reported.length > 50);
  for (const containerId of reported) assert.ok(rows.has(containerId), containerId);
});

Deno.test("rows are counted by VRF, and a VRF without any is not listed", () => {
  using journal = openJournal(":memory:").journal;
  assert.deepEqual([...journal.countByVrf()], []);
  for (const [index, vrf] of [200, 300, 200].entries()) {
    journal.insert({
      ...row,
      vrf,
      containerId: `c${index}`,
      allocations: four(`10.150.0.${index}`),
    });
  }
  assert.deepEqual([...journal.countByVrf()], [[200, 2], [300, 1]]);
  journal.delete({ ...row, containerId: "c1" });
  assert.deepEqual([...journal.countByVrf()], [[200, 2]]);
});

Deno.test("a container's rows are found by an index, also in a journal of an earlier release", () => {
  using directory = new Directory();
  const plan = () => {
    openJournal(directory.file).journal[Symbol.dispose]();
    const database = new DatabaseSync(directory.file);
    const rows = database.prepare(
      "EXPLAIN QUERY PLAN SELECT * FROM attachments WHERE container_id = 'c1'",
    ).all();
    const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
    database.exec("DROP INDEX attachments_by_container");
    database.close();
    return { version, plan: rows.map(({ detail }) => detail).join() };
  };
  const first = plan();
  assert.match(first.plan, /USING .*INDEX attachments_by_container/);
  assert.deepEqual(plan(), first);
});
