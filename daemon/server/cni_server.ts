import { messageOf } from "../../lib/errors.ts";
import { commandTimeoutMs } from "../../lib/ipc/messages.ts";
import { keepServing } from "../../lib/ipc/lasting_server.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { FdReceiver } from "../../lib/sys/fd_receiver.ts";
import type { Logger } from "../log.ts";
import { type CniHandlers, createCniApi } from "./cni_api.ts";
import { receiveDescriptors } from "./fd_receiver.ts";
import type { Metrics } from "./metrics.ts";
import { processIdentity } from "./process_identity.ts";
import { type RegistryOptions, RequestRegistry } from "./request_registry.ts";
import {
  fileIdentity,
  ownSocketDirectory,
  removeStaleSocket,
  requireSockets,
} from "./socket_path.ts";

/** What the server is made of. */
export interface CniServerOptions {
  /** Path of the HTTP socket. */
  readonly apiPath: string;
  /** Path of the datagram socket for descriptors. */
  readonly fdPath: string;
  /** What runs the commands. */
  readonly handlers: CniHandlers;
  /** The daemon's log. */
  readonly log: Logger;
  /** Where operations are counted. */
  readonly metrics: Metrics;
  /** Limits other than the usual ones, for tests. */
  readonly limits?: Pick<RegistryOptions, "lifetimeMs" | "fdTimeoutMs" | "maxOutstanding">;
  /** Milliseconds for one command. */
  readonly commandTimeoutMs?: number;
  /** Milliseconds for the body of a request to arrive. */
  readonly bodyTimeoutMs?: number;
  /** Milliseconds that running commands get at shutdown before they are aborted; ten seconds when absent. */
  readonly graceMs?: number;
}

/** A running server. Disposing of it lets the running commands finish. */
export interface CniServer extends AsyncDisposable {
  /** Rejects when the descriptor socket fails or a socket's file is gone; resolves after the end. */
  readonly finished: Promise<void>;
}

const sweepEveryMs = 1_000;

/**
 * Milliseconds for running commands at shutdown. What takes longer waits for something that is not coming, such as FRR that stops at the
 * same time; it is undone, and the runtime asks the next daemon. A pod's and a unit's time to stop must be longer.
 */
const shutdownGraceMs = 10_000;

/**
 * Serves both sockets of the daemon.
 *
 * @throws {SocketPathError} When a socket cannot be put at its path
 * @throws {FdReceiverError} When another process receives descriptors there
 */
export async function startCniServer(options: CniServerOptions): Promise<CniServer> {
  await ownSocketDirectory(options.apiPath);
  await ownSocketDirectory(options.fdPath);
  await removeStaleSocket(options.apiPath);
  const receiver = FdReceiver.bind(options.fdPath);
  try {
    return serve(options, receiver);
  } catch (thrown) {
    await receiver[Symbol.asyncDispose]();
    throw thrown;
  }
}

function serve(options: CniServerOptions, receiver: FdReceiver): CniServer {
  const registry = new RequestRegistry<OwnedFd>({
    now: () => performance.now(),
    randomId: () => crypto.getRandomValues(new Uint8Array(16)).toHex(),
    processIdentity,
    ...options.limits,
  });
  const stopReceiving = new AbortController();
  const stopCommands = new AbortController();
  const { handlers, log, metrics } = options;
  const timeoutMs = options.commandTimeoutMs ?? commandTimeoutMs;
  const answer = createCniApi({
    registry,
    handlers,
    log,
    metrics,
    commandSignal: (connection, isAwaited) =>
      limited([connection, stopCommands.signal], timeoutMs, isAwaited),
    bodyTimeoutMs: options.bodyTimeoutMs,
  });
  const lost = Promise.withResolvers<never>();
  const sockets = new Map([[options.fdPath, fileIdentity(options.fdPath)]]);
  const http = keepServing({
    start(signal) {
      const path = options.apiPath;
      const server = Deno.serve({ path, signal, onListen: () => {} }, (request) => answer(request));
      Deno.chmodSync(path, 0o600);
      sockets.set(path, fileIdentity(path));
      return server;
    },
    ended(cause) {
      // Until it is back nobody may stand there.
      sockets.set(options.apiPath, undefined);
      log.error("Socket is opened anew", { path: options.apiPath, error: messageOf(cause) });
    },
    refused(cause) {
      if (cause instanceof Deno.errors.AddrInUse) lost.reject(cause);
    },
  });
  // A server that ends takes its file away a moment before it says so: lost is what two looks in a row miss.
  let missed = false;
  const sweeper = setInterval(() => {
    registry.sweep();
    try {
      requireSockets([...sockets]);
      missed = false;
    } catch (thrown) {
      if (missed) lost.reject(thrown);
      missed = true;
    }
  }, sweepEveryMs);
  const refused = (reason: string) => metrics.descriptorRefused(reason);
  const receiving = receiveDescriptors(
    { source: receiver, registry, log, refused },
    stopReceiving.signal,
  );
  const finished = Promise.race([receiving, lost.promise]);
  finished.catch((thrown: unknown) => log.error("Sockets failed", { error: messageOf(thrown) }));
  return {
    finished,
    async [Symbol.asyncDispose]() {
      const grace = setTimeout(() => stopCommands.abort(), options.graceMs ?? shutdownGraceMs);
      await http.shutdown();
      clearTimeout(grace);
      clearInterval(sweeper);
      stopReceiving.abort();
      await receiving.catch(() => {});
      await receiver[Symbol.asyncDispose]();
      registry[Symbol.dispose]();
      // Another daemon's socket may stand there by now.
      if (fileIdentity(options.apiPath) === sockets.get(options.apiPath)) {
        await Deno.remove(options.apiPath).catch(ignoreMissing);
      }
    },
  };
}

/**
 * How often it is looked whether a command's plugin still runs, in milliseconds. Its connection alone does not tell: while a request is answered
 * that was larger than its first kilobyte, Deno 2.9 does not notice that the other side has gone.
 */
const lookEveryMs = 250;

/** A signal that aborts with any of the others, at the timeout, or when nobody waits any more, and that leaves no timer behind. */
function limited(
  signals: readonly AbortSignal[],
  timeoutMs: number,
  isAwaited: () => boolean,
): { readonly signal: AbortSignal } & Disposable {
  const limit = new AbortController();
  const timer = setTimeout(
    () => limit.abort(new DOMException("The command took too long", "TimeoutError")),
    timeoutMs,
  );
  const looks = setInterval(() => {
    if (!isAwaited()) limit.abort(new DOMException("The plugin has ended", "AbortError"));
  }, lookEveryMs);
  return {
    signal: AbortSignal.any([...signals, limit.signal]),
    [Symbol.dispose]() {
      clearTimeout(timer);
      clearInterval(looks);
    },
  };
}

function ignoreMissing(thrown: unknown): void {
  if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
}
