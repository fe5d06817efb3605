import { messageOf } from "../../lib/errors.ts";
import { KernelError } from "../kernel/errors.ts";
import type { Kernel } from "../kernel/port.ts";
import { createTrigger } from "../kube/coalescing_runner.ts";
import type { EventRecorder } from "../kube/events.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type {
  VRFNodeConfig,
  VRFNodeConfigStatus,
  VRFNodeInterface,
} from "../resources/vrf_node_config.ts";
import type { Problem } from "./domain_reference.ts";
import {
  judgeNodeConfigs,
  type NodeConfigProgress,
  nodeConfigStatus,
  type NodeConfigVerdict,
} from "./node_config_status.ts";
import { recordRefusal, recordTrouble } from "./refusal_event.ts";
import { writeStatus } from "./write_status.ts";

/** What the controller works with. */
export interface NodeConfigControllerOptions {
  /** VRFNodeConfigs of all nodes. */
  readonly configs: {
    readonly cache: ResourceCache<VRFNodeConfig>;
    readonly client: ResourceClient<VRFNodeConfig>;
  };
  /** This node's name. */
  readonly nodeName: string;
  /** Knows the node's interfaces and addresses. */
  readonly kernel: Pick<Kernel, "underlay">;
  /** For refusals. */
  readonly events: EventRecorder;
  /** For what fails. */
  readonly log: Logger;
  /** Ends the controller. */
  readonly signal: AbortSignal;
  /** Quiet time before statuses are written, in milliseconds; 50 when absent. */
  readonly debounceMs?: number;
}

/** Chooses this node's VRFNodeConfig and writes the status of those that name the node. */
export interface NodeConfigController {
  /**
   * The settings to use now, by a look at the kernel; undefined when there are none that can be used: then the default route
   * tells the interface. Never throws.
   */
  accepted(): VRFNodeConfig | undefined;
  /** Takes the outcome of the run that used what `accepted` gave last. Statuses are written behind. */
  reported(progress: NodeConfigProgress): void;
  /** Resolves once the signal has aborted and no write is under way. */
  readonly stopped: Promise<void>;
}

/** Makes the controller. */
export function createNodeConfigController(
  options: NodeConfigControllerOptions,
): NodeConfigController {
  const { configs: { cache, client }, nodeName, kernel, events, log, signal } = options;
  let verdicts: readonly NodeConfigVerdict[] = [];
  let pending: (() => Promise<void>) | undefined;
  /** What was written over which version: the cache learns of it later. */
  let written: ReadonlyMap<string, { over: string | undefined; status: VRFNodeConfigStatus }> =
    new Map();

  async function write(
    judged: readonly NodeConfigVerdict[],
    progress: NodeConfigProgress,
  ): Promise<void> {
    const next = new Map<string, { over: string | undefined; status: VRFNodeConfigStatus }>();
    for (const verdict of judged) {
      const { name, uid } = verdict.config.metadata;
      const present = cache.get(name);
      if (present === undefined || present.metadata.uid !== uid) continue;
      const over = present.metadata.resourceVersion;
      const last = written.get(name);
      const before = last !== undefined && last.over === over ? last.status : present.status;
      const conditions = before?.conditions ?? [];
      const status = nodeConfigStatus(verdict, progress, conditions, new Date());
      recordRefusal(events, present, conditions, status.conditions);
      recordTrouble(events, present, conditions, status.conditions);
      await writeStatus(client, present, before, status, signal);
      next.set(name, { over, status });
    }
    written = next;
  }

  const trigger = createTrigger({
    run: async () => await pending?.(),
    debounceMs: options.debounceMs ?? 50,
    maxDelayMs: 500,
    resyncMs: 300_000,
    failed: (error) =>
      log.warn("The status of a VRFNodeConfig could not be written", { error: messageOf(error) }),
    signal,
  });

  return {
    accepted() {
      verdicts = judgeNodeConfigs(
        cache.list(),
        nodeName,
        (wanted) => interfaceProblem(kernel, wanted),
      );
      return verdicts.find(({ problem }) => problem === undefined)?.config;
    },
    reported(progress) {
      const judged = verdicts;
      pending = () => write(judged, progress);
      trigger.mark();
    },
    stopped: trigger.stopped,
  };
}

const reasons: Readonly<Record<string, string>> = {
  UnderlayNotFound: "InterfaceNotFound",
  UnderlayAddressNotFound: "AddressNotFound",
};

function interfaceProblem(
  kernel: Pick<Kernel, "underlay">,
  { name, local }: VRFNodeInterface,
): Problem | undefined {
  try {
    kernel.underlay({ ifname: name, address: local });
    return undefined;
  } catch (error) {
    // A kernel that does not answer says nothing about the settings; the run itself will meet the error.
    if (!(error instanceof KernelError)) return undefined;
    return { reason: reasonOf(error), message: error.message };
  }
}

function reasonOf({ code }: KernelError): string {
  return reasons[code] ?? code;
}
