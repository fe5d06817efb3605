/**
 * A machine that boots a real systemd: a process that is PID 1 of namespaces of its own, on an overlay of this machine's file system.
 * What is written there stays there; killing the process ends everything that runs in it.
 */
import { join } from "node:path";
import { executeRaw, until } from "../lab/process.ts";

/** A machine that has booted. */
export interface SystemdMachine extends AsyncDisposable {
  /** Runs a command inside to its end, whatever its exit code. */
  run(command: readonly string[], options?: InsideOptions): Promise<CommandResult>;
  /** Runs a command inside. @throws {Error} With what it said, when its exit code is not 0 */
  expect(command: readonly string[], options?: InsideOptions): Promise<string>;
  /** Path, as this process sees it, of what the machine has written; a file that it removed is a character device there. */
  readonly written: string;
  /** Ends all processes at once, as a power cut does, and boots anew: only what is on disk is still there. */
  reboot(): Promise<void>;
}

/** How a command runs inside. */
export interface InsideOptions {
  /** Its environment besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads. */
  readonly stdin?: string;
}

/** What a command did. */
export interface CommandResult {
  /** Exit code. */
  readonly code: number;
  /** What it wrote to stdout. */
  readonly stdout: string;
  /** What it wrote to stderr. */
  readonly stderr: string;
}

const systemd = "/lib/systemd/systemd";
const prefix = "pr2t-systemd-";

/** Why no such machine can be booted here; undefined when one can. */
export async function whyNoSystemd(): Promise<string | undefined> {
  if (await Deno.stat(systemd).then(() => false, () => true)) return `there is no ${systemd}`;
  const parent = await cgroupRoot();
  if (parent === undefined) return "no cgroup v2 hierarchy is mounted";
  const probe = join(parent, `${prefix}probe-${crypto.randomUUID()}`);
  try {
    await Deno.mkdir(probe);
    await Deno.remove(probe);
  } catch {
    return `"${parent}" cannot be written`;
  }
  return await whyNoOverlay();
}

/** An overlay can have its upper folder on most file systems, but not on another overlay, as containers have it. */
async function whyNoOverlay(): Promise<string | undefined> {
  const directory = await Deno.makeTempDir({ prefix });
  const script =
    "mkdir $0/upper $0/work $0/root && mount -t overlay overlay -o lowerdir=/,upperdir=$0/upper,workdir=$0/work $0/root";
  const { code, stderr } = await executeRaw(["unshare", "--mount", "sh", "-c", script, directory]);
  await Deno.remove(directory, { recursive: true });
  return code === 0 ? undefined : stderr.trim();
}

/**
 * Boots a machine with the interface `eth0`, 192.0.2.11/24, and a default route.
 *
 * @param shared Folders of this machine that it sees as they are, whatever file system they are on
 * @throws {Error} When it does not come up
 */
export async function bootMachine(
  shared: readonly string[],
  signal: AbortSignal,
): Promise<SystemdMachine> {
  await removeAbandoned();
  const name = `${prefix}${crypto.randomUUID()}-${Deno.pid}`;
  const directory = await Deno.makeTempDir({ prefix, suffix: `-${Deno.pid}` });
  const cgroup = join(await cgroupRoot() ?? "", name);
  await Deno.mkdir(cgroup);
  const boot = () => start({ directory, cgroup, shared, signal });
  let running: Running | undefined;
  const release = async () => {
    await running?.stop();
    await removeCgroup(cgroup);
    await Deno.remove(directory, { recursive: true });
  };
  try {
    running = await boot();
  } catch (error) {
    await release();
    throw error;
  }
  const run = (command: readonly string[], options: InsideOptions = {}) =>
    runInside(running?.pid ?? 0, command, options);
  return {
    written: join(directory, "upper"),
    run,
    async expect(command, options) {
      const { code, stdout, stderr } = await run(command, options);
      if (code === 0) return stdout;
      throw new Error(`"${command.join(" ")}" ended with ${code}: ${stderr}${stdout}`);
    },
    async reboot() {
      await running?.stop();
      running = undefined;
      await removeCgroup(cgroup);
      await Deno.mkdir(cgroup);
      running = await boot();
    },
    [Symbol.asyncDispose]: release,
  };
}

