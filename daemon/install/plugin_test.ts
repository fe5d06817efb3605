import assert from "node:assert/strict";
import { join } from "node:path";
import { supportedVersions } from "../../lib/cni/version.ts";
import { InstallError } from "./errors.ts";
import { launcherLines } from "./launcher.ts";
import { installPlugin } from "./plugin.ts";
import { verifyProgram } from "./programs.ts";
import { fileDiffers, putFile } from "./put_file.ts";
import { runProgram } from "./run_program.ts";

const signal = new AbortController().signal;

/** Folders that go with the test: one with programs, one as the node's. */
async function folders(): Promise<AsyncDisposable & { from: string; directory: string }> {
  const path = await Deno.makeTempDir({ prefix: "pr2t-install-" });
  const [from, directory] = [join(path, "from"), join(path, "bin")];
  await Deno.mkdir(from);
  await Deno.mkdir(directory);
  return {
    from,
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A program that answers as the plugin does; `size` pads it, so that half of it can be seen. */
function answering(mark: string, size = 0): string {
  const answer = JSON.stringify({ cniVersion: "1.0.0", supportedVersions });
  const padding = `# ${mark.repeat(80)}\n`.repeat(Math.ceil(size / 83));
  return `#!/bin/sh\n${padding}echo '${answer}' # ${mark}\n`;
}

async function writePlugin(from: string, text: string): Promise<void> {
  await Deno.writeTextFile(join(from, "pyroute2-cni-plugin"), text, { mode: 0o755 });
}

async function refusal(from: string, directory: string): Promise<InstallError> {
  try {
    await installPlugin({ from, directory, dryRun: false, signal });
  } catch (thrown) {
    if (thrown instanceof InstallError) return thrown;
    throw thrown;
  }
  throw new Error("It was not refused");
}

Deno.test("a folder that is missing, or is none, is named, and nothing is made", async () => {
  await using place = await folders();
  const { from } = place;
  await writePlugin(from, answering("a"));
  const missing = join(place.directory, "not", "mounted");
  const error = await refusal(from, missing);
  assert.equal(error.code, "DirectoryUnusable");
  assert.match(error.message, /not\/mounted.*create or mount it/);
  await assert.rejects(Deno.stat(missing), Deno.errors.NotFound);
  assert.equal((await refusal(from, join(from, "pyroute2-cni-plugin"))).code, "DirectoryUnusable");
});

Deno.test("a folder that is mounted read-only is told, and what stood there still stands", async () => {
  await using place = await folders();
  const { from, directory } = place;
  await writePlugin(from, answering("a"));
  await writePlugin(directory, answering("b"));
  const script = `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" run -A "$3"`;
  const module = join(place.from, "try.ts");
  await Deno.writeTextFile(
    module,
    `import { installPlugin } from ${JSON.stringify(import.meta.resolve("./plugin.ts"))};
    try {
      await installPlugin({ from: ${JSON.stringify(from)}, directory: ${
      JSON.stringify(directory)
    }, dryRun: false, signal: new AbortController().signal });
    } catch (error) { console.log(error.code, error.message); }`,
  );
  const { stdout } = await runProgram("/usr/bin/unshare", {
    args: ["--mount", "sh", "-c", script, "sh", directory, Deno.execPath(), module],
    signal,
  });
  assert.match(stdout, /^DirectoryUnusable .*Read-only file system.*mount the directory writable/);
  assert.equal(
    await Deno.readTextFile(join(directory, "pyroute2-cni-plugin")),
    answering("b"),
  );
  assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), [
    "pyroute2-cni-plugin",
  ]);
});

Deno.test("a program that does not answer as the plugin never takes its place", async () => {
  await using place = await folders();
  const { from, directory } = place;
  await writePlugin(directory, answering("old"));
  for (const text of ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "\x7fELF", ""]) {
    await writePlugin(from, text);
    const error = await refusal(from, directory);
    assert.equal(error.code, "ProgramBroken", text);
    assert.equal(
      await Deno.readTextFile(join(directory, "pyroute2-cni-plugin")),
      answering("old"),
    );
  }
  assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), [
    "pyroute2-cni-plugin",
  ]);
});

