import { CodedError, messageOf } from "../../lib/errors.ts";
import { createTrigger } from "../kube/coalescing_runner.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { CNIConfig } from "../resources/cni_config.ts";
import type { CNIConfigSelection } from "../resources/cni_config_selection.ts";
import type { NodeCniConfig } from "../resources/vrf_node_state.ts";
import { cniConfigProblem, isWanted, selectionName } from "./cni_config_choice.ts";
import { cniConfiguredCondition } from "./cni_config_status.ts";
import { keepConflist, removeConflists, renderConflist } from "./conflist.ts";
import type { Problem } from "./domain_reference.ts";
import type { NodeStateWriter } from "./node_state_writer.ts";

/** What the writer works with. */
export interface ConflistWriterOptions {
  /** CNI configuration lists. */
  readonly configs: ResourceCache<CNIConfig>;
  /** The choice among them. */
  readonly selections: ResourceCache<CNIConfigSelection>;
  /** The runtime's folder. */
  readonly directory: string;
  /** Plugin types that this node lets the runtime run. */
  readonly allowedPlugins: readonly string[];
  /** Takes what has been written. */
  readonly state: Pick<NodeStateWriter, "amend">;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Ends the writer; files stay. */
  readonly signal: AbortSignal;
  /** Longest time until a file that someone removes is back, in milliseconds. */
  readonly resyncMs: number;
  /** Quiet time after a change, in milliseconds; 50 when absent. */
  readonly debounceMs?: number;
}

/** Writes the chosen CNIConfig where the node's runtime reads it. */
export interface ConflistWriter {
  /** To be called whenever the node is ready: before the first time nothing is written, so that no pod comes too early. */
  nodeReady(): void;
  /** Resolves once the signal has aborted and no write is under way. */
  readonly stopped: Promise<void>;
}

/** Makes the writer. */
export function startConflistWriter(options: ConflistWriterOptions): ConflistWriter {
  const { configs, selections, directory, state, log, signal } = options;
  let ready = false;
  let written: NodeCniConfig | undefined;

  async function run(): Promise<void> {
    if (!configs.synced || !selections.synced) return;
    const selection = selections.get(selectionName);
    if (selection === undefined) {
      // One that cannot be read is no wish to have none.
      if (!selections.invalid().has(selectionName)) await remove();
      return;
    }
    const { name } = selection.spec.activeRef;
    const config = configs.get(name);
    const problem = problemOf(name, config);
    if (config === undefined || problem !== undefined) return amend(problem);
    // What an earlier daemon has written holds until then, and so does what it said of it.
    if (!ready) return;
    try {
      await write(config);
    } catch (error) {
      amend({
        reason: error instanceof CodedError ? error.code : "WriteFailed",
        message: messageOf(error),
      });
      throw error;
    }
  }

  function problemOf(name: string, config: CNIConfig | undefined): Problem | undefined {
    // The manager checks the same, but by its own list: this node's root is this node's business.
    const refusal = config && cniConfigProblem(config.spec, options.allowedPlugins);
    if (refusal !== undefined) return refusal;
    if (config === undefined || !isWanted(config)) {
      const message = `CNIConfig "${name}" is not there or not enabled; another is to be chosen`;
      return { reason: "NotAvailable", message };
    }
    return undefined;
  }

  async function write({ metadata, spec }: CNIConfig): Promise<void> {
    const changed = await keepConflist(directory, spec.fileName, renderConflist(spec));
    const { name, uid = "", generation = 0 } = metadata;
    written = { name, uid, generation };
    if (changed) log.info("CNI configuration written", { name, file: spec.fileName });
    amend(undefined);
  }

  async function remove(): Promise<void> {
    if (await removeConflists(directory)) log.info("CNI configuration removed");
    written = undefined;
    state.amend({ conditions: [] });
  }

  function amend(problem: Problem | undefined): void {
    state.amend({
      cniConfig: written,
      conditions: [{
        type: cniConfiguredCondition,
        status: problem === undefined ? "True" : "False",
        reason: problem?.reason ?? "Written",
        message: problem?.message ?? "",
      }],
    });
  }

  const trigger = createTrigger({
    run,
    debounceMs: options.debounceMs ?? 50,
    maxDelayMs: 500,
    resyncMs: options.resyncMs,
    retryMaxMs: options.resyncMs,
    failed: (error) => log.error("CNI configuration not written", { error: messageOf(error) }),
    signal,
  });
  const subscriptions = [configs, selections].map((cache) => cache.subscribe(() => trigger.mark()));
  signal.addEventListener("abort", () => {
    for (const unsubscribe of subscriptions) unsubscribe();
  }, { once: true });
  trigger.mark();
  return {
    nodeReady() {
      if (ready) return;
      ready = true;
      trigger.mark();
    },
    stopped: trigger.stopped,
  };
}
