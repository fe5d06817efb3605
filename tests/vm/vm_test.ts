import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDirectory } from "./cache_directory.ts";
import { runInGuest } from "./guest.ts";
import { GuestError } from "./guest_error.ts";
import { makeRunDirectory } from "./run_directory.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** What one boot of the guest is asked; each line of output is `name=value`. */
const QUESTIONS = String.raw`
set -u
say() { echo "$1=$2"; }
say kernel "$(uname -r)"
ip link add vrf-200 type vrf table 2200 && say vrf "$(ip -o -d link show vrf-200 | grep -o 'vrf table 2200')"
say strict "$(cat /proc/sys/net/vrf/strict_mode)"
ip link add vx-1 type vxlan id 1 dstport 4789 && ip link add br-1 type bridge && ip link set vx-1 master br-1 &&
  ip link add d-1 type dummy && ip link add v-1 type veth peer name v-2 && say links made
say lo "$(ip -o -4 address show lo | grep -o 127.0.0.1/8)"
nft -f - <<'X' && say nft accepted
table inet t {
  chain nat { type nat hook postrouting priority srcnat; ip saddr 10.0.0.0/8 masquerade; }
  chain marks { type filter hook prerouting priority mangle; ct mark set 200; meta mark set ct mark; }
}
X
ip netns add pr2t-a && say netns "$(ip netns exec pr2t-a ip -o link | wc -l)"
say varrun "$(readlink -f /var/run/netns)"
say propagation "$(findmnt -n -o PROPAGATION /)"
say cwd "$(pwd)"
say env "$GREETING"
echo overwritten >"$VICTIM" && say victim "$(cat "$VICTIM")"
say hidden "$([ -e "$UNSEEN" ] && echo 1 || echo 0)"
sleep 1000 &
(setsid sleep 2000 &)
echo to-stderr >&2
exit 42
`;

Deno.test("A guest runs a command with the vrf link type, streams its output and gives its exit code", async () => {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-vm-test-" });
  try {
    const victim = join(directory, "victim");
    // Beside what is exposed: of the host's /tmp the guest sees nothing else.
    const unseen = `${directory}-unseen`;
    await Deno.mkdir(unseen);
    await Deno.writeTextFile(victim, "original\n");
    const output = { stdout: "", stderr: "" };
    const result = await runInGuest({
      command: ["sh", "-c", QUESTIONS],
      env: { GREETING: 'it\'s "quoted" $HOME', VICTIM: victim, UNSEEN: unseen },
      cwd: HERE,
      expose: [directory],
      signal: new AbortController().signal,
      timeoutMs: 120_000,
      report: (line) => console.log(line),
      onOutput: (chunk, stream) => output[stream] += new TextDecoder().decode(chunk),
    });
    assert.equal(result.exitCode, 42, output.stderr);
    assert.equal(output.stderr, "to-stderr\n");
    const answers = new Map(
      output.stdout.trim().split("\n").map((line) => {
        const [name = "", ...value] = line.split("=");
        return [name, value.join("=")];
      }),
    );
    assert.match(answers.get("kernel") ?? "", /-cloud-amd64$/);
    answers.delete("kernel");
    assert.deepEqual(Object.fromEntries(answers), {
      vrf: "vrf table 2200",
      strict: "0",
      links: "made",
      lo: "127.0.0.1/8",
      nft: "accepted",
      netns: "1",
      varrun: "/run/netns",
      propagation: "shared",
      cwd: HERE.replace(/\/$/, ""),
      env: 'it\'s "quoted" $HOME',
      victim: "overwritten",
      hidden: "0",
    });
    assert.equal(await Deno.readTextFile(victim), "original\n");
  } finally {
    await Deno.remove(`${directory}-unseen`, { recursive: true });
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Aborting ends the guest's processes and removes its files", async () => {
  const abort = new AbortController();
  const before = await guestFiles();
  const outcome = runInGuest({
    command: ["sh", "-c", "echo started; sleep 1000"],
    signal: abort.signal,
    timeoutMs: 120_000,
    onOutput: () => abort.abort(new Error("no longer wanted")),
  });
  await assert.rejects(outcome, /no longer wanted/);
  assert.deepEqual(await guestFiles(), before);
  assert.deepEqual(await childProcesses(Deno.pid), []);
});

Deno.test("A command that takes too long is ended with a typed error", async () => {
  const outcome = runInGuest({
    command: ["sleep", "1000"],
    signal: new AbortController().signal,
    timeoutMs: 200,
    onOutput: () => {},
  });
  await assert.rejects(outcome, (error: unknown) => {
    assert.ok(error instanceof GuestError);
    assert.equal(error.code, "GuestTimeout");
    return true;
  });
  assert.deepEqual(await childProcesses(Deno.pid), []);
});

Deno.test("Aborting while the guest boots does not wait for it", async () => {
  const abort = new AbortController();
  const before = await guestFiles();
  const outcome = runInGuest({
    command: ["true"],
    signal: abort.signal,
    timeoutMs: 1000,
    report: (line) => line.startsWith("Booting") && abort.abort(new Error("too late")),
    onOutput: () => {},
  });
  await assert.rejects(outcome, /too late/);
  assert.deepEqual(await guestFiles(), before);
  assert.deepEqual(await childProcesses(Deno.pid), []);
});

Deno.test("Killing the program that runs a guest ends the guest, and the next one clears up", async () => {
  const runner = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      join(HERE, "run.ts"),
      "--",
      "sh",
      "-c",
      "echo up; sleep 1000",
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  for await (const _ of runner.stdout) break;
  const guest = await childProcesses(runner.pid);
  assert.deepEqual(guest.map((child) => child.name), ["qemu-system-x86", "virtiofsd"]);
  runner.kill("SIGKILL");
  await runner.status;
  const deadline = AbortSignal.timeout(10_000);
  for (const { pid } of guest) {
    while (await isRunning(pid)) {
      deadline.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  assert.notDeepEqual(await guestFiles(runner.pid), []);
  await using _directory = await makeRunDirectory();
  assert.deepEqual(await guestFiles(runner.pid), []);
});

/** The directories and locks for guests of one process. */
async function guestFiles(pid = Deno.pid): Promise<string[]> {
  const names: string[] = [];
  for (const parent of [dirname(await temporaryDirectory()), "/run/virtiofsd"]) {
    if (!await isDirectory(parent)) continue;
    for await (const { name } of Deno.readDir(parent)) {
      if (name.includes(`pr2t-vm-${pid}-`)) names.push(name);
    }
  }
  return names.sort();
}

/** A path where temporary directories are made. */
async function temporaryDirectory(): Promise<string> {
  const path = await Deno.makeTempDir({ prefix: "pr2t-" });
  await Deno.remove(path);
  return path;
}

/** QEMU and virtiofsd processes that have the given parent, by name. */
async function childProcesses(parent: number): Promise<{ pid: number; name: string }[]> {
  const children: { pid: number; name: string }[] = [];
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`).catch(() => "");
    const [, name = "", actualParent] = /^\d+ \((.*)\) \S (\d+)/.exec(stat) ?? [];
    if (Number(actualParent) === parent && /qemu|virtiofsd/.test(name)) {
      children.push({ pid: Number(entry.name), name });
    }
  }
  return children.sort((one, other) => one.name.localeCompare(other.name));
}

/** Whether a process exists and is no zombie. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return /\) [^Z]/.test(stat);
}
