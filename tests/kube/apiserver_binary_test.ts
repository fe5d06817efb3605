import assert from "node:assert/strict";
import { join } from "node:path";
import { findKubeBinaries, type FindOptions } from "./apiserver_binary.ts";
import { cachedProgram } from "./program_build.ts";

interface World {
  readonly assets: string;
  readonly cacheDirectory: string;
  readonly lines: string[];
  find(options?: Partial<FindOptions>): ReturnType<typeof findKubeBinaries>;
}

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-" });
  const [assets, cacheDirectory] = [join(directory, "assets"), join(directory, "cache")];
  const lines: string[] = [];
  try {
    await executable(join(assets, "etcd"));
    await use({
      assets,
      cacheDirectory,
      lines,
      find: (options) =>
        findKubeBinaries({
          assets,
          cacheDirectory,
          go: null,
          report: (line) => lines.push(line),
          ...options,
        }),
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function executable(path: string, script = "exit 0"): Promise<string> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

Deno.test("without assets, cache and Go the reason names what would help", () =>
  withWorld(async ({ find }) => {
    const probe = await find({ assets: undefined });
    assert.ok(!probe.available);
    assert.match(probe.reason, /set KUBEBUILDER_ASSETS or install Go/);
  }));

Deno.test("a build that fails is a reason, with what Go said, and leaves nothing", () =>
  withWorld(async ({ find, cacheDirectory, assets }) => {
    const go = await executable(join(assets, "go"), 'echo "no such module" >&2; exit 1');
    const probe = await find({ go });
    assert.ok(!probe.available);
    assert.match(probe.reason, /could not be built: .*exit code 1: no such module/s);
    const left = await Array.fromAsync(Deno.readDir(join(cacheDirectory, "kube-apiserver")));
    assert.deepEqual(left.filter(({ isDirectory }) => isDirectory), []);
  }));

Deno.test("an aborted build throws the signal's reason", () =>
  withWorld(async ({ find, assets }) => {
    const go = await executable(join(assets, "go"), "sleep 600");
    const stop = new AbortController();
    const report = () => stop.abort(new Error("enough"));
    await assert.rejects(find({ go, signal: stop.signal, report }), /enough/);
  }));

Deno.test("assets come first, those without an executable are told of and passed over", () =>
  withWorld(async ({ find, assets, cacheDirectory, lines }) => {
    const cached = await executable(await cachedProgram("kube-apiserver", cacheDirectory));
    const etcd = join(assets, "etcd");
    const fromCache = await find();
    assert.deepEqual(fromCache, { available: true, binaries: { apiServer: cached, etcd } });
    assert.match(lines.join("\n"), /KUBEBUILDER_ASSETS is ".*", but ".*kube-apiserver"/);
    const apiServer = await executable(join(assets, "kube-apiserver"));
    assert.deepEqual(await find(), { available: true, binaries: { apiServer, etcd } });
  }));

Deno.test("what is not there is built once, whoever asks first", () =>
  withWorld(async ({ find, assets, cacheDirectory }) => {
    const built = join(assets, "built");
    const go = await executable(
      join(assets, "go"),
      `[ "$1" = build ] || exit 0
while [ "$1" != -o ]; do shift; done
echo once >> ${built}
echo '#!/bin/sh' > "$2"; chmod 755 "$2"`,
    );
    const path = await cachedProgram("kube-apiserver", cacheDirectory);
    for (const probe of await Promise.all([find({ go }), find({ go })])) {
      assert.ok(probe.available);
      assert.equal(probe.binaries.apiServer, path);
    }
    assert.equal(await Deno.readTextFile(built), "once\n");
  }));
