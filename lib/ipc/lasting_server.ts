/**
 * HTTP servers that outlive what ends `Deno.serve`: it gives up for good, and takes its socket's file away, at the first connection that
 * cannot be accepted for want of descriptors. Whoever opens connections enough could so end what serves everybody.
 */

/** A server that goes on. */
export interface LastingServer<A extends Deno.Addr> {
  /** Where it listens. */
  readonly addr: A;
  /** Lets the requests under way end and stops for good. */
  shutdown(): Promise<void>;
}

/** How a server is kept up. */
export interface LastingServerOptions<A extends Deno.Addr> {
  /**
   * Starts it, the first time and again. The signal's abort drops its connections.
   *
   * @param addr Where it listened before; absent the first time
   */
  readonly start: (signal: AbortSignal, addr?: A) => Deno.HttpServer<A>;
  /** Is told why it ended; all its connections are dropped, which is what frees descriptors. */
  readonly ended: (cause: unknown) => void;
  /** Is told when it could not be started again, which is tried until it can or this throws. */
  readonly refused?: (cause: unknown) => void;
}

/** Milliseconds before a server is started again: what was dropped must have been closed. */
const pauseMs = 100;

/**
 * Starts a server and keeps it up.
 *
 * @throws What the first start throws
 */
export function keepServing<A extends Deno.Addr>(
  { start, ended, refused }: LastingServerOptions<A>,
): LastingServer<A> {
  let stopped = false;
  let running = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let server = watch(new AbortController());

  function watch(connections: AbortController, addr?: A): Deno.HttpServer<A> {
    const started = start(connections.signal, addr);
    running = true;
    started.finished.catch((cause: unknown) => {
      running = false;
      abortQuietly(connections);
      if (stopped) return;
      ended(cause);
      timer = setTimeout(again, pauseMs);
    });
    return started;
  }

  function again(): void {
    try {
      server = watch(new AbortController(), server.addr);
    } catch (cause) {
      refused?.(cause);
      timer = setTimeout(again, pauseMs);
    }
  }

  return {
    get addr() {
      return server.addr;
    },
    async shutdown() {
      stopped = true;
      clearTimeout(timer);
      if (running) await server.shutdown();
    },
  };
}

/**
 * Aborts the signal of a server that has ended. Deno's own listener throws when the server was closed with its connections before, and
 * what a listener throws is reported, not passed on: unheard it would end the process.
 */
function abortQuietly(connections: AbortController): void {
  const ignore = (event: Event) => {
    if (event instanceof ErrorEvent && event.error instanceof Deno.errors.BadResource) {
      event.preventDefault();
    }
  };
  globalThis.addEventListener("error", ignore);
  try {
    connections.abort();
  } finally {
    globalThis.removeEventListener("error", ignore);
  }
}
