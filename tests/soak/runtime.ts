/** A container runtime as the plugin knows it: what fails is tried again, after a failed ADD there is a DEL. */
import { z } from "zod";
import type { RunningNode } from "../lab/lab.ts";
import {
  callPlugin,
  containerId,
  makePodNetns,
  networkConfig,
  parseResult,
  type PodResult,
  removePodNetns,
} from "../lab/pods.ts";
import { until } from "../lab/process.ts";
import type { LabPod } from "../lab/topology.ts";
import type { Lanes } from "./lanes.ts";

/** Seconds in which a call must succeed at last: the longest outage of the API, and a busy machine. */
const patience = 300;

/** What the runtime works with. */
export interface RuntimeOptions {
  /** Folder with the built executables. */
  readonly dist: string;
  /** Where a pod lives. */
  readonly nodeOf: (pod: LabPod) => RunningNode;
  /** Limits how many plugins run at once. */
  readonly lanes: Lanes;
  /** Ends all waiting. */
  readonly signal: AbortSignal;
  /** Told of each call with an error: the command, and the code and message or what else the plugin said. */
  readonly failed: (command: string, error: string) => void;
}

const errorSchema = z.object({ code: z.number(), msg: z.string() });

interface Answer {
  readonly exit: number;
  readonly stdout: string;
  /** Code of the CNI error; undefined for a success and where the plugin said none. */
  readonly code: number | undefined;
}

/** The runtime of all nodes. Each method throws an `Error` when it has not succeeded in time. */
export class SoakRuntime {
  readonly #options: RuntimeOptions;

  /** Makes a runtime without containers. */
  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /** Starts a pod. */
  async add(pod: LabPod): Promise<PodResult> {
    await makePodNetns(this.#options.nodeOf(pod), pod);
    return await this.#until(`to attach "${pod.name}"`, async () => {
      const answer = await this.#call("ADD", pod);
      if (answer.exit === 0) return parseResult(answer.stdout);
      await this.#delete(pod);
      return undefined;
    });
  }

  /** Stops a pod. @param times How often it says DEL */
  async del(pod: LabPod, times = 1): Promise<void> {
    for (let said = 0; said < times; said++) await this.#delete(pod);
    await this.vanish(pod);
  }

  /** Says DEL for a container that is not attached, or no more. */
  async delUnknown(pod: LabPod): Promise<void> {
    await this.#delete(pod);
  }

  /** The container's namespace vanishes. */
  async vanish(pod: LabPod): Promise<void> {
    await removePodNetns(this.#options.nodeOf(pod), pod);
  }

  /** Says ADD for a container that is attached. @throws {Error} When it is not refused with the code for that */
  async addAgain(pod: LabPod): Promise<void> {
    const exit = await this.#until(`ADD of "${pod.name}" to be refused`, async () => {
      const { exit, code } = await this.#call("ADD", pod);
      return exit === 0 || code === 4 ? exit : undefined;
    });
    if (exit !== 0) return;
    throw new Error(
      `Expected ADD of "${pod.name}", which is attached, to be refused, found it attached again`,
    );
  }

  /** Says ADD and is killed so many milliseconds later, or not if it was faster. */
  async cutAdd(pod: LabPod, ms: number): Promise<void> {
    const { nodeOf, lanes, dist } = this.#options;
    await makePodNetns(nodeOf(pod), pod);
    await lanes.use(() => callPlugin(nodeOf(pod), dist, "ADD", pod, networkConfig, "eth0", ms));
  }

  /** Says CHECK for a pod that is attached. */
  async check(pod: LabPod, result: PodResult): Promise<void> {
    await this.#until(`CHECK of "${pod.name}"`, async () => {
      const answer = await this.#call("CHECK", pod, { prevResult: result });
      return answer.exit === 0 ? true : undefined;
    });
  }

  /** Says GC, by a pod of the node. @param valid Pods that shall stay */
  async gc(anyone: LabPod, valid: readonly LabPod[]): Promise<void> {
    const listed = valid.map((pod) => ({ containerID: containerId(pod), ifname: "eth0" }));
    await this.#until(`GC on "${anyone.node}"`, async () => {
      const answer = await this.#call("GC", anyone, { "cni.dev/valid-attachments": listed });
      return answer.exit === 0 ? true : undefined;
    });
  }

  #delete(pod: LabPod): Promise<true> {
    return this.#until(`to detach "${pod.name}"`, async () => {
      return (await this.#call("DEL", pod)).exit === 0 ? true : undefined;
    });
  }

  async #call(command: string, pod: LabPod, more: object = {}): Promise<Answer> {
    const { lanes, nodeOf, dist, failed } = this.#options;
    const config = { ...networkConfig, ...more };
    const { code, stdout, stderr } = await lanes.use(() =>
      callPlugin(nodeOf(pod), dist, command, pod, config)
    );
    if (code === 0) return { exit: 0, stdout, code: undefined };
    const error = errorOf(stdout);
    failed(command, error === undefined ? stderr || stdout : `${error.code} ${error.msg}`);
    return { exit: code, stdout, code: error?.code };
  }

  #until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    return until(what, patience, look, this.#options.signal);
  }
}

function errorOf(text: string): z.infer<typeof errorSchema> | undefined {
  try {
    return errorSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
