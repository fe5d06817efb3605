/** `pyroute2-cni install` and `uninstall` as built, below another root: files, and what systemd says of the units. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { z } from "zod";
import { repository } from "../lab/options.ts";
import { executeRaw, until } from "../lab/process.ts";
import { differences, readTree } from "./tree.ts";

const program = `${repository}/dist/pyroute2-cni`;

const reportSchema = z.object({
  changed: z.boolean(),
  dryRun: z.boolean(),
  changes: z.array(z.object({ action: z.string(), what: z.string() })),
  notes: z.array(z.string()),
  next: z.array(z.string()),
});

/** A root with FRR's files in it, as Debian has them. */
async function makeRoot(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir({ prefix: "pr2t-root-" });
  await Deno.mkdir(`${path}/etc/frr`, { recursive: true });
  await Deno.writeTextFile(`${path}/etc/frr/daemons`, 'bgpd=no\nzebra_options="-A ::1"\n');
  await Deno.writeTextFile(`${path}/etc/frr/frr.conf`, "hostname before\n");
  await Deno.chown(`${path}/etc/frr/daemons`, 101, 102);
  await Deno.chmod(`${path}/etc/frr/daemons`, 0o640);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function run(...words: readonly string[]): Promise<z.infer<typeof reportSchema>> {
  const { code, stdout, stderr } = await executeRaw([program, ...words, "--json"]);
  assert.equal(code, 0, stderr);
  return reportSchema.parse(JSON.parse(stdout));
}

async function refused(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await executeRaw([program, ...words]);
  assert.ok(code === 1 || code === 2, `${code} ${stdout}`);
  assert.equal(stdout, "");
  return stderr;
}

const withApi = (root: string) => ["install", "--systemd", "--api", "192.0.2.11", "--root", root];
const backend = (name: string) => ["--vrf-backend", name];

Deno.test("what cannot be done is told as a sentence, and changes nothing", async () => {
  await using root = await makeRoot();
  const { path } = root;
  const before = await readTree(path);
  const install = ["install", "--systemd", "--root", path, ...backend("netns")];
  for (
    const [words, message] of [
      [[
        "install",
        "--systemd",
        "--root",
        `${path}/none`,
        "--api",
        "192.0.2.1",
        ...backend("netns"),
      ], /none/],
      [[...install, "--unknown"], /unknown/i],
      [[...install, "--api", "nowhere"], /IP address/],
      [[...install, "--kubeconfig", `${path}/none`], /Expected a kubeconfig/],
      [[...install, "--kubeconfig", "/etc/passwd"], /whole kubeconfig/],
      [[...install, "--api", "192.0.2.1", "--from", path], /pyroute2-cni/],
      [["uninstall", "--root", path, "--unknown"], /unknown/i],
    ] as const
  ) {
    assert.match(await refused(...words), message);
  }
  await Deno.mkdir(`${path}/etc/pyroute2-cni`);
  await Deno.writeTextFile(`${path}/etc/pyroute2-cni/server.ini`, "[default]\nvrff = 1\n");
  assert.match(await refused(...install, "--api", "192.0.2.1"), /"default.vrff".*ConfigInvalid/);
  await Deno.remove(`${path}/etc/pyroute2-cni`, { recursive: true });
  await run(...withApi(path), ...backend("netns"), "--dry-run");
  assert.deepEqual(differences(before, await readTree(path)), []);
});

Deno.test("an installation that is interrupted ends with an error, not as if it were done", async () => {
  await using root = await makeRoot();
  const { path } = root;
  // A program that never answers holds it up at a place that is known.
  const from = `${path}/from`;
  await Deno.mkdir(from);
  const waits = `${path}/waits`;
  const script = `#!/bin/sh\n: > ${waits}; exec sleep 600\n`;
  for (const name of ["pyroute2-cni", "pyroute2-cni-plugin"]) {
    await Deno.writeTextFile(`${from}/${name}`, script, { mode: 0o755 });
  }
  const child = new Deno.Command(program, {
    args: [...withApi(path), ...backend("netns"), "--from", from],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await until(
    "the program to be asked",
    60,
    async () => await Deno.stat(waits).then(() => true, () => undefined),
  );
  child.kill("SIGINT");
  const { code, stdout, stderr } = await child.output();
  assert.equal(code, 1);
  assert.equal(stdout.length, 0);
  assert.match(new TextDecoder().decode(stderr), /Stopped by SIGINT \(Stopped\)/);
});

Deno.test("a second installation changes nothing, and a removal gives everything back", async () => {
  await using root = await makeRoot();
  const { path } = root;
  const before = await readTree(path);
  const planned = await run(...withApi(path), ...backend("netns"), "--dry-run");
  const first = await run(...withApi(path), ...backend("netns"));
  assert.deepEqual(first.changes, planned.changes);
  assert.match(first.next.join(), /systemctl --root=.* enable frr.service pyroute2-cni-apiserver/);
  const installed = await readTree(path);
  assert.match(installed.get("etc/pyroute2-cni") ?? "", /^directory 700 /);
  assert.match(installed.get("etc/pyroute2-cni/server.ini") ?? "", /^file 600 /);
  assert.match(installed.get("etc/frr/daemons") ?? "", /^file 640 101:102 /);
  assert.match(await Deno.readTextFile(`${path}/etc/frr/daemons`), /^bgpd=yes$/m);
  const second = await run(...withApi(path), ...backend("netns"));
  assert.deepEqual([second.changed, second.changes], [false, []]);
  assert.deepEqual(differences(installed, await readTree(path)), []);
  const { stdout } = await executeRaw([program, ...withApi(path), ...backend("netns")]);
  assert.equal(stdout, "Nothing to change\n");
  const would = await run("uninstall", "--root", path, "--dry-run");
  assert.deepEqual(differences(installed, await readTree(path)), []);
  const removed = await run("uninstall", "--root", path);
  assert.ok(removed.changes.length >= would.changes.length);
  assert.deepEqual(differences(before, await readTree(path)), []);
  assert.equal((await run("uninstall", "--root", path)).changed, false);
});

Deno.test("an upgrade replaces programs and units, keeps an edited server.ini, and needs no options", async () => {
  await using root = await makeRoot();
  const { path } = root;
  await run(...withApi(path), ...backend("device"));
  const ini = `${path}/etc/pyroute2-cni/server.ini`;
  const edited = (await Deno.readTextFile(ini)).replace("#asn = 65000", "asn = 65001");
  await Deno.writeTextFile(ini, edited);
  const old = `${path}/usr/local/lib/pyroute2-cni/pyroute2-cni`;
  await Deno.writeTextFile(old, "#!/bin/sh\n", { mode: 0o755 });
  await Deno.chmod(`${path}/etc/pyroute2-cni`, 0o755);
  const unit = `${path}/etc/systemd/system/pyroute2-cni-daemon.service`;
  await Deno.writeTextFile(unit, "[Service]\n");
  const upgrade = ["install", "--systemd", "--root", path, ...backend("netns")];
  const { changes, notes } = await run(...upgrade);
  const below = (what: string) => what.slice(path.length);
  assert.deepEqual(changes.map(({ action, what }) => `${action} ${below(what)}`), [
    "replace /etc/pyroute2-cni",
    "replace /usr/local/lib/pyroute2-cni/pyroute2-cni",
    "create /etc/pyroute2-cni/server.ini.new",
    "replace /etc/systemd/system/pyroute2-cni-daemon.service",
    "replace /var/lib/pyroute2-cni/install.json",
  ]);
  assert.match(notes.join(), /was edited and is kept/);
  assert.equal(await Deno.readTextFile(ini), edited);
  assert.equal((await run(...upgrade)).changed, false);
});

Deno.test("data stays when asked for, and the next installation takes it up", async () => {
  await using root = await makeRoot();
  const { path } = root;
  const kubeconfig = `${path}/given`;
  await Deno.writeTextFile(
    kubeconfig,
    'current-context: x\nclusters: [{name: x, cluster: {server: "https://192.0.2.1:6443"}}]\n' +
      "contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {token: t}}]\n",
  );
  const install = ["install", "--systemd", "--root", path, ...backend("netns")];
  await run(...install, "--kubeconfig", kubeconfig, "--node-name", "node-b");
  assert.equal(((await Deno.stat(`${path}/etc/pyroute2-cni/kubeconfig`)).mode ?? 0) & 0o777, 0o600);
  await assert.rejects(Deno.stat(`${path}/etc/systemd/system/pyroute2-cni-apiserver.service`));
  await assert.rejects(Deno.stat(`${path}/etc/cni/net.d/05-pyroute2.conflist`));
  assert.match(await refused(...install, "--api", "192.0.2.11"), /uninstall it first/);
  await run("uninstall", "--root", path, "--keep-data");
  const names = [...Deno.readDirSync(`${path}/etc/pyroute2-cni`)].map(({ name }) => name);
  assert.deepEqual(names.toSorted(), ["kubeconfig", "server.ini"]);
  const again = await run(...install, "--kubeconfig", `${path}/etc/pyroute2-cni/kubeconfig`);
  assert.match(await Deno.readTextFile(`${path}/etc/pyroute2-cni/server.ini`), /^name = node-b$/m);
  assert.deepEqual(again.notes, []);
});

/** Runs a command where this root's programs and units stand among the host's. */
async function amongHosts(root: string, ...command: readonly string[]) {
  const mounts = ["/usr/local", "/etc/systemd"].map((path) =>
    `mount -t overlay overlay -o lowerdir=${root}${path}:${path} ${path}`
  );
  const script = `${mounts.join(" && ")} && exec "$@"`;
  return await executeRaw(["unshare", "--mount", "sh", "-c", script, "sh", ...command]);
}

/** Highest exposure that systemd 252 gives, see docs/security.md. */
const exposures = { apiserver: 1.3, "frr-agent": 2.3, daemon: { netns: 4.6, device: 3.2 } };

for (const kind of ["netns", "device"] as const) {
  Deno.test(`systemd finds nothing wrong with the units (${kind}), and their exposure is not more than is written down`, async () => {
    await using root = await makeRoot();
    await run(...withApi(root.path), ...backend(kind));
    const names = ["apiserver", "frr-agent", "daemon"] as const;
    const units = names.map((name) => `pyroute2-cni-${name}.service`);
    const verified = await amongHosts(root.path, "systemd-analyze", "verify", ...units);
    assert.deepEqual([verified.code, verified.stdout, verified.stderr], [0, "", ""]);
    for (const name of names) {
      const path = join(root.path, `etc/systemd/system/pyroute2-cni-${name}.service`);
      const { stdout } = await executeRaw(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
      );
      const found = Number(/Overall exposure level for \S+: (\d+\.\d+)/.exec(stdout)?.[1] ?? NaN);
      const most = name === "daemon" ? exposures.daemon[kind] : exposures[name];
      assert.ok(found <= most, `${name}: ${found}`);
    }
  });
}
