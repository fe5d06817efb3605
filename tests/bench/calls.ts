/** Calls of a plugin as a runtime makes them, one or many at once, with the time of each and the processors' time of all. */
import type { Holder } from "../lab/holder.ts";

/** A container to call a plugin for. */
export interface BenchContainer {
  /** CNI_CONTAINERID. */
  readonly id: string;
  /** CNI_NETNS, on the subject's machine. */
  readonly netns: string;
  /** CNI_ARGS. */
  readonly args: string;
}

/** A plugin that is measured. */
export interface BenchSubject {
  /** Its name in the table. */
  readonly name: string;
  /** Where it runs. */
  readonly machine: Holder;
  /** Absolute path of the executable. */
  readonly plugin: string;
  /** Its network configuration without `cniVersion`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** CNI_PATH. */
  readonly path: string;
  /** Containers without interfaces, made beforehand. */
  readonly containers: readonly BenchContainer[];
}

/** Calls that were made at once. */
export interface Burst {
  /** Milliseconds from the start of each process to its end, in the order of the containers. */
  readonly calls: readonly number[];
  /** Milliseconds from the first start to the last end. */
  readonly wall: number;
  /** Seconds of processor time of the plugins and what they started; a daemon's is not among them. */
  readonly cpu: number;
}

/** The version of the specification that all of them know. */
const cniVersion = "1.0.0";

/** Where a machine keeps what the calls read and write; a file system in memory. */
const directory = "/run/bench";

// Bash alone tells both times of a process that it has waited for, and starts the processes without a runtime's own weight.
const script = `
TIMEFORMAT="cpu %U %S"
directory=$1 command=$2 path=$3 plugin=$4
shift 4
call() {
  local start=$EPOCHREALTIME
  env -i "CNI_COMMAND=$command" "CNI_CONTAINERID=$2" "CNI_NETNS=$3" CNI_IFNAME=eth0 "CNI_PATH=$path" "CNI_ARGS=$4" \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin "$plugin" < "$directory/config" > "$directory/$1.out" 2>&1
  echo "$start $EPOCHREALTIME $?" > "$directory/$1.time"
}
burst() {
  local at=0
  while (( $# > 0 )); do call $at "$1" "$2" "$3" & at=$((at + 1)); shift 3; done
  wait
}
time burst "$@"
for (( at = 0; at < $# / 3; at++ )); do
  read -r start end < "$directory/$at.time"
  echo "$start $end"
  case $end in *" 0") ;; *) cat "$directory/$at.out" ;; esac
done
`;

/** Makes what {@linkcode callAtOnce} needs on a subject's machine. */
export async function prepareCalls({ machine, config }: BenchSubject): Promise<void> {
  await machine.run(["sh", "-ec", `mkdir -p ${directory}; cat > ${directory}/config`], {
    stdin: JSON.stringify({ cniVersion, ...config }),
  });
}

/**
 * Calls a plugin for the first `count` containers, all at once.
 *
 * @throws {Error} When one of them fails, with what it said
 */
export async function callAtOnce(
  subject: BenchSubject,
  command: string,
  count: number,
): Promise<Burst> {
  const containers = subject.containers.slice(0, count);
  const words = ["bash", "-c", `exec 2>&1\n${script}`, "bash", directory, command];
  const answer = await subject.machine.run([
    ...words,
    subject.path,
    subject.plugin,
    ...containers.flatMap(({ id, netns, args }) => [id, netns, args]),
  ]);
  return parseBurst(answer, `${subject.name} ${command}`);
}

// The peak is the kernel's ru_maxrss, in KiB (getrusage(2)).
const peakScript = `
exec env -i "CNI_COMMAND=$2" "CNI_CONTAINERID=$5" "CNI_NETNS=$6" CNI_IFNAME=eth0 "CNI_PATH=$3" "CNI_ARGS=$7" \
  /usr/bin/time --quiet --format "peak %M" --output "$1/peak" "$4" < "$1/config"
`;

/** MiB that a plugin's process holds at most while it does a command for the first container. @throws {CommandError} When it fails */
export async function peakOf(subject: BenchSubject, command: string): Promise<number> {
  const { machine, path, plugin, containers: [container] } = subject;
  if (container === undefined) throw new Error("Expected a container to call for, found none");
  const { id, netns, args } = container;
  await machine.run([
    ...["bash", "-ec", peakScript, "bash", directory, command],
    ...[path, plugin, id, netns, args],
  ]);
  const found = /^peak (\d+)$/m.exec(await machine.run(["cat", `${directory}/peak`]));
  if (found === null) throw new Error("Expected a peak from time(1), found none");
  return Number(found[1]) / 1024;
}

/** Reads what the script printed. @throws {Error} When a call failed */
export function parseBurst(answer: string, what: string): Burst {
  const cpu = /^cpu (\d+\.\d+) (\d+\.\d+)$/m.exec(answer);
  const times = [...answer.matchAll(/^(\d+\.\d{6}) (\d+\.\d{6}) (\d+)$/gm)];
  if (cpu === null || times.length === 0 || times.some(([, , , code]) => code !== "0")) {
    throw new Error(`Expected "${what}" to succeed, found: ${answer.trim()}`);
  }
  const starts = times.map(([, start]) => Number(start) * 1000);
  const ends = times.map(([, , end]) => Number(end) * 1000);
  return {
    calls: ends.map((end, index) => end - (starts[index] ?? NaN)),
    wall: Math.max(...ends) - Math.min(...starts),
    cpu: Number(cpu[1]) + Number(cpu[2]),
  };
}
