import assert from "node:assert/strict";
import { keepConflist, networkName, removeConflists, renderConflist } from "./conflist.ts";

/** A runtime's folder. */
class Folder implements Disposable {
  readonly path = `${Deno.makeTempDirSync({ prefix: "pr2t-" })}/net.d`;

  names(): string[] {
    return [...Deno.readDirSync(this.path)].map(({ name }) => name).sort();
  }

  read(name: string): string {
    return Deno.readTextFileSync(`${this.path}/${name}`);
  }

  write(name: string, text: string): void {
    Deno.mkdirSync(this.path, { recursive: true });
    Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(`${this.path}/..`, { recursive: true });
  }
}

const text = renderConflist({ plugins: [{ type: "pyroute2-cni-plugin" }] });
const foreign = '{"cniVersion":"1.0.0","name":"other","plugins":[]}';

Deno.test("a file of somebody else's is neither replaced nor removed", async () => {
  for (const content of [foreign, "", "{", "null", "[]", '"cni.pyroute2.org/managed-by"']) {
    using folder = new Folder();
    folder.write("05-a.conflist", content);
    await assert.rejects(keepConflist(folder.path, "05-a.conflist", text), { code: "FileTaken" });
    assert.equal(await removeConflists(folder.path), false);
    assert.deepEqual(folder.names(), ["05-a.conflist"]);
    assert.equal(folder.read("05-a.conflist"), content);
  }
});

Deno.test("a link is not followed", async () => {
  using folder = new Folder();
  folder.write("target", text);
  Deno.symlinkSync(`${folder.path}/target`, `${folder.path}/05-a.conflist`);
  await assert.rejects(keepConflist(folder.path, "05-a.conflist", "{}"), { code: "FileTaken" });
  assert.equal(folder.read("target"), text);
});

Deno.test("the list is written with mode 0644 whatever the umask, and only where it differs", async () => {
  using folder = new Folder();
  assert.equal(await keepConflist(folder.path, "05-a.conflist", text), true);
  assert.deepEqual(folder.names(), ["05-a.conflist"]);
  const path = `${folder.path}/05-a.conflist`;
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o644);
  const { ino } = Deno.statSync(path);
  assert.equal(await keepConflist(folder.path, "05-a.conflist", text), false);
  assert.equal(Deno.statSync(path).ino, ino);
  Deno.chmodSync(path, 0o600);
  assert.equal(await keepConflist(folder.path, "05-a.conflist", text), true);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o644);
});

Deno.test("under a new name the list is there before the old one goes; others' files stay", async () => {
  using folder = new Folder();
  await keepConflist(folder.path, "05-a.conflist", text);
  folder.write("10-other.conflist", foreign);
  folder.write("20-copy.conf", text);
  folder.write(".pyroute2-00000000-0000-4000-8000-000000000000.tmp", "{");
  assert.equal(await keepConflist(folder.path, "01-b.conflist", text), true);
  assert.deepEqual(folder.names(), ["01-b.conflist", "10-other.conflist", "20-copy.conf"]);
  assert.equal(await removeConflists(folder.path), true);
  assert.deepEqual(folder.names(), ["10-other.conflist", "20-copy.conf"]);
});

Deno.test("where a new name is taken, the list under the old one stays", async () => {
  using folder = new Folder();
  await keepConflist(folder.path, "05-a.conflist", text);
  folder.write("01-b.conflist", foreign);
  await assert.rejects(keepConflist(folder.path, "01-b.conflist", text), { code: "FileTaken" });
  assert.deepEqual(folder.names(), ["01-b.conflist", "05-a.conflist"]);
});

Deno.test("a reader sees the old list or the new one, never a part", async () => {
  using folder = new Folder();
  const texts = [1, 2].map((count) =>
    renderConflist({ plugins: Array.from({ length: count * 500 }, () => ({ type: "portmap" })) })
  );
  await keepConflist(folder.path, "05-a.conflist", texts[0] ?? "");
  let done = false;
  const reader = (async () => {
    while (!done) {
      assert.ok(texts.includes(await Deno.readTextFile(`${folder.path}/05-a.conflist`)));
    }
  })();
  for (let round = 0; round < 100; round++) {
    await keepConflist(folder.path, "05-a.conflist", texts[round % 2] ?? "");
  }
  done = true;
  await reader;
});

Deno.test("an absent folder holds no lists, and is made for one", async () => {
  using folder = new Folder();
  assert.equal(await removeConflists(folder.path), false);
  await keepConflist(folder.path, "05-a.conflist", text);
  const list = JSON.parse(folder.read("05-a.conflist"));
  assert.equal(list.name, networkName);
  assert.equal(list.cniVersion, "1.0.0");
  assert.deepEqual(list.plugins, [{ type: "pyroute2-cni-plugin" }]);
});

Deno.test("no name leads out of the folder, whoever let it pass", async () => {
  const folder = await Deno.makeTempDir({ prefix: "pr2t-" });
  try {
    const names = ["../a.conflist", "/etc/a.conflist", "a/b.conflist", "..", "", ".a.conflist"];
    for (const name of [...names, "a\0.conflist", "a\n.conflist", `${"a".repeat(250)}.conflist`]) {
      const writing = keepConflist(`${folder}/net.d`, name, renderConflist({ plugins: [] }));
      await assert.rejects(writing, { code: "FileNameInvalid" }, JSON.stringify(name));
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