interface Running {
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

interface Boot {
  readonly directory: string;
  readonly cgroup: string;
  readonly shared: readonly string[];
  readonly signal: AbortSignal;
}

/** Seconds to boot; a second is enough where no instruction is emulated. */
const bootSeconds = 240;

async function start({ directory, cgroup, shared, signal }: Boot): Promise<Running> {
  const log = join(directory, "console.log");
  const child = new Deno.Command("setpriv", {
    args: [
      ...["--pdeathsig", "KILL"],
      ...["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"],
      ...["--propagation", "private"],
      ...["bash", "-ec", bootScript, log, directory, cgroup, ...shared],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
  const ended = new AbortController();
  const stop = async () => {
    const pid = await firstProcess(child.pid);
    if (pid !== undefined) kill(pid);
    kill(child.pid);
    child.ref();
    await child.status;
  };
  child.status.then(({ code }) => ended.abort(new Error(`systemd ended with ${code}`)));
  try {
    const pid = await until(
      "systemd to boot",
      bootSeconds,
      async () => {
        const pid = await firstProcess(child.pid);
        if (pid === undefined) return undefined;
        const { stdout } = await runInside(pid, ["systemctl", "is-system-running"], {});
        return ["running", "degraded"].includes(stdout.trim()) ? pid : undefined;
      },
      AbortSignal.any([signal, ended.signal]),
    );
    return { pid, stop };
  } catch (cause) {
    await stop();
    const said = await Deno.readTextFile(log).catch(() => "");
    throw new Error(`The machine did not boot: ${said.slice(-2_000)}`, { cause });
  }
}

async function runInside(
  pid: number,
  command: readonly string[],
  { env = {}, stdin }: InsideOptions,
): Promise<CommandResult> {
  const words = Object.entries({ PATH: searchPath, ...env }).map(([name, value]) =>
    `${name}=${value}`
  );
  return await executeRaw(
    ["nsenter", "--all", "-t", `${pid}`, "env", "-i", ...words, ...command],
    stdin === undefined ? {} : { stdin },
  );
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// $0 console, $1 directory, $2 cgroup, then folders to share. Sysctls of the whole machine stay out of reach, those of the network
// are the namespace's own. Services that are enabled on this machine are no part of that one.
const bootScript = `
exec >"$0" 2>&1
directory=$1 cgroup=$2
shift 2
mkdir -p $directory/upper $directory/work $directory/root
root=$directory/root
fresh=$(ls -A $directory/upper)
mount -t overlay overlay -o lowerdir=/,upperdir=$directory/upper,workdir=$directory/work $root
mount -t tmpfs tmpfs $root/tmp
# After it: what is shared may lie below /tmp.
for path; do
  mkdir -p $root$path
  mount --bind $path $root$path
done
mount -t proc proc $root/proc
mount --bind $root/proc/sys $root/proc/sys
mount --bind $root/proc/sys/net $root/proc/sys/net
mount -o remount,bind,ro $root/proc/sys
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t tmpfs -o mode=755 tmpfs $root/dev
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
for node in null zero full random urandom tty; do
  touch $root/dev/$node
  mount --bind /dev/$node $root/dev/$node
done
hostname node-a
ip link set lo up
ip link add eth0 type veth peer name wire
ip address add 192.0.2.11/24 dev eth0
ip link set eth0 up
ip link set wire up
ip route add default via 192.0.2.1
if [ -z "$fresh" ]; then
  rm -rf $root/etc/systemd/system/*.wants
  for unit in systemd-sysctl systemd-binfmt systemd-modules-load systemd-tmpfiles-setup-dev systemd-remount-fs \\
    systemd-logind console-getty; do
    ln -sf /dev/null $root/etc/systemd/system/$unit.service
  done
  ln -sf /dev/null $root/etc/systemd/system/proc-sys-fs-binfmt_misc.automount
  ln -sf /dev/null $root/etc/systemd/system/getty.target
fi
echo $$ >$cgroup/cgroup.procs
exec unshare --cgroup bash -ec '
root=$0
mount -t sysfs sysfs $root/sys
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
cd $root
mkdir -p mnt/before
pivot_root . mnt/before
umount -l /mnt/before
exec env -i container=lxc PATH=${searchPath} ${systemd} --system --unit=multi-user.target --log-target=journal-or-kmsg
' $root
`;

/** The first process of the PID namespace that the process has made. */
async function firstProcess(parent: number): Promise<number | undefined> {
  const path = `/proc/${parent}/task/${parent}/children`;
  const children = await Deno.readTextFile(path).catch(() => "");
  const pid = Number(children.trim().split(" ")[0]);
  return pid > 0 ? pid : undefined;
}

/** Where cgroups can be made: the mount of version 2, at the cgroup of this process. */
async function cgroupRoot(): Promise<string | undefined> {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  const mount = mounts.split("\n").find((line) => line.includes(" - cgroup2 "))?.split(" ")[4];
  return mount;
}

async function removeCgroup(path: string): Promise<void> {
  for (const { name, isDirectory } of [...readDirectory(path)]) {
    if (isDirectory) await removeCgroup(join(path, name));
  }
  await until(`"${path}" to be empty`, 20, () => {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return true;
  });
}

function readDirectory(path: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(path)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Removes what tests left that were killed: their machines died with them. */
async function removeAbandoned(): Promise<void> {
  const parent = await cgroupRoot() ?? "";
  for (const { name } of readDirectory(parent)) {
    if (!await isAbandoned(name)) continue;
    const events = await Deno.readTextFile(join(parent, name, "cgroup.events")).catch(() => "");
    if (/^populated 0$/m.test(events)) await removeCgroup(join(parent, name)).catch(() => {});
  }
  const temporary = "/tmp";
  for (const { name } of readDirectory(temporary)) {
    if (!await isAbandoned(name)) continue;
    await Deno.remove(join(temporary, name), { recursive: true }).catch(() => {});
  }
}

/** Whether it is a test's, which ends its name with its process, and that process is gone. */
async function isAbandoned(name: string): Promise<boolean> {
  const owner = new RegExp(`^${prefix}.*-(\\d+)$`).exec(name)?.[1];
  if (owner === undefined) return false;
  return await Deno.stat(`/proc/${owner}`).then(() => false, () => true);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
