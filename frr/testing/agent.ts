/** An agent beside an FRR of a test, in the test's own process. */

import { join } from "node:path";
import { runFrrAgent } from "../agent.ts";
import { createFrrClient, type FrrClient } from "../client.ts";
import type { FrrInstance } from "./frr_instance.ts";

/** A running agent. */
export interface TestAgent extends AsyncDisposable {
  /** Talks to it. */
  readonly client: FrrClient;
  /** Its UNIX socket. */
  readonly socketPath: string;
  /** Port of its probes on 127.0.0.1. */
  readonly probePort: number;
}

/** Starts an agent for an FRR and waits until it listens. */
export async function startTestAgent(
  frr: Pick<FrrInstance, "vtyDir" | "confDir">,
): Promise<TestAgent> {
  const socketPath = join(frr.vtyDir, "reload.sock");
  const stop = new AbortController();
  const listening = Promise.withResolvers<number>();
  const done = runFrrAgent({
    socketPath,
    host: "127.0.0.1",
    port: 0,
    vtyDir: frr.vtyDir,
    confDir: frr.confDir,
    signal: stop.signal,
    log: () => {},
    onListen: listening.resolve,
  });
  done.catch(listening.reject);
  const probePort = await listening.promise;
  const client = createFrrClient(socketPath);
  return {
    client,
    socketPath,
    probePort,
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      stop.abort();
      await done;
    },
  };
}
