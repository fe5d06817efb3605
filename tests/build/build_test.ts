import assert from "node:assert/strict";
import { join } from "node:path";
import { build } from "../../build.ts";
import { bundleProgram, compileBundle, findDenort } from "../../build/compile.ts";
import { programs } from "../../build/program.ts";
import { wrapBundle } from "../../build/runtime.ts";

const root = join(import.meta.dirname ?? ".", "..", "..");
const decoder = new TextDecoder();
const plugin = programs.find((program) => program.name === "pyroute2-cni-plugin");
assert.ok(plugin);

/** Largest plugin in bytes: it is parsed for every pod. */
const pluginBundleLimit = 48 * 1024;

/** Largest share of the plugin in a compiled binary, in bytes: what it adds to that of an empty program. */
const pluginPayloadLimit = 64 * 1024;

/** A folder that goes with the test. */
function temporary(): Disposable & { readonly path: string } {
  const path = Deno.makeTempDirSync({ prefix: "pr2t-build-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

async function runVersion(path: string, cwd: string): Promise<Deno.CommandOutput> {
  const child = new Deno.Command(path, {
    clearEnv: true,
    env: { CNI_COMMAND: "VERSION" },
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode('{"cniVersion":"0.4.0"}'));
  await writer.close();
  return await child.output();
}

Deno.test("A base that is no denort is not trusted: the bundle is built instead and the reason told", async () => {
  using dir = temporary();
  const summary = await build({
    out: dir.path,
    only: plugin.name,
    denort: { path: Deno.execPath(), cached: false },
    progress: () => {},
  });
  assert.deepEqual(summary.artefacts.map((made) => made.kind), ["bundle"]);
  assert.match(summary.note ?? "", /is no denort/);
});

Deno.test("The bundled plugin runs without PATH and HOME in any folder, says nothing more and writes no cache", async () => {
  using dir = temporary();
  const lines: string[] = [];
  const summary = await build({
    out: dir.path,
    only: plugin.name,
    progress: (line) => lines.push(line),
  });
  assert.deepEqual(lines, ["building pyroute2-cni-plugin"]);
  assert.match(summary.note ?? "", /no denort/);
  const path = join(dir.path, plugin.name);
  for (const cwd of ["/", dir.path]) {
    const { code, stdout, stderr } = await runVersion(path, cwd);
    assert.equal(decoder.decode(stderr), "");
    assert.equal(code, 0);
    assert.equal(JSON.parse(decoder.decode(stdout)).cniVersion, "0.4.0");
  }
  const names = [...Deno.readDirSync(dir.path)].map((entry) => entry.name).sort();
  assert.deepEqual(names, [".build.json", "deno", "licenses.txt", plugin.name, "sbom.cdx.json"]);
});

Deno.test("The bundled plugin runs by a link in another folder and after its own folder was moved", async () => {
  using dir = temporary();
  const [made, moved] = [join(dir.path, "made"), join(dir.path, "moved to")];
  await build({ out: made, only: plugin.name, progress: () => {} });
  const link = join(dir.path, "link");
  await Deno.symlink(join(made, plugin.name), link);
  assert.equal((await runVersion(link, "/")).code, 0);
  await Deno.rename(made, moved);
  assert.equal((await runVersion(join(moved, plugin.name), "/")).code, 0);
});

Deno.test("A program that is a script runs by a link, by a relative path and elsewhere, and its errors name its own lines", async () => {
  using dir = temporary();
  const daemon = programs.find((program) => program.form === "script");
  assert.ok(daemon);
  await build({ out: dir.path, only: daemon.name, progress: () => {} });
  const run = async (command: string, cwd: string, ...args: string[]) => {
    const env = { NO_COLOR: "1" };
    const options = { args, cwd, env, clearEnv: true, stdin: "null" } as const;
    const { code, stdout, stderr } = await new Deno.Command(command, options).output();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  };
  const moved = join(dir.path, "moved to");
  await Deno.mkdir(moved);
  for (const name of [daemon.name, "deno"]) {
    await Deno.rename(join(dir.path, name), join(moved, name));
  }
  const link = join(dir.path, "link");
  await Deno.symlink(join(moved, daemon.name), link);
  await Deno.symlink(join(moved, "deno"), join(dir.path, "deno"));
  for (const command of [link, `./${daemon.name}`]) {
    const { code, stdout, stderr } = await run(command, moved, "version", "--json");
    assert.deepEqual([code, stderr], [0, ""]);
    assert.equal(JSON.parse(stdout).runtime, `deno ${Deno.version.deno}`);
  }
  assert.equal((await run(link, "/", "nothing")).code, 2);
  // A throw in place of the last line, which the starter reads as any other.
  const text = await Deno.readTextFile(join(moved, daemon.name));
  const lines = text.trimEnd().split("\n").length;
  await Deno.writeTextFile(join(moved, daemon.name), `${text.trimEnd()}\nthrow new Error("x");`);
  assert.match((await run(link, "/")).stderr, RegExp(`/link:${lines + 1}:7`));
});

Deno.test("What V8 alone reads is ASCII: one other character doubles what its text takes", async () => {
  using dir = temporary();
  const daemon = programs.find((program) => program.form === "script");
  assert.ok(daemon);
  const bundle = await bundleProgram(daemon, join(dir.path, "bundle"), daemon.form);
  const wrapped = await wrapBundle(daemon, bundle, dir.path, dir.path);
  assert.match(await Deno.readTextFile(bundle), /[^\0-\x7f]/);
  assert.doesNotMatch(await Deno.readTextFile(wrapped), /[^\0-\x7f]/);
});

Deno.test("A second build does nothing, one after damage builds again", async () => {
  using dir = temporary();
  const options = { out: dir.path, only: plugin.name, progress: () => {} };
  assert.equal((await build(options)).unchanged, false);
  assert.equal((await build(options)).unchanged, true);
  await Deno.writeTextFile(join(dir.path, plugin.name), "");
  assert.equal((await build(options)).unchanged, false);
  await Deno.remove(join(dir.path, "deno"));
  assert.equal((await build(options)).unchanged, false);
  await Deno.writeTextFile(join(dir.path, ".build.json"), "damaged");
  assert.equal((await build(options)).unchanged, false);
  assert.equal((await runVersion(join(dir.path, plugin.name), "/")).code, 0);
});

Deno.test("The plugin's bundle and its share of a compiled binary stay tiny", async () => {
  using dir = temporary();
  const bundle = await bundleProgram(plugin, join(dir.path, "plugin.js"), "module");
  const { size } = await Deno.stat(bundle);
  assert.ok(size <= pluginBundleLimit, `The bundle has ${size} bytes`);

  // Without denort any executable serves as base: what is added to it is the same.
  const base = { path: Deno.execPath(), cached: false };
  const empty = join(dir.path, "empty.js");
  await Deno.writeTextFile(empty, "");
  const sizes = [];
  for (const entry of [bundle, empty]) {
    const compiled = await compileBundle(plugin, entry, `${entry}.bin`, base);
    sizes.push((await Deno.stat(compiled)).size);
    await Deno.remove(compiled);
  }
  const [whole = 0, without = 0] = sizes;
  assert.ok(whole - without > 0);
  assert.ok(whole - without <= pluginPayloadLimit, `The payload has ${whole - without} bytes`);
});

Deno.test("The plugin imports nothing but its own files of lib", async () => {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", join(root, "plugin.ts")],
  }).output();
  const graph: { modules: readonly { specifier: string }[] } = JSON.parse(decoder.decode(stdout));
  const names = graph.modules.map((module) => module.specifier.replace(`file://${root}/`, ""));
  assert.ok(names.length > 5);
  for (const name of names) assert.match(name, /^(plugin\.ts|lib\/[a-z_/]+\.ts)$/);
});

Deno.test("The base for compiled binaries is the one named, or the one in Deno's cache", async () => {
  using dir = temporary();
  assert.equal(findDenort(undefined, undefined), undefined);
  assert.equal(findDenort("", dir.path), undefined);
  assert.deepEqual(findDenort("/x/denort", dir.path), { path: "/x/denort", cached: false });
  const folder = join(dir.path, "dl", "release", `v${Deno.version.deno}`);
  const path = join(folder, `denort-${Deno.build.target}.zip`);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, "");
  assert.deepEqual(findDenort(undefined, dir.path), { path, cached: true });
});
