import {
  checkServer,
  type Credentials,
  type CredentialSource,
  noContext,
  readCredentials,
} from "./credentials.ts";
import { errorOfAnswer, errorOfStatus, errorOfTransport, KubeError } from "./kube_error.ts";
import { type Wait, wait } from "./wait.ts";

/** One request to the API. */
export interface KubeRequest {
  /** HTTP method; GET when absent. */
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path below the server's address. */
  readonly path: string;
  /** Query parameters; undefined ones are left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Body, sent as JSON. */
  readonly body?: unknown;
  /** Media type of the body; `application/json` when absent. */
  readonly contentType?: string;
  /** What is asked, for messages, such as `get vrfdomains "blue"`. */
  readonly about: string;
  /** Aborts the request. */
  readonly signal?: AbortSignal | undefined;
}

/** The way to a Kubernetes API server. Requests throw {@linkcode KubeError}, or the signal's reason when it aborts. */
export interface KubeConnection extends Disposable {
  /** The server's address, as the configuration named it last. */
  readonly server: string;
  /** Asks and returns the answer's JSON. Waits and repeats when the server is too busy and says for how long. */
  json(request: KubeRequest): Promise<unknown>;
  /** Asks and returns the answer's body as it comes; only the signal, which is for this request alone, ends it. */
  stream(
    request: KubeRequest & { readonly signal: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>>;
}

/** Timing of requests. */
export interface TransportOptions {
  /** How long a request may take, in milliseconds. */
  readonly timeoutMs?: number;
  /** Age after which the credentials' files are read again, in milliseconds. */
  readonly credentialsMaxAgeMs?: number;
  /** How often a request is sent at most while the server is too busy. */
  readonly attempts?: number;
  /** The clock's wait; a test records it. */
  readonly wait?: Wait;
  /** The clock itself, in milliseconds; it never goes back. */
  readonly now?: () => number;
  /** Source of numbers from 0 to 1. */
  readonly random?: () => number;
}

const longestRetryAfterMs = 10_000;

/**
 * Makes the connection over fetch, with connections that are kept and used again.
 *
 * HTTP/1.1 only: a dead HTTP/2 connection would be taken for each new request until TCP gives it up, and a request
 * that times out closes an HTTP/1.1 connection.
 *
 * @param load Reads the configuration; called again each time that the credentials are renewed
 * @param options Timing
 * @throws {KubeError} `Invalid` if the configuration cannot be read or names no server
 */
export function createHttpTransport(
  load: () => CredentialSource,
  options: TransportOptions = {},
): KubeConnection {
  const { timeoutMs = 15_000, attempts = 4, wait: pause = wait } = options;
  const random = options.random ?? Math.random;
  const throttle = createThrottle(options.now ?? (() => performance.now()));
  const session = createSession(load, options.credentialsMaxAgeMs ?? 10_000);

  const once = async (request: KubeRequest, signal: AbortSignal): Promise<Response> => {
    for (let renewed = false;; renewed = true) {
      const { client, headers, server } = await session.current(renewed);
      const response = await fetch(urlOf(server, request), {
        client,
        method: request.method ?? "GET",
        headers: {
          accept: "application/json",
          ...headers,
          ...(request.body === undefined
            ? {}
            : { "content-type": request.contentType ?? "application/json" }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        redirect: "error",
        signal,
      });
      // The token's file may have been replaced since it was read.
      if (response.status !== 401 || renewed) return response;
      await response.body?.cancel();
    }
  };

  const checked = async (request: KubeRequest, signal: AbortSignal): Promise<Response> => {
    throttle.check(request);
    const response = await once(request, signal);
    if (response.ok) return response;
    const error = errorOfStatus(
      response.status,
      parseJson(await response.text()),
      request.about,
      response.headers.get("retry-after"),
    );
    throttle.note(request, error);
    throw error;
  };

  /** Runs one attempt; its time limit covers the body only for {@linkcode KubeConnection.json}. */
  const limited = async <R>(
    request: KubeRequest,
    run: (signal: AbortSignal, keepLinked: () => void) => Promise<R>,
  ): Promise<R> => {
    request.signal?.throwIfAborted();
    const limit = new AbortController();
    const timer = setTimeout(() => {
      limit.abort(new DOMException(`no answer within ${timeoutMs} ms`, "TimeoutError"));
    }, timeoutMs);
    const abort = () => limit.abort(request.signal?.reason);
    const unlink = () => request.signal?.removeEventListener("abort", abort);
    request.signal?.addEventListener("abort", abort);
    let streaming = false;
    try {
      return await run(limit.signal, () => {
        streaming = true;
      });
    } catch (thrown) {
      streaming = false;
      if (request.signal?.aborted) throw request.signal.reason;
      throw errorOfTransport(
        limit.signal.aborted ? limit.signal.reason : thrown,
        request.about,
        session.server,
      );
    } finally {
      clearTimeout(timer);
      // A daemon's signal lives as long as the daemon: a request must not leave a listener on it.
      if (!streaming) unlink();
    }
  };

  return {
    get server() {
      return session.server;
    },
    async json(request) {
      for (let attempt = 1;; attempt++) {
        try {
          return await limited(request, async (signal) => {
            const text = await (await checked(request, signal)).text();
            const body = parseJson(text);
            if (typeof body === "object" && body !== null) return body;
            throw errorOfAnswer(
              request.about,
              `expected a JSON object, found "${text.slice(0, 80)}"`,
            );
          });
        } catch (thrown) {
          const delay = thrown instanceof KubeError ? thrown.retryAfterMs : undefined;
          if (delay === undefined || delay > longestRetryAfterMs || attempt >= attempts) {
            throw thrown;
          }
          // All that were refused in one second are told to come back after the same time: not all at once.
          await pause(delay * (1 + random()), request.signal);
        }
      }
    },
    stream: (request) =>
      limited(request, async (signal, keepLinked) => {
        const { body } = await checked(request, signal);
        keepLinked();
        if (body === null) throw errorOfAnswer(request.about, "it has no body");
        return chunksOf(body, request.signal);
      }),
    [Symbol.dispose]: () => session[Symbol.dispose](),
  };
}

/**
 * The chunks of a body until the signal aborts. The signal given to fetch is not enough: once the response has been
 * collected as garbage, Deno 2.9.6 no longer ends its body on abort, and a read waits for ever.
 */
async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener("abort", cancel);
    await reader.cancel().catch(() => {});
  }
}

interface Throttle {
  /** @throws {KubeError} `Throttled` while the server wants to be left alone with the request */
  check(request: KubeRequest): void;
  note(request: KubeRequest, error: KubeError): void;
}

/**
 * Remembers which requests the server asked not to repeat before a time, and keeps them from being sent sooner, whoever
 * asks: a caller that gives up and begins anew must not make it worse.
 */
function createThrottle(now: () => number): Throttle {
  const until = new Map<string, number>();
  const keyOf = ({ method = "GET", path }: KubeRequest) => `${method} ${path}`;
  return {
    check(request) {
      const left = Math.ceil((until.get(keyOf(request)) ?? 0) - now());
      if (left <= 0) return;
      throw new KubeError(
        "Throttled",
        `The API server asked to wait before it is asked again to ${request.about}, ` +
          `for another ${left} ms; repeat it then`,
        { retryAfterMs: left },
      );
    },
    note(request, { retryAfterMs }) {
      if (retryAfterMs === undefined) return;
      const present = now();
      for (const [key, time] of until) if (time <= present) until.delete(key);
      until.set(keyOf(request), present + retryAfterMs);
    },
  };
}

interface Session extends Disposable {
  /** Address of the server, as read last. */
  readonly server: string;
  current(renew: boolean): Promise<{
    server: string;
    client: Deno.HttpClient;
    headers: Readonly<Record<string, string>>;
  }>;
}

/** Keeps the credentials and the HTTP client that goes with their certificates. */
function createSession(load: () => CredentialSource, maxAgeMs: number): Session {
  let server = serverOf(load());
  let read: { readonly at: number; readonly credentials: Promise<Credentials> } | undefined;
  /** The newest last. */
  let clients: readonly { readonly key: string; readonly client: Deno.HttpClient }[] = [];

  const clientOf = (credentials: Credentials): Deno.HttpClient => {
    const { caCerts, client, proxyUrl } = credentials;
    const key = JSON.stringify([caCerts, client, proxyUrl]);
    const known = clients.find((each) => each.key === key);
    if (known !== undefined) return known.client;
    const made = Deno.createHttpClient({
      caCerts: [...caCerts],
      http2: false,
      ...(client ?? {}),
      ...(proxyUrl === undefined ? {} : { proxy: { url: proxyUrl } }),
    });
    // The one before may have been handed out for a request that is about to start; requests under way outlive their client.
    for (const { client } of clients.slice(0, -1)) client.close();
    clients = [...clients.slice(-1), { key, client: made }];
    return made;
  };

  return {
    get server() {
      return server;
    },
    async current(renew) {
      const now = performance.now();
      if (renew || read === undefined || now - read.at > maxAgeMs) {
        read = { at: now, credentials: Promise.resolve().then(() => readCredentials(load())) };
      }
      const mine = read;
      try {
        const credentials = await mine.credentials;
        server = credentials.server;
        return { server, client: clientOf(credentials), headers: credentials.headers };
      } catch (thrown) {
        if (read === mine) read = undefined;
        throw thrown;
      }
    },
    [Symbol.dispose]() {
      for (const { client } of clients) client.close();
      clients = [];
    },
  };
}

function serverOf(config: CredentialSource): string {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw noContext();
  return checkServer(cluster.server);
}

function urlOf(server: string, request: KubeRequest): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) query.set(name, value);
  }
  const text = query.toString();
  return `${server}${request.path}${text === "" ? "" : `?${text}`}`;
}

/** The text as JSON, or the text itself where it is none. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
