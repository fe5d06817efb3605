/** The daemon's side of the FRR agent's UNIX socket. */

import { messageOf } from "../lib/errors.ts";
import { FrrError } from "./errors.ts";
import {
  type FrrApplyResult,
  type FrrRoutes,
  type FrrState,
  parseApplyResult,
  parseFailure,
  parseRoutes,
  parseState,
} from "./protocol.ts";

/** Talks to the FRR agent of this node. Dispose of it to close its connections. */
export interface FrrClient extends Disposable {
  /**
   * Asks FRR whether it takes a configuration, without applying it.
   *
   * @throws {FrrError} `FrrRefused` with FRR's line when it does not; else as {@link FrrClient.state}
   */
  check(text: string, signal: AbortSignal): Promise<void>;
  /**
   * Makes FRR's running configuration equal to the text, explicit removals included. The same text twice changes nothing. VRFs that are
   * neither wanted nor present in the kernel are forgotten, so call it once more after deleting a VRF's links.
   *
   * @throws {FrrError} `FrrRefused` when FRR did not take it: the last good configuration is back then; else as {@link FrrClient.state}
   */
  apply(text: string, signal: AbortSignal): Promise<FrrApplyResult>;
  /**
   * What FRR has really done.
   *
   * @throws {FrrError} `FrrUnavailable` when the agent or FRR does not answer, `FrrTimeout` when it is too slow
   */
  state(signal: AbortSignal): Promise<FrrState>;
  /**
   * Routes of one VRF and all EVPN type-5 routes.
   *
   * @throws {FrrError} As {@link FrrClient.state}
   */
  routes(vrf: string, signal: AbortSignal): Promise<FrrRoutes>;
}

/**
 * A client of the agent that listens on a UNIX socket. Nothing is connected before the first call.
 *
 * @param socketPath Path of the agent's socket
 */
export function createFrrClient(socketPath: string): FrrClient {
  const http = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });

  async function ask<T>(parse: (body: unknown) => T, path: string, init: RequestInit): Promise<T> {
    const { ok, body } = await exchange(path, init);
    if (!ok) throw failureOf(path, body);
    try {
      return parse(body);
    } catch (cause) {
      throw new FrrError(
        "FrrUnavailable",
        `The FRR agent's answer to "${path}" has an unknown form`,
        {
          cause,
        },
      );
    }
  }

  async function exchange(
    path: string,
    init: RequestInit,
  ): Promise<{ ok: boolean; body: unknown }> {
    try {
      // A literal address: Deno looks a name up even where the socket's path says it all, and waits for the resolver.
      const response = await fetch(`http://127.0.0.1${path}`, { ...init, client: http });
      return { ok: response.ok, body: await response.json() };
    } catch (cause) {
      if (init.signal?.aborted === true) {
        throw new FrrError("FrrTimeout", `The FRR agent did not answer "${path}" in time`, {
          cause,
        });
      }
      throw new FrrError(
        "FrrUnavailable",
        `The FRR agent does not answer on "${socketPath}" (${
          messageOf(cause)
        }), check that it runs`,
        { cause },
      );
    }
  }

  return {
    async check(text, signal) {
      await ask(parseApplyResult, "/check", { method: "POST", body: text, signal });
    },
    apply: (text, signal) =>
      ask(parseApplyResult, "/apply", { method: "POST", body: text, signal }),
    state: (signal) => ask(parseState, "/state", { signal }),
    routes: (vrf, signal) => ask(parseRoutes, `/routes?vrf=${encodeURIComponent(vrf)}`, { signal }),
    [Symbol.dispose]: () => http.close(),
  };
}

function failureOf(path: string, body: unknown): FrrError {
  try {
    const failure = parseFailure(body);
    return new FrrError(failure.code, failure.message, { line: failure.line });
  } catch (cause) {
    return new FrrError("FrrUnavailable", `The FRR agent failed on "${path}" without saying why`, {
      cause,
    });
  }
}
