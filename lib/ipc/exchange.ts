/** The plugin's side of one call: request id, descriptor, command, answer. */
import { type CniArgs, type CniEnv, needsNetns } from "../cni/args.ts";
import { CniError, type CniErrorObject } from "../cni/errors.ts";
import { SysError } from "../sys/errno.ts";
import { openNetns } from "../sys/netns.ts";
import { sendFd } from "../sys/unix_datagram.ts";
import { IpcError, JsonConnection } from "./client.ts";
import {
  type CreateRequest,
  exchangeTimeoutMs,
  type ExecuteRequest,
  type FdMessage,
  ridPattern,
} from "./messages.ts";

/** Where the daemon listens. */
export interface DaemonSockets {
  /** Path of the HTTP socket. */
  readonly api: string;
  /** Path of the datagram socket for descriptors. */
  readonly fd: string;
}

/** One call, as the plugin got it. */
export interface PluginCall {
  /** Validated environment. */
  readonly args: CniArgs;
  /** CNI_* variables, as forwarded. */
  readonly env: CniEnv;
  /** Parsed configuration, as forwarded. */
  readonly config: unknown;
}

/** What the daemon answered: the result if the command has one, or an error object to pass on. */
export type PluginAnswer =
  | { readonly result: Readonly<Record<string, unknown>> | undefined }
  | { readonly error: Omit<CniErrorObject, "cniVersion"> };

/** What {@linkcode exchange} takes from its surroundings. */
export interface ExchangeOptions {
  /** This process's id, as the daemon sees it. */
  readonly pid: number;
  /** Milliseconds for the whole exchange. */
  readonly timeoutMs?: number;
}

/**
 * Has the daemon run a command and gives its answer.
 *
 * @throws {CniError} `TryAgainLater` when the daemon is away or slow, `InvalidEnvironment` when CNI_NETNS cannot be opened,
 * `IoFailure` when the answer makes no sense
 */
export async function exchange(
  call: PluginCall,
  sockets: DaemonSockets,
  options: ExchangeOptions,
): Promise<PluginAnswer> {
  const timeoutMs = options.timeoutMs ?? exchangeTimeoutMs;
  // Not setTimeout: its first use loads the runtime's Node timers, a fifth of the plugin's whole processor time.
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    return await talk(call, sockets, options.pid, signal);
  } catch (thrown) {
    if (signal.aborted) {
      throw new CniError(
        "TryAgainLater",
        `Expected the daemon at "${sockets.api}" to answer within ${timeoutMs} ms, found no answer; look at the daemon's log`,
      );
    }
    throw thrown instanceof IpcError ? translate(thrown) : thrown;
  }
}

async function talk(
  call: PluginCall,
  sockets: DaemonSockets,
  pid: number,
  signal: AbortSignal,
): Promise<PluginAnswer> {
  const descriptor = needsNetns(call.args.command);
  using netns = descriptor ? openContainerNetns(call.args.netns) : undefined;
  using connection = await JsonConnection.open(sockets.api);
  const create: CreateRequest = { pid };
  const created = await connection.post("/v1/requests", JSON.stringify(create), signal);
  const refusal = errorIn(created.body);
  if (refusal !== undefined) return { error: refusal };
  const rid = ridIn(created.body);
  if (netns !== undefined) sendNetns(sockets.fd, netns.fd, rid);
  const execute: ExecuteRequest = {
    command: call.args.command,
    env: call.env,
    config: call.config,
    descriptor,
  };
  const answer = await connection.post(`/v1/requests/${rid}`, JSON.stringify(execute), signal);
  const error = errorIn(answer.body);
  if (error !== undefined) return { error };
  if (answer.status !== 200 || !isRecord(answer.body)) throw senseless();
  const result = answer.body["result"];
  if (result === undefined) return { result };
  if (!isRecord(result)) throw senseless();
  return { result };
}

function openContainerNetns(path: string): ReturnType<typeof openNetns> {
  try {
    return openNetns(path);
  } catch (cause) {
    throw new CniError(
      "InvalidEnvironment",
      `Expected "CNI_NETNS" to be the path of a network namespace, found ${
        JSON.stringify(path)
      }, which cannot be opened`,
      { cause, ...(cause instanceof Error ? { details: cause.message } : {}) },
    );
  }
}

function sendNetns(path: string, fd: number, rid: string): void {
  const message: FdMessage = { rid };
  try {
    sendFd(path, fd, new TextEncoder().encode(JSON.stringify(message)));
  } catch (cause) {
    if (!(cause instanceof SysError)) throw cause;
    throw new CniError(
      "TryAgainLater",
      `Expected the daemon to take the namespace's descriptor on "${path}", found that it could not be sent; check that the daemon runs on this node`,
      { cause, details: cause.message },
    );
  }
}

function ridIn(body: unknown): string {
  const rid = isRecord(body) ? body["rid"] : undefined;
  if (typeof rid === "string" && ridPattern.test(rid)) return rid;
  throw senseless();
}

function errorIn(body: unknown): Omit<CniErrorObject, "cniVersion"> | undefined {
  const error = isRecord(body) ? body["error"] : undefined;
  if (!isRecord(error)) return undefined;
  const { code, msg, details } = error;
  if (typeof code !== "number" || typeof msg !== "string") return undefined;
  return typeof details === "string" ? { code, msg, details } : { code, msg };
}

function translate(error: IpcError): CniError {
  const away = error.code === "DaemonUnreachable" || error.code === "ConnectionLost";
  return new CniError(away ? "TryAgainLater" : "IoFailure", error.message, {
    cause: error,
    ...(error.cause instanceof Error ? { details: error.cause.message } : {}),
  });
}

function senseless(): CniError {
  return new CniError(
    "IoFailure",
    "Expected a request id or a result of the daemon, found neither; check that plugin and daemon are of the same release",
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
