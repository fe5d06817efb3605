/**
 * A client in a process of its own, so that its memory and its descriptors are nobody else's: it keeps a copy of the VRFDomains
 * of the API that its kubeconfig names. Each line on stdin is a question, answered by a line of JSON on stdout; a path in it
 * asks for a snapshot of the heap besides. It ends with its stdin.
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { writeHeapSnapshot } from "node:v8";
import { createLogger } from "../../log.ts";
import { vrfDomainKind } from "../../resources/vrf_domain.ts";
import { loadKube } from "../connect.ts";
import { startCache } from "../resource_cache.ts";

/** How the client stands. */
export interface EnduranceState {
  /** Whether its cache is in contact with the server. */
  readonly connected: boolean;
  /** How often list and watch began anew. */
  readonly restarts: number;
  /** Descriptors that the process has open. */
  readonly descriptors: number;
  /** Name and version of each object in the cache, sorted. */
  readonly content: readonly string[];
}

if (import.meta.main) {
  const [kubeconfigPath = ""] = Deno.args;
  using connection = loadKube({ kubeconfigPath });
  await using cache = startCache({
    connection,
    resource: vrfDomainKind,
    log: createLogger("error", () => {}),
    timing: { retryBaseMs: 1, retryMaxMs: 5 },
  });
  for await (const path of createInterface({ input: process.stdin })) {
    // Its making collects first whatever can be collected.
    if (path !== "") writeHeapSnapshot(path);
    const state: EnduranceState = {
      connected: cache.connected,
      restarts: cache.restarts,
      descriptors: [...Deno.readDirSync("/proc/self/fd")].length,
      content: cache.list().map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
        .sort(),
    };
    console.log(JSON.stringify(state));
  }
}
