/** Running commands for the lab: to their end, or in the background with a log. */

/** A command that failed, with what it said. */
export class CommandError extends Error {
  /** @param command Its words @param code Exit code @param stderr What it said */
  constructor(
    readonly command: readonly string[],
    readonly exitCode: number,
    readonly stdout: string,
    readonly stderr: string,
  ) {
    super(`"${command.join(" ")}" ended with ${exitCode}: ${stderr.trim() || stdout.trim()}`);
    this.name = "CommandError";
  }
}

/** A process in the background. */
export interface SpawnedProcess {
  /** Its PID as the host sees it. */
  readonly pid: number;
  /** Settles when it has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  /** Sends a signal; a process that has ended is no error. */
  kill(signal: Deno.Signal): void;
}

/** How a command runs. */
export interface ExecuteOptions {
  /** Its environment, besides PATH, HOME and DENO_DIR. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it gets this process's whole environment: proxies and certificates, for what loads packages. */
  readonly inherit?: boolean;
  /** What it reads. */
  readonly stdin?: string;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

function environment(env: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["PATH", "HOME", "DENO_DIR"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) kept[name] = value;
  }
  // Debian keeps ip, nft and the FRR tools where a plain user's PATH does not look.
  return { ...kept, PATH: `${kept.PATH ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`, ...env };
}

/** Runs a command to its end and gives its output. @throws {CommandError} When its exit code is not 0 */
export async function execute(
  command: readonly string[],
  options: ExecuteOptions = {},
): Promise<string> {
  const { stdout, stderr, code } = await executeRaw(command, options);
  if (code !== 0) throw new CommandError(command, code, stdout, stderr);
  return stdout;
}

/** Runs a command to its end, whatever its exit code. */
export async function executeRaw(
  command: readonly string[],
  options: ExecuteOptions = {},
): Promise<{ stdout: string; stderr: string; code: number }> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    clearEnv: options.inherit !== true,
    env: options.inherit === true ? { ...options.env } : environment(options.env),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...options.signal === undefined ? {} : { signal: options.signal },
  }).spawn();
  const written = options.stdin === undefined ? undefined : feed(child, options.stdin);
  const [output] = await Promise.all([child.output(), written]);
  const decoder = new TextDecoder();
  return {
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
    code: output.code,
  };
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  // A command may end without reading all of it: then its exit code tells.
  await writer.write(new TextEncoder().encode(text)).then(() => writer.close()).catch(() =>
    undefined
  );
}

/** Starts a command in the background; both its outputs are appended to the log file. */
export function spawnLogged(
  command: readonly string[],
  options: ExecuteOptions & { readonly log: string },
): SpawnedProcess {
  // A session of its own: what a terminal sends to this process's group must not end a lab that is to stay.
  const child = new Deno.Command("bash", {
    args: ["-c", 'exec setsid "$@" >>"$0" 2>&1', options.log, ...command],
    clearEnv: true,
    env: environment(options.env),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  child.unref();
  return {
    pid: child.pid,
    status: child.status,
    kill(signal) {
      try {
        child.kill(signal);
      } catch (error) {
        if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
      }
    },
  };
}

/**
 * Waits until `look` gives something other than undefined.
 *
 * @param what For the error, after "Waited for"
 * @throws {Error} After `seconds`, with the last error that `look` threw, if any
 */
export async function until<T>(
  what: string,
  seconds: number,
  look: () => Promise<T | undefined> | T | undefined,
  signal?: AbortSignal,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  let last: unknown;
  // Ever more seldom: where every process is emulated, looking costs more than what is waited for.
  for (let pause = 50;; pause = Math.min(pause * 1.5, 2_000)) {
    signal?.throwIfAborted();
    try {
      const found = await look();
      if (found !== undefined) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= end) {
      throw new Error(
        `Waited ${seconds} seconds for ${what}`,
        last === undefined ? {} : { cause: last },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
