/** The routes of the daemon's socket: see lib/ipc/messages.ts for the protocol. */
import { type Context, Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import { type CniArgs, cniCommands, needsNetns, parseCniArgs } from "../../lib/cni/args.ts";
import { type NetworkConfig, parseNetworkConfig } from "../../lib/cni/config.ts";
import { asCniError, CniError } from "../../lib/cni/errors.ts";
import { type CniResult, toVersionedResult } from "../../lib/cni/result.ts";
import { requireCommandVersion } from "../../lib/cni/version.ts";
import { type NetworkWishes, parseNetworkWishes } from "../../lib/cni/wishes.ts";
import {
  bodyTimeoutMs,
  type CreatedRequest,
  type ExecuteAnswer,
  maxBodyBytes,
  maxCreateBytes,
  maxEnvValueLength,
  maxEnvVariables,
} from "../../lib/ipc/messages.ts";
import { BodyError, type BodyLimits, readRequestBody } from "../../lib/ipc/request_body.ts";
import { isNestedTooDeep, mostLevels } from "../../lib/nesting.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "./metrics.ts";
import type { ClaimedRequest, RequestRegistry } from "./request_registry.ts";

/** One validated call. */
export interface CniCall {
  /** Validated environment. */
  readonly args: CniArgs;
  /** Validated configuration. */
  readonly config: NetworkConfig;
  /** A logger that tells the request. */
  readonly log: Logger;
}

/** A call that works in the container's network namespace. */
export interface CniNetnsCall extends CniCall {
  /** The namespace's descriptor; the caller closes it after the call. */
  readonly netns: { readonly fd: number };
  /** What the configuration asks for this attachment. */
  readonly wishes: NetworkWishes;
}

/** What runs the commands. Each throws a CniError to refuse. */
export interface CniHandlers {
  /** Attaches; gives the result for the chain. */
  add(call: CniNetnsCall, signal: AbortSignal): Promise<CniResult>;
  /** Detaches; resolves when nothing is left, also if nothing was there. */
  del(call: CniCall, signal: AbortSignal): Promise<void>;
  /** Compares the container's network with what ADD made. */
  check(call: CniNetnsCall, signal: AbortSignal): Promise<void>;
  /** Detaches what the runtime no longer uses. */
  gc(call: CniCall, signal: AbortSignal): Promise<void>;
  /** Resolves when ADD can be served. */
  status(call: CniCall, signal: AbortSignal): Promise<void>;
}

/** What the routes work with. */
export interface CniApiDeps {
  /** Outstanding requests. */
  readonly registry: RequestRegistry<OwnedFd>;
  /** What runs the commands. */
  readonly handlers: CniHandlers;
  /** The daemon's log. */
  readonly log: Logger;
  /** Where operations are counted. */
  readonly metrics: Metrics;
  /**
   * Gives the signal of one command from that of its connection and whether somebody still waits for its answer; dispose of it when the
   * command has ended.
   */
  readonly commandSignal: (
    connection: AbortSignal,
    isAwaited: () => boolean,
  ) => { readonly signal: AbortSignal } & Disposable;
  /** Milliseconds for the body of a request to arrive; the protocol's when absent. */
  readonly bodyTimeoutMs?: number | undefined;
}

const createSchema = z.object({ pid: z.int().positive() });

const executeSchema = z.object({
  command: z.enum(cniCommands),
  env: z.record(z.string().regex(/^CNI_[A-Z_]{1,32}$/), z.string().max(maxEnvValueLength)).refine(
    (env) => Object.keys(env).length <= maxEnvVariables,
    `Expected at most ${maxEnvVariables} variables`,
  ),
  config: z.unknown(),
  descriptor: z.boolean(),
});

/** What is read of a body whose request is refused already. */
const refusedBody: BodyLimits = { maxBytes: 64 * 1024, timeoutMs: 1_000 };

type ExecuteBody = z.infer<typeof executeSchema>;

/** Makes what answers the requests of the daemon's socket. */
export function createCniApi(
  deps: CniApiDeps,
): (request: Request) => Response | Promise<Response> {
  const app = new Hono();
  const timeoutMs = deps.bodyTimeoutMs ?? bodyTimeoutMs;
  app.post("/v1/requests", async (c) => {
    const limits = { maxBytes: maxCreateBytes, timeoutMs };
    const body = await parseBody(c, createSchema, limits);
    const answer: CreatedRequest = { rid: deps.registry.create(body.pid) };
    return c.json(answer, 201);
  });
  app.post("/v1/requests/:rid", (c) => execute(c, deps));
  app.notFound((c) =>
    refusal(c, new CniError("RequestRefused", "Expected a route of this API, found another"), 404)
  );
  app.onError((thrown, c) => {
    const error = asCniError(thrown);
    if (error.code === "Internal") deps.log.error("Request failed", { error: error.message });
    return refusal(c, error);
  });
  return (request) => app.fetch(request);
}

async function execute(c: Context, deps: CniApiDeps): Promise<Response> {
  const rid = c.req.param("rid") ?? "";
  using claimed = await claim(c, rid, deps);
  const startedAt = performance.now();
  using command = deps.commandSignal(c.req.raw.signal, claimed.isAwaited);
  // The request id is a secret while it lives; its first digits are enough to find a request in the log.
  let log = deps.log.with({ rid: rid.slice(0, 8) });
  let verb = "OTHER";
  const ended = (result: "ok" | "error"): void => {
    deps.metrics.operation(verb, result, (performance.now() - startedAt) / 1000);
  };
  try {
    const body = await parseBody(c, executeSchema, {
      maxBytes: maxBodyBytes,
      timeoutMs: deps.bodyTimeoutMs ?? bodyTimeoutMs,
    });
    verb = body.command;
    const { args, config, wishes } = parseCall(body);
    log = log.with(callFields(args, config));
    using netns = needsNetns(args.command) ? await claimed.descriptor(command.signal) : undefined;
    const result = await run(
      { args, config, log },
      { netns, wishes },
      deps.handlers,
      command.signal,
    );
    const answer: ExecuteAnswer = result === undefined
      ? {}
      : { result: toVersionedResult(result, config.cniVersion) };
    ended("ok");
    // To the tenth: an ADD takes two or three.
    const milliseconds = Math.round((performance.now() - startedAt) * 10) / 10;
    log.info("Command done", { verb, milliseconds });
    return c.json(answer);
  } catch (thrown) {
    ended("error");
    const error = command.signal.aborted && !(thrown instanceof CniError)
      ? stopped(command.signal)
      : asCniError(thrown);
    log.warn("Command failed", {
      verb,
      code: error.cniCode,
      error: error.message,
      details: error.details,
    });
    return refusal(c, error);
  }
}

/** Uses a request id up. What came with one that is refused is read all the same where it is small: else its sender may not hear why. */
async function claim(c: Context, rid: string, deps: CniApiDeps): Promise<ClaimedRequest<OwnedFd>> {
  try {
    return deps.registry.claim(rid);
  } catch (refused) {
    await readRequestBody(c.req.raw, refusedBody).catch(() => "");
    throw refused;
  }
}

/** What only the commands have that work in the container's namespace. */
type NetnsPart = {
  readonly netns: OwnedFd | undefined;
  readonly wishes: NetworkWishes | undefined;
};

function parseCall(
  body: ExecuteBody,
): { args: CniArgs; config: NetworkConfig } & Pick<NetnsPart, "wishes"> {
  const config = parseNetworkConfig(body.config);
  const args = parseCniArgs(body.env);
  requireCommandVersion(args.command, config.cniVersion);
  if (args.command !== body.command) {
    throw new CniError(
      "InvalidEnvironment",
      `Expected "CNI_COMMAND" to be "${body.command}" as in the request, found "${args.command}"`,
    );
  }
  if (needsNetns(args.command) && !body.descriptor) {
    throw new CniError(
      "RequestRefused",
      `Expected the descriptor of the container's network namespace for "${args.command}", found a request without one`,
    );
  }
  // What cannot be understood must not keep a container from being deleted.
  const wishes = needsNetns(args.command) ? parseNetworkWishes(body.config) : undefined;
  return { args, config, wishes };
}

async function run(
  call: CniCall,
  { netns, wishes }: NetnsPart,
  handlers: CniHandlers,
  signal: AbortSignal,
): Promise<CniResult | undefined> {
  switch (call.args.command) {
    case "ADD":
      return await handlers.add(
        { ...call, netns: present(netns), wishes: present(wishes) },
        signal,
      );
    case "CHECK":
      await handlers.check({ ...call, netns: present(netns), wishes: present(wishes) }, signal);
      return undefined;
    case "DEL":
      await handlers.del(call, signal);
      return undefined;
    case "GC":
      await handlers.gc(call, signal);
      return undefined;
    case "STATUS":
      await handlers.status(call, signal);
      return undefined;
    case "VERSION":
      throw new CniError(
        "InvalidEnvironment",
        'Expected the plugin to answer "VERSION" by itself, found it in a request',
      );
  }
}

function present<T>(part: T | undefined): T {
  if (part !== undefined) return part;
  throw new CniError(
    "Internal",
    "Expected descriptor and wishes for a command in the container's namespace, found none",
  );
}

async function parseBody<T extends z.ZodType>(
  c: Context,
  schema: T,
  limits: BodyLimits,
): Promise<z.infer<T>> {
  const text = await readText(c, limits);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CniError("DecodeFailure", "Expected a JSON body, found something else", { cause });
  }
  if (isNestedTooDeep(value)) {
    throw new CniError(
      "DecodeFailure",
      `Expected a body that is nested at most ${mostLevels} levels deep, found more`,
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new CniError(
    "DecodeFailure",
    "Expected a request of this API, found wrong fields; check that plugin and daemon are of the same release",
    { details: z.prettifyError(parsed.error) },
  );
}

async function readText(c: Context, limits: BodyLimits): Promise<string> {
  try {
    return await readRequestBody(c.req.raw, limits);
  } catch (cause) {
    if (!(cause instanceof BodyError)) throw cause;
    throw new CniError("RequestRefused", cause.message, { cause });
  }
}

function callFields(args: CniArgs, config: NetworkConfig): Record<string, string> {
  return {
    network: config.name,
    containerId: args.containerId,
    ifname: args.ifname,
    namespace: args.pod.namespace,
    pod: args.pod.name,
  };
}

function stopped(signal: AbortSignal): CniError {
  return new CniError(
    "TryAgainLater",
    "Expected the command to end in time, found it stopped; what it had done was undone",
    { cause: signal.reason },
  );
}

function refusal(c: Context, error: CniError, status = statusOf(error)): Response {
  // What was not read of the body would be taken for the next request.
  if (error.cause instanceof BodyError) c.header("connection", "close");
  const answer: ExecuteAnswer = {
    error: {
      code: error.cniCode,
      msg: error.message,
      ...(error.details === undefined ? {} : { details: error.details }),
    },
  };
  return c.json(answer, status);
}

/** The status is for people with curl: the plugin reads the error object. */
function statusOf(error: CniError): ContentfulStatusCode {
  switch (error.code) {
    case "TryAgainLater":
    case "NotAvailable":
    case "LimitedConnectivity":
      return 503;
    case "Internal":
    case "AttachFailed":
    case "DetachFailed":
    case "AddressesExhausted":
      return 500;
    default:
      return 400;
  }
}
