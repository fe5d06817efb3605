/** Runs a command in a virtual machine that has the kernel this machine may lack, on this machine's own tree. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { controlMessages } from "./control.ts";
import { GuestError } from "./guest_error.ts";
import { ensureGuestImage, type ImageOptions } from "./image.ts";
import { type Job, writeJob } from "./job.ts";
import { type Machine, startMachine } from "./machine.ts";
import { makeRunDirectory } from "./run_directory.ts";

/** Under TCG a guest is up in about eight seconds on an idle machine. */
const BOOT_DEADLINE_MS = 120_000;
const DEFAULT_MEMORY_MIB = 4096;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PROJECT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

/** Which of its outputs the command wrote to. */
export type OutputStream = "stdout" | "stderr";

/** A command for a guest, and how to run it. */
export interface GuestCommand extends ImageOptions {
  /** The program, a path or a name on the guest's `PATH`, and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** Added to a plain environment of `PATH`, `HOME`, `LANG` and `DENO_DIR`. */
  readonly env?: Readonly<Record<string, string>>;
  /** The working directory, an absolute path; by default this process' own. */
  readonly cwd?: string;
  /** The guest's memory in MiB, of which it takes what it uses; half of that can be files. */
  readonly memoryMiB?: number;
  /**
   * Host paths below `/run` or `/tmp` that the command needs to see: the guest has fresh mounts there. The project, the
   * working directory and Deno's own files are always seen.
   */
  readonly expose?: readonly string[];
  /** Receives output as it comes; the two streams are not ordered to each other. */
  readonly onOutput: (chunk: Uint8Array, stream: OutputStream) => void;
  /** Ends the guest. */
  readonly signal: AbortSignal;
  /** How long the command may take, in milliseconds, after the guest is up. */
  readonly timeoutMs: number;
}

/** How a command in a guest ended. */
export interface GuestResult {
  /** Its exit code; 128 + n if signal n ended it. */
  readonly exitCode: number;
  /** How long the guest took to be up, in milliseconds. */
  readonly bootMs: number;
  /** How long the command took, in milliseconds. */
  readonly commandMs: number;
}

/**
 * Boots a guest, runs one command in it as root and ends it. The guest sees this machine's whole tree at the same
 * paths; what it writes goes to its memory and is gone afterwards. Whatever is missing is obtained first.
 *
 * @throws {PrerequisitesMissingError} if packages are missing
 * @throws {GuestError} if the guest cannot be had, does not boot, fails, or takes too long
 * @throws The signal's reason, if it aborts
 */
export async function runInGuest(options: GuestCommand): Promise<GuestResult> {
  options.signal.throwIfAborted();
  const image = await ensureGuestImage(options);
  await using directory = await makeRunDirectory();
  await writeJob(jobOf(options), directory.path);
  options.report?.(
    `Booting a guest with Linux ${image.kernel.release} (${image.accelerator.accelerator})`,
  );
  const started = performance.now();
  await using machine = await startMachine(
    {
      accelerator: image.accelerator.accelerator,
      kernel: image.kernel.image,
      initramfs: image.initramfs,
      memoryMiB: options.memoryMiB ?? DEFAULT_MEMORY_MIB,
      parameters: {
        "guest.mode": "run",
        "guest.job": directory.path,
        "guest.modules": join(image.kernel.root, "lib", "modules"),
      },
      ports: ["control", "stdout", "stderr"],
      hostTree: true,
      directory: directory.path,
    },
    image.virtiofsd,
    options.signal,
  );
  const stopOnFailure = (part: Promise<void>) =>
    part.catch((error) => {
      machine.kill();
      throw error;
    });
  const [result] = await Promise.all([
    follow(machine, options, started).finally(() => machine.kill()),
    stopOnFailure(forward(machine, "stdout", options)),
    stopOnFailure(forward(machine, "stderr", options)),
  ]);
  return result;
}

/** Follows the control port until the command has ended, with a deadline for the boot and one for the command. */
async function follow(
  machine: Machine,
  options: GuestCommand,
  started: number,
): Promise<GuestResult> {
  let readyAt: number | undefined;
  let late = false;
  const expire = () => {
    late = true;
    machine.kill();
  };
  let timer = setTimeout(expire, BOOT_DEADLINE_MS);
  try {
    for await (const message of controlMessages(machine.output("control"))) {
      if (message.kind === "failed") {
        throw new GuestError(
          "GuestFailed",
          `The guest could not run the command: ${message.reason}`,
        );
      }
      if (message.kind === "exit") {
        const commandMs = performance.now() - (readyAt ?? started);
        const bootMs = performance.now() - started - commandMs;
        return { exitCode: message.code, bootMs, commandMs };
      }
      readyAt = performance.now();
      options.report?.(`The guest is up after ${((readyAt - started) / 1000).toFixed(1)} s`);
      clearTimeout(timer);
      timer = setTimeout(expire, options.timeoutMs);
    }
  } finally {
    clearTimeout(timer);
  }
  options.signal.throwIfAborted();
  const explanation = await machine.explain();
  if (late && readyAt !== undefined) {
    const seconds = options.timeoutMs / 1000;
    throw new GuestError(
      "GuestTimeout",
      `"${options.command[0]}" took over ${seconds} s in the guest`,
    );
  }
  if (late) {
    const seconds = BOOT_DEADLINE_MS / 1000;
    throw new GuestError("GuestBootTimeout", `No guest after ${seconds} s: ${explanation}`);
  }
  throw new GuestError("GuestFailed", `The guest ended without an exit code: ${explanation}`);
}

async function forward(
  machine: Machine,
  stream: OutputStream,
  options: GuestCommand,
): Promise<void> {
  for await (const chunk of machine.output(stream)) options.onOutput(chunk, stream);
}

function jobOf(options: GuestCommand): Job {
  const cwd = options.cwd ?? Deno.cwd();
  const home = Deno.env.get("HOME") ?? "/root";
  const denoDirectory = Deno.env.get("DENO_DIR") ??
    join(Deno.env.get("XDG_CACHE_HOME") ?? join(home, ".cache"), "deno");
  return {
    command: options.command,
    cwd,
    env: {
      PATH,
      HOME: home,
      LANG: "C.UTF-8",
      DENO_DIR: denoDirectory,
      ...options.env,
    },
    denoDirectory,
    expose: [PROJECT, cwd, home, Deno.execPath(), denoDirectory, ...(options.expose ?? [])],
  };
}
