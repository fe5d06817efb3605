import { keepServing } from "../../lib/ipc/lasting_server.ts";
import type { Metrics } from "./metrics.ts";

/** Whether the daemon can do its work, and what it lacks when not. */
export interface Readiness {
  /** Whether everything that an ADD needs is there. */
  readonly ready: boolean;
  /** What is missing, for a person; empty when ready. */
  readonly reasons: readonly string[];
}

/** What the probes ask. */
export interface ProbeDeps {
  /** Asked at each `/readyz`. */
  readonly readiness: () => Readiness;
  /** Rendered at each `/metrics`. */
  readonly metrics: Metrics;
  /** Is told when the server had to be started anew. */
  readonly failed?: (cause: unknown) => void;
}

/** Where the probes listen. */
export interface ProbeAddress {
  /** Address to listen on. */
  readonly hostname: string;
  /** TCP port; 0 takes a free one. */
  readonly port: number;
}

/** A running probe server. */
export interface ProbeServer extends AsyncDisposable {
  /** The port it listens on. */
  readonly port: number;
}

/** Answers `/livez`, `/readyz` (503 with the reasons while not ready) and `/metrics`. */
export async function answerProbe(request: Request, deps: ProbeDeps): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return text("method not allowed", 405);
  switch (new URL(request.url).pathname) {
    case "/livez":
      return text("ok", 200);
    case "/readyz": {
      const { ready, reasons } = deps.readiness();
      return ready ? text("ok", 200) : text(["not ready", ...reasons].join("\n"), 503);
    }
    case "/metrics":
      return new Response(await deps.metrics.render(), {
        headers: { "content-type": deps.metrics.contentType },
      });
    default:
      return text("not found; there are /livez, /readyz and /metrics", 404);
  }
}

/**
 * Serves the probes over HTTP.
 *
 * @throws {Deno.errors.AddrInUse} When somebody listens there already
 */
export function serveProbes(address: ProbeAddress, deps: ProbeDeps): ProbeServer {
  const { hostname } = address;
  const server = keepServing<Deno.NetAddr>({
    start: (signal, addr) =>
      Deno.serve(
        { hostname, port: addr?.port ?? address.port, signal, onListen: () => {} },
        (request) => answerProbe(request, deps),
      ),
    ended: (cause) => deps.failed?.(cause),
  });
  return {
    port: server.addr.port,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function text(body: string, status: number): Response {
  return new Response(body + "\n", {
    status,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}
