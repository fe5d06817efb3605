/** A running virtual machine: QEMU, virtiofsd and the sockets between them and this process. */
import { join } from "node:path";
import { GuestError } from "./guest_error.ts";
import { type HostProcess, startHostProcess } from "./host_process.ts";
import { type MachineSpec, qemuArguments } from "./qemu.ts";
import { fileServerSocket } from "./run_directory.ts";

const SOCKET_DEADLINE_MS = 15_000;
const SOCKET_POLL_MS = 10;

/** A running virtual machine; disposing of it kills its processes. */
export interface Machine extends AsyncDisposable {
  /** What the guest writes to a port, until the machine ends. */
  output(port: string): ReadableStream<Uint8Array>;
  /** Ends the machine at once. */
  kill(): void;
  /** Why it may have ended: the end of QEMU's standard error and of the guest's console. */
  explain(): Promise<string>;
}

/**
 * Starts a virtual machine and waits until its ports are connected, which is before its kernel runs.
 *
 * @param virtiofsd The virtiofsd executable
 * @param signal Kills the machine
 * @throws {GuestError} `GuestFailed` if QEMU or virtiofsd ends at once
 */
export async function startMachine(
  spec: MachineSpec,
  virtiofsd: string,
  signal: AbortSignal,
): Promise<Machine> {
  await using stack = new AsyncDisposableStack();
  if (spec.hostTree) {
    await startFileServer(stack, fileServerSocket(spec.directory), virtiofsd, signal);
  }

  const listeners = spec.ports.map((port) =>
    stack.use(Deno.listen({ transport: "unix", path: join(spec.directory, port) }))
  );
  const qemu = stack.use(
    startHostProcess(["qemu-system-x86_64", ...qemuArguments(spec)], { signal }),
  );
  const ended = qemu.status.then(() => undefined);
  const connections = new Map<string, ReadableStream<Uint8Array>>();
  for (const [index, listener] of listeners.entries()) {
    const accepted = listener.accept();
    // Disposing of the listener rejects what is still waiting.
    accepted.catch(() => {});
    const connection = await Promise.race([accepted, ended]);
    if (connection === undefined) {
      signal.throwIfAborted();
      throw new GuestError("GuestFailed", `QEMU ended at once: ${await qemu.errorTail}`);
    }
    stack.defer(() => closeQuietly(connection));
    connections.set(spec.ports[index] ?? "", connection.readable);
  }

  const owned = stack.move();
  return {
    output(port) {
      const stream = connections.get(port);
      if (stream === undefined) throw new RangeError(`The machine has no port "${port}"`);
      return stream;
    },
    kill: () => killQuietly(qemu),
    async explain() {
      killQuietly(qemu);
      return `${await qemu.errorTail} ${await consoleTail(spec.directory)}`.trim();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts virtiofsd for the host's tree and waits until its socket is there. */
async function startFileServer(
  stack: AsyncDisposableStack,
  socket: string,
  virtiofsd: string,
  signal: AbortSignal,
): Promise<void> {
  const options = ["-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"];
  const server = stack.use(
    startHostProcess([virtiofsd, `--socket-path=${socket}`, ...options], { signal }),
  );
  let running = true;
  server.status.then(() => running = false);
  const deadline = performance.now() + SOCKET_DEADLINE_MS;
  while (!await Deno.lstat(socket).then(() => true, () => false)) {
    signal.throwIfAborted();
    if (!running || performance.now() > deadline) {
      killQuietly(server);
      throw new GuestError(
        "GuestFailed",
        `Expected virtiofsd to serve "${socket}", found none: ${await server.errorTail}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, SOCKET_POLL_MS));
  }
}

/** The end of what the guest's kernel said, without control sequences. */
async function consoleTail(directory: string): Promise<string> {
  const text = await Deno.readTextFile(join(directory, "console")).catch(() => "");
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[[0-9;?]*[a-zA-Z]|\r/g, "").trim().split("\n").slice(-10).join("\n");
}

function killQuietly(process: HostProcess): void {
  try {
    Deno.kill(process.pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Reading to its end has closed it.
  }
}
