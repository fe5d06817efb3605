/**
 * A real FRR of its own for tests and labs: watchfrr, zebra, bgpd and staticd in a private network and mount namespace.
 *
 * `/run/frr`, `/etc/frr` and `/run/netns` are private there, so that any number of instances run side by side. A holder process keeps
 * the namespaces; it ends, and takes FRR with it, as soon as the process that started the instance is gone.
 */

import { fileURLToPath } from "node:url";

/** A running FRR. Dispose of it to end it and everything in its namespaces. */
export interface FrrInstance extends AsyncDisposable {
  /** Process that holds the namespaces, for `nsenter` and `ip link ... netns PID`. */
  readonly pid: number;
  /** The daemons' vty sockets and pid files, as seen from outside. */
  readonly vtyDir: string;
  /** The instance's `/etc/frr`, as seen from outside. */
  readonly confDir: string;
  /**
   * Runs a command in the instance's namespaces and returns its standard output.
   *
   * @throws {Error} When it fails, with what it printed
   */
  run(...command: string[]): Promise<string>;
}

/** How an instance is started. */
export interface FrrInstanceOptions {
  /** Options for zebra beyond those of the file `daemons`, such as `["--vrfwnetns"]`. */
  readonly zebraOptions?: readonly string[];
}

const HOLDER = `
set -e
ip link set lo up
for dir in /etc/frr /run/frr; do mkdir -p $dir; mount -t tmpfs frr $dir; done
mkdir -p /run/netns; mount -t tmpfs netns /run/netns; mount --make-private /run/netns
printf %s "$FRR_DAEMONS" > /etc/frr/daemons
printf %s "$FRR_VTYSH_CONF" > /etc/frr/vtysh.conf
: > /etc/frr/frr.conf
chown -R frr:frr /etc/frr /run/frr
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
trap 'kill -9 $(cat /run/frr/watchfrr.pid /run/frr/*.pid 2>/dev/null) 2>/dev/null' EXIT
trap 'exit 1' TERM INT HUP
said=$(/usr/lib/frr/frrinit.sh start < /dev/null 2>&1) || { echo "$said" >&2; exit 1; }
for try in $(seq 100); do
  [ -S /run/frr/zebra.vty -a -S /run/frr/bgpd.vty -a -S /run/frr/staticd.vty -a -S /run/frr/bfdd.vty ] && break
  [ $try -lt 100 ] || { echo "$said" >&2; exit 1; }
  sleep 0.1
done
echo ready
cat > /dev/null
`;

/**
 * Starts an FRR in namespaces of its own and waits until its daemons run.
 *
 * @throws {Error} When FRR does not start, with what it printed
 */
export async function startFrrInstance(options: FrrInstanceOptions = {}): Promise<FrrInstance> {
  const child = new Deno.Command("unshare", {
    args: ["--net", "--mount", "--propagation", "private", "sh", "-c", HOLDER],
    env: await configuration(options),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stop = async () => {
    await child.stdin.close().catch(() => {});
    await child.status;
  };
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  if (value === undefined) {
    await child.status;
    throw new Error(`FRR did not start: ${await new Response(child.stderr).text()}`);
  }
  await child.stderr.cancel();
  const root = `/proc/${child.pid}/root`;
  return {
    pid: child.pid,
    vtyDir: `${root}/run/frr`,
    confDir: `${root}/etc/frr`,
    run: (...command) => runInside(child.pid, command),
    [Symbol.asyncDispose]: stop,
  };
}

async function configuration(options: FrrInstanceOptions): Promise<Record<string, string>> {
  const file = (name: string) =>
    Deno.readTextFile(fileURLToPath(new URL(`../${name}`, import.meta.url)));
  const extra = (options.zebraOptions ?? []).join(" ");
  return {
    FRR_DAEMONS: `${await file("daemons")}zebra_options="$zebra_options ${extra}"\n`,
    FRR_VTYSH_CONF: await file("vtysh.conf"),
  };
}

async function runInside(pid: number, command: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("nsenter", {
    args: ["-t", `${pid}`, "-n", "-m", "--", ...command],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(
    `"${command.join(" ")}" failed: ${decoder.decode(stderr)}${decoder.decode(stdout)}`,
  );
}
