/** Counts what passes through a connection to the API. */
import type { KubeConnection, KubeRequest } from "../../daemon/kube/transport.ts";

/** A request that was sent. */
export interface CountedRequest {
  /** Verb and resource, such as `PATCH ipblocks/status`. */
  readonly what: string;
  /** When, in milliseconds of `performance.now`. */
  readonly at: number;
  /** Code of the refusal, such as `AlreadyExists`; absent after an answer. */
  refusal?: string;
}

/** What has passed so far. */
export class RequestCount {
  /** All requests, in order. */
  readonly requests: CountedRequest[] = [];
  /** Lines of watches: events and bookmarks. */
  events = 0;
  /** Bytes of watches. */
  watchBytes = 0;
  /** Bytes of lists, as JSON. */
  listBytes = 0;
}

/** A connection that counts, over one that others may use too. */
export function countConnection(inner: KubeConnection, count: RequestCount): KubeConnection {
  const counted = async <T>(request: KubeRequest, run: () => Promise<T>): Promise<T> => {
    const entry: CountedRequest = { what: describe(request), at: performance.now() };
    count.requests.push(entry);
    try {
      return await run();
    } catch (error) {
      entry.refusal = error instanceof Error && "code" in error ? String(error.code) : "Failed";
      throw error;
    }
  };
  return {
    get server() {
      return inner.server;
    },
    json: (request) =>
      counted(request, async () => {
        const answer = await inner.json(request);
        if (isList(request)) count.listBytes += JSON.stringify(answer).length;
        return answer;
      }),
    stream: (request) =>
      counted(request, async () => countChunks(await inner.stream(request), count)),
    [Symbol.dispose]: () => {},
  };
}

async function* countChunks(
  chunks: AsyncIterable<Uint8Array>,
  count: RequestCount,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    count.watchBytes += chunk.length;
    for (const byte of chunk) if (byte === 10) count.events += 1;
    yield chunk;
  }
}

function isList({ method = "GET", query }: KubeRequest): boolean {
  return method === "GET" && query?.["limit"] !== undefined;
}

function describe(request: KubeRequest): string {
  const { method = "GET", path, query } = request;
  const verb = query?.["watch"] === "true" ? "WATCH" : isList(request) ? "LIST" : method;
  const words = path.split("/").slice(path.startsWith("/apis/") ? 4 : 3);
  const [resource, , subresource] = words[0] === "namespaces" && words.length > 2
    ? words.slice(2)
    : words;
  return `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
}
