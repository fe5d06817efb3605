/** A containerd of a node's own, and containers that `ctr run --cni` starts on it as a person would. */
import { ignoreMissing } from "../lab/directory.ts";
import type { Holder } from "../lab/holder.ts";
import { until } from "../lab/process.ts";
import {
  configurationDirectory,
  makeNodeDirectories,
  runtimeDirectory,
} from "./node_directories.ts";
import { imageName, makeImage, makeRootFileSystem, rootFileSystem } from "./root_file_system.ts";

/** Seconds for what takes fractions of one where nothing is emulated. */
const patience = 300;

/** What a container says before it runs its command. */
const started = "The container runs";

/** Path of containerd's socket, on the node. */
export const containerdSocket = `${runtimeDirectory}/containerd.sock`;

/** Where the CRI keeps the pods' network namespaces, on the node. */
export const podNamespaceDirectory = `${runtimeDirectory}/state/io.containerd.grpc.v1.cri/netns`;

/** What containerd is started with. */
export interface ContainerdOptions {
  /** The node. */
  readonly holder: Holder;
  /** Directory for the logs. */
  readonly directory: string;
  /** Folder with the built plugin; absent where something else shall install it. */
  readonly dist?: string;
  /** Name of containerd's namespace; its containers' control groups are below it on the whole machine. */
  readonly namespace: string;
}

/** A running containerd. */
export interface Containerd {
  /** Name of its namespace for what `ctr` starts. */
  readonly namespace: string;
  /** Writes the one network configuration that containers get. */
  configure(plugins: readonly unknown[]): Promise<void>;
  /** Runs `ctr` to its end. @throws {CommandError} */
  ctr(args: readonly string[]): Promise<string>;
  /** Starts a container with its network and resolves when it runs. @throws {Error} With what `ctr` said */
  run(name: string, command: readonly string[]): Promise<Container>;
}

/** A container that `ctr run --rm --cni` keeps an eye on. */
export interface Container {
  /** Its name. */
  readonly name: string;
  /** The id that plugins are told: containerd's namespace and the name. */
  readonly cniId: string;
  /** Runs a command in it. @throws {CommandError} */
  exec(command: readonly string[]): Promise<string>;
  /** Kills it; resolves when `ctr` has detached its network and removed it. */
  end(): Promise<void>;
}

/** The name of every network configuration here. */
export const networkName = "pyroute2";

/** Starts containerd on a node; resolves when it answers. It ends with the node. */
export async function startContainerd(options: ContainerdOptions): Promise<Containerd> {
  const { holder, directory, namespace } = options;
  await makeNodeDirectories(holder, directory, options.dist);
  await makeRootFileSystem(holder);
  const config = `${runtimeDirectory}/config.toml`;
  await holder.run(["sh", "-ec", `cat > ${config}`], { stdin: configuration });
  holder.start(["containerd", "--config", config], { log: `${directory}/containerd.log` });
  const ctr = (args: readonly string[]) =>
    holder.run(["ctr", "--address", containerdSocket, "--namespace", namespace, ...args]);
  await until("containerd", patience, () => ctr(["version"]).then(() => true));
  return {
    namespace,
    async configure(plugins) {
      const list = { cniVersion: "1.0.0", name: networkName, plugins };
      const path = `${configurationDirectory}/10-${networkName}.conflist`;
      // In one step: the runtime reads the directory whenever it changes.
      await holder.run(["sh", "-ec", `cat > "$0.new"; mv "$0.new" "$0"`, path], {
        stdin: JSON.stringify(list),
      });
    },
    ctr,
    run: (name, command) => runContainer({ ...options, ctr }, name, command),
  };
}

/** Makes the image that pods are made of known to containerd's CRI. */
export async function importImage(holder: Holder): Promise<void> {
  await importArchive(holder, await makeImage(holder));
}

/** Makes the images of an archive known to containerd's CRI. */
export async function importArchive(holder: Holder, archive: string): Promise<void> {
  await holder.run([
    "ctr",
    ...["--address", containerdSocket, "--namespace", "k8s.io"],
    ...["images", "import", archive],
  ]);
}

/**
 * The words of a command, so that it runs in a container's namespaces. `ctr task exec` would do that as well, but may lose the output
 * of a command that ends soon.
 */
export async function insideTask(
  holder: Holder,
  namespace: string,
  id: string,
): Promise<(command: readonly string[]) => string[]> {
  const words = ["ctr", "--address", containerdSocket, "--namespace", namespace, "task", "ls"];
  const rows = (await holder.run(words)).split("\n").map((line) => line.split(/\s+/));
  const pid = rows.find(([name]) => name === id)?.[1];
  if (pid === undefined) throw new Error(`Expected container "${id}" to run, found it gone`);
  const spaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wd"];
  return (command) => ["nsenter", "--target", pid, ...spaces, "--", ...command];
}

async function runContainer(
  { holder, directory, namespace, ctr }: ContainerdOptions & Pick<Containerd, "ctr">,
  name: string,
  command: readonly string[],
): Promise<Container> {
  const log = `${directory}/ctr-${name}.log`;
  await Deno.remove(log).catch(ignoreMissing);
  // In the foreground: only then does this ctr call the plugins with DEL when the container has ended.
  const foreground = holder.start([
    "ctr",
    ...["--address", containerdSocket, "--namespace", namespace],
    ...["run", "--rm", "--cni", "--rootfs", rootFileSystem, name],
    ...["/bin/sh", "-c", `echo ${started}; exec "$@"`, "sh", ...command],
  ], { log });
  let ended = false;
  foreground.status.then(() => ended = true);
  const said = () => Deno.readTextFile(log).catch(() => "");
  const running = await until(`container "${name}"`, patience, async () => {
    if ((await said()).split("\n").includes(started)) return true;
    return ended ? false : undefined;
  });
  if (!running) {
    // A ctr whose container got no network leaves the container, created and never started.
    await ctr(["task", "rm", "--force", name]).catch(() => undefined);
    await ctr(["container", "rm", name]).catch(() => undefined);
    throw new Error(`Container "${name}" did not run: ${(await said()).trim()}`);
  }
  const inside = await insideTask(holder, namespace, name);
  return {
    name,
    cniId: `${namespace}-${name}`,
    exec: (words) => holder.run(inside(words)),
    async end() {
      await ctr(["task", "kill", "--signal", "SIGKILL", name]);
      await until(`the end of "${name}"`, patience, () => ended ? true : undefined);
    },
  };
}

// Snapshotters that want devices or file systems of their own are off. Containers of the CRI get no control over hugepages and no
// AppArmor profile, which not every kernel has.
const configuration = `version = 2
root = "${runtimeDirectory}/root"
state = "${runtimeDirectory}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "${containerdSocket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${imageName}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  # Each entry of /run/netns is a VRF for zebra.
  netns_mounts_under_state_dir = true
`;