Deno.test("a program that says nothing at all is given up", async () => {
  await using place = await folders();
  const path = join(place.from, "silent");
  await Deno.writeTextFile(path, "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
  const name = "pyroute2-cni-plugin";
  await assert.rejects(
    verifyProgram({ name, path }, signal, 50),
    (error) => error instanceof InstallError && /silent/.test(error.message),
  );
});

Deno.test("without a program, or a bundle's runtime, it says which file is missing", async () => {
  await using place = await folders();
  const { from, directory } = place;
  assert.match((await refusal(from, directory)).message, /from\/pyroute2-cni-plugin/);
  await writePlugin(from, launcherLines([], from));
  const error = await refusal(from, directory);
  assert.equal(error.code, "ProgramsMissing");
  assert.match(error.message, /from\/deno/);
});

Deno.test("it changes what differs, by content or mode, and a second time nothing", async () => {
  await using place = await folders();
  const { from, directory } = place;
  const path = join(directory, "pyroute2-cni-plugin");
  const options = { from, directory, dryRun: false, signal };
  await writePlugin(from, answering("a"));
  assert.deepEqual(await installPlugin({ ...options, dryRun: true }), [{
    action: "create",
    what: path,
  }]);
  assert.deepEqual([...Deno.readDirSync(directory)], []);
  assert.deepEqual(await installPlugin(options), [{ action: "create", what: path }]);
  assert.deepEqual(await installPlugin(options), []);
  await writePlugin(from, answering("b"));
  assert.deepEqual(await installPlugin(options), [{ action: "replace", what: path }]);
  await Deno.chmod(path, 0o700);
  assert.deepEqual(await installPlugin(options), [{ action: "replace", what: path }]);
  assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o755);
});

Deno.test("a link to another file is replaced, and that file is left as it is", async () => {
  await using place = await folders();
  const { from, directory } = place;
  await writePlugin(from, answering("new"));
  await Deno.writeTextFile(join(from, "precious"), answering("new"));
  await Deno.symlink(join(from, "precious"), join(directory, "pyroute2-cni-plugin"));
  await installPlugin({ from, directory, dryRun: false, signal });
  assert.ok((await Deno.lstat(join(directory, "pyroute2-cni-plugin"))).isFile);
  assert.equal(await Deno.readTextFile(join(from, "precious")), answering("new"));
});

Deno.test("executions during 200 replacements all get a whole program, the old one or the new", async () => {
  await using place = await folders();
  const { from, directory } = place;
  const path = join(directory, "pyroute2-cni-plugin");
  const options = { from, directory, dryRun: false, signal };
  await writePlugin(from, answering("a", 40_000));
  await installPlugin(options);
  // Processes of their own: a child of this one could hold the draft open for writing while the other executes it.
  const stop = join(from, "stop");
  const executors = [1, 2].map(() =>
    runProgram("/bin/sh", { args: ["-c", executeUntil, "sh", path, stop], signal })
  );
  try {
    for (let round = 0; round < 200; round++) {
      await writePlugin(from, answering(round % 2 === 0 ? "b" : "a", 40_000));
      assert.equal((await installPlugin(options)).length, 1);
    }
  } finally {
    await Deno.writeTextFile(stop, "");
  }
  for (const { code, stdout, stderr } of await Promise.all(executors)) {
    assert.equal(code, 0, stdout + stderr);
    assert.ok(Number(stdout) > 0, stdout);
  }
});

/** Executes "$1" until "$2" exists; fails unless each time the answer, which is its last line, is there. */
const executeUntil = `
n=0
while [ ! -e "$2" ]; do
  out=$("$1") || exit 1
  case "$out" in *supportedVersions*) ;; *) echo "half a file: $out"; exit 1 ;; esac
  n=$((n + 1))
done
echo $n`;

Deno.test("a draft that is open for writing is executed once it is closed", async () => {
  await using place = await folders();
  const path = join(place.directory, "busy");
  await Deno.copyFile("/bin/true", path);
  await Deno.chmod(path, 0o755);
  const writer = await Deno.open(path, { write: true });
  let attempts = 0;
  const { code } = await runProgram(path, {
    signal,
    onBusy: () => {
      if (++attempts === 3) writer.close();
    },
  });
  assert.equal(code, 0);
  assert.equal(attempts, 3);
});

Deno.test("a file's owner and mode hold from the first moment on, and drafts of killed runs go", async () => {
  await using place = await folders();
  const path = join(place.directory, "secret");
  const abandoned = join(place.directory, ".secret.new-1");
  const recent = join(place.directory, ".secret.new-2");
  await Deno.writeTextFile(abandoned, "");
  await Deno.utime(abandoned, 0, 0);
  await Deno.writeTextFile(recent, "");
  const wish = { path, mode: 0o640, owner: { uid: 12, gid: 34 }, content: "text" };
  let draftMode = 0;
  await putFile({
    ...wish,
    verify: async (draft) => {
      draftMode = ((await Deno.stat(draft)).mode ?? 0) & 0o777;
    },
  });
  assert.equal(draftMode, 0o640);
  const { uid, gid } = await Deno.stat(path);
  assert.deepEqual([uid, gid], [12, 34]);
  assert.equal(await fileDiffers(wish), false);
  assert.equal(await fileDiffers({ ...wish, owner: { uid: 0, gid: 34 } }), true);
  assert.equal(await fileDiffers({ ...wish, content: "texd" }), true);
  // Another run may be writing the recent one.
  assert.deepEqual(
    [...Deno.readDirSync(place.directory)].map(({ name }) => name).toSorted(),
    [".secret.new-2", "secret"],
  );
});
