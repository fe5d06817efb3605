/** Runs a soak's operations on a lab, and compares at checkpoints. */
import type { Lab, RunningNode } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { announcePods, type PodResult } from "../lab/pods.ts";
import { until } from "../lab/process.ts";
import { type AnnouncedPod, attachedPod } from "./attached_pod.ts";
import { compareLab } from "./checkpoint.ts";
import { SoakFailure } from "./failure.ts";
import * as faults from "./faults.ts";
import { growth } from "./growth.ts";
import { createLanes } from "./lanes.ts";
import { type ProgramUse, programUse } from "./machine_use.ts";
import { emptyModel, step } from "./model.ts";
import { describe, type Operation } from "./operations.ts";
import { drawQuestions, wrongAnswers } from "./reach.ts";
import { plan } from "./plan.ts";
import { createRandom } from "./random.ts";
import { SoakRuntime } from "./runtime.ts";
import { bindingOf, domainOf, soakObjects } from "./soak_objects.ts";
import { defaultDomain, domainNamed, passing, roaming, soakPods, tenants } from "./tenants.ts";
import type { FormerMac } from "./tolerated.ts";
import { type AttachedPod, isStretched, type World } from "./world.ts";

/** What a soak shall be. */
export interface SoakOptions {
  readonly lab: Lab;
  /** Folder with the built executables. */
  readonly dist: string;
  /** Determines the operations. */
  readonly seed: number;
  /** How many operations. */
  readonly operations: number;
  /** How many pods there are at most. */
  readonly pods: number;
  /** How many operations lie between two checkpoints. */
  readonly every: number;
  /** Ends with the next checkpoint once so many minutes have passed; never when absent. */
  readonly minutes?: number;
  /** Ends it at once. */
  readonly signal: AbortSignal;
  /** Told of each step, in a line. */
  readonly progress: (line: string) => void;
}

/** What a soak came to. */
export interface SoakReport {
  readonly seed: number;
  /** Operations that were done. */
  readonly operations: number;
  readonly checkpoints: number;
  readonly minutes: number;
  /** How often each operation was done. */
  readonly kinds: Readonly<Record<string, number>>;
  /** How often plugins said each error, by command and code: faults were at work, and the call was made again. */
  readonly errors: Readonly<Record<string, number>>;
  /** What must be now. */
  readonly wanted: Omit<World, "blocks">;
  /** What programs used after warm-up, and at the end. */
  readonly use: { readonly warm: readonly ProgramUse[]; readonly end: readonly ProgramUse[] };
}

/** Seconds in which everything must agree once all faults have ended: resync, BGP, and a busy machine. */
const settleSeconds = 150;

/** How many plugins run at once. */
const parallel = 4;

/** How many operations may be under way or wait for others. */
const pending = 10;

/** How many questions of each kind a checkpoint asks. */
const questionCount = 8;

/**
 * Runs a soak on a lab of two nodes and more without tenants.
 *
 * @throws {SoakFailure} When something differs from the model, at a checkpoint or before
 */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const soak = new Soak(options);
  await soak.prepare();
  return await soak.run();
}

/** What the runtime knows of an attached pod. */
interface Attachment {
  readonly pod: AttachedPod;
  readonly result: PodResult;
}

class Soak {
  readonly #options: SoakOptions;
  readonly #lanes = createLanes(parallel);
  readonly #runtime: SoakRuntime;
  readonly #started = performance.now();
  readonly #done: string[] = [];
  readonly #kinds: Record<string, number> = {};
  readonly #errors: Record<string, number> = {};
  readonly #attachments = new Map<number, Attachment>();
  readonly #former = new Map<string, FormerMac>();
  /** Tenants that the roaming namespace has been bound to since the last checkpoint. */
  #roamed = new Set<string>([roaming.between[0]]);
  #pods: readonly AnnouncedPod[] = [];
  #model = emptyModel;
  /** After the first checkpoint. */
  #warm: { readonly use: readonly ProgramUse[]; readonly domains: number } = {
    use: [],
    domains: 0,
  };

  constructor(options: SoakOptions) {
    this.#options = options;
    this.#runtime = new SoakRuntime({
      dist: options.dist,
      nodeOf: ({ node }) => this.#node(node),
      lanes: this.#lanes,
      signal: options.signal,
      failed: (command, error) => {
        const key = `${command} ${error.split(" ")[0]}`;
        this.#errors[key] = (this.#errors[key] ?? 0) + 1;
      },
    });
  }

  /** Makes tenants and the pods' objects. */
  async prepare(): Promise<void> {
    const { lab, pods, signal } = this.#options;
    // The default domain is made only where there is no domain at all: the elected manager goes first.
    await until("the default domain", settleSeconds, async () => {
      return await kubectl(lab, ["get", "vrfdomain", defaultDomain.name]).then(() => true);
    }, signal);
    await this.#apply(soakObjects());
    this.#pods = await announcePods(lab, soakPods(pods, lab.nodes.map(({ name }) => name)));
  }

  /** Runs all operations. */
  async run(): Promise<SoakReport> {
    const { seed, operations, pods, lab, every, minutes = Infinity } = this.#options;
    const planned = plan(seed, operations, { pods, nodes: lab.nodes.length });
    let checkpoints = 0;
    try {
      for (const operation of planned) {
        // Without the API many a call waits until it is back, which is one of the next operations.
        await this.#lanes.fewerThan(this.#model.apiRuns ? pending : Infinity);
        this.#begin(operation);
        const ended = this.#minutes() >= minutes;
        if (this.#done.length % every === 0 || this.#done.length === planned.length || ended) {
          await this.#checkpoint(++checkpoints);
          if (ended) break;
        }
      }
    } catch (error) {
      this.#options.signal.throwIfAborted();
      throw new SoakFailure(seed, this.#done, error);
    }
    return {
      seed,
      operations: this.#done.length,
      checkpoints,
      minutes: this.#minutes(),
      kinds: this.#kinds,
      errors: this.#errors,
      wanted: this.#wanted(),
      use: { warm: this.#warm.use, end: await this.#use() },
    };
  }

  /** One line about how far it is. */
  #say(text: string): void {
    const { operations, progress } = this.#options;
    progress(
      `${this.#done.length} of ${operations} operations, ${this.#model.attached.size} pods; ${text}`,
    );
  }

  #minutes(): number {
    return (performance.now() - this.#started) / 60_000;
  }

  #begin(operation: Operation): void {
    this.#done.push(describe(operation));
    this.#kinds[operation.kind] = (this.#kinds[operation.kind] ?? 0) + 1;
    // A checkpoint has started it already.
    if (operation.kind === "start api" && this.#model.apiRuns) return;
    this.#model = step(this.#model, operation);
    if (this.#done.length % 25 === 0) this.#say(describe(operation));
    if ("pod" in operation) {
      const { pod } = operation;
      this.#lanes.begin([`pod ${pod}`], () => this.#doPod(operation, this.#pod(pod)));
    } else this.#doOther(operation);
  }

  async #doPod(
    operation: Extract<Operation, { readonly pod: number }>,
    pod: AnnouncedPod,
  ): Promise<void> {
    const runtime = this.#runtime;
    const attachment = this.#attachments.get(operation.pod);
    const detached = async (task: () => Promise<void>) => {
      this.#attachments.delete(operation.pod);
      await task();
    };
    switch (operation.kind) {
      case "add":
        return await this.#add(operation.pod, pod);
      case "del":
        return await detached(() => runtime.del(pod));
      case "del twice":
        return await detached(() => runtime.del(pod, 2));
      case "vanish":
        return await detached(() => runtime.vanish(pod));
      case "unplug":
        return await detached(async () => {
          if (attachment !== undefined) {
            const { domain: { vrf }, hostIfname } = attachment.pod;
            await faults.unplug(this.#node(pod.node), vrf, hostIfname);
          }
          await runtime.del(pod);
        });
      case "check":
        return attachment && await runtime.check(pod, attachment.result);
      case "add again":
        return await runtime.addAgain(pod);
      case "del unknown":
        return await runtime.delUnknown(pod);
      case "cut add":
        await runtime.cutAdd(pod, operation.ms);
        return await (operation.then === "del" ? runtime.del(pod) : runtime.vanish(pod));
    }
  }

  #doOther(operation: Exclude<Operation, { readonly pod: number }>): void {
    const { lab } = this.#options;
    const begin = (lane: string, task: () => Promise<void>) => this.#lanes.begin([lane], task);
    const on = (index: number) => this.#nodeAt(index);
    switch (operation.kind) {
      case "reboot": {
        const { node } = operation;
        const mine = this.#podsOn(node);
        const back = mine.filter((index) => this.#model.attached.has(index));
        return this.#lanes.begin(
          [...mine.map((index) => `pod ${index}`), `daemon ${node}`, `agent ${node}`],
          () => this.#reboot(operation, back),
        );
      }
      case "gc": {
        const { node, dropped } = operation;
        const mine = this.#podsOn(node);
        const valid = mine.filter((index) => this.#model.attached.has(index));
        return this.#lanes.begin(
          mine.map((index) => `pod ${index}`),
          () => this.#collect(mine[0] ?? 0, valid, dropped),
        );
      }
      case "kill daemon":
        return begin(
          `daemon ${operation.node}`,
          () => faults.restartDaemon(this.#options, on(operation.node)),
        );
      case "kill agent":
        return begin(
          `agent ${operation.node}`,
          () => faults.restartAgent(this.#options, on(operation.node)),
        );
      case "kill frr":
        return begin("frr", () => faults.killFrr(on(operation.node), operation.program));
      case "cut api":
        return begin("api", () => faults.cutApi(this.#options));
      case "start api":
        return begin("api", () => faults.returnApi(this.#options));
      case "delete":
        return begin(
          "hand",
          () =>
            faults.deleteByHand(on(operation.node), domainNamed(operation.domain), operation.what),
        );
      case "delete rule":
        return begin("hand", () => faults.deleteRule(on(operation.node), operation.nth));
      case "delete firewall":
        return begin("hand", () => faults.deleteFirewall(on(operation.node)));
      case "create domain":
        return begin("objects", () => this.#apply([domainOf(domainNamed(operation.domain))]));
      case "delete domain":
        return begin("objects", async () => {
          const words = ["delete", "vrd", "--ignore-not-found", "--timeout=60s", operation.domain];
          await this.#until(`to delete "${operation.domain}"`, async () => {
            await kubectl(lab, words);
            return true;
          });
        });
      case "bind":
        this.#roamed.add(operation.tenant);
        return begin(
          "objects",
          () => this.#apply([bindingOf(roaming.namespace, operation.tenant)]),
        );
    }
  }

  /** @param back Pods that shall be there afterwards as before */
  async #reboot(
    { node, dropped, says }: Extract<Operation, { kind: "reboot" }>,
    back: readonly number[],
  ): Promise<void> {
    for (const index of this.#podsOn(node)) this.#attachments.delete(index);
    await faults.reboot(this.#options, this.#nodeAt(node));
    await Promise.all([...back, ...dropped].map(async (index) => {
      const pod = this.#pod(index);
      if (says === "del") await this.#runtime.delUnknown(pod);
      if (back.includes(index)) await this.#add(index, pod);
    }));
  }

  async #add(index: number, pod: AnnouncedPod): Promise<void> {
    const result = await this.#runtime.add(pod);
    const attached = this.#attached(pod, result);
    this.#attachments.set(index, { pod: attached, result });
    const { node, domain, mac } = attached;
    if (isStretched(domain)) this.#former.set(`${node} ${mac}`, { node, domain, mac });
  }

  /** The pods that live on a node, attached or not. */
  #podsOn(node: number): readonly number[] {
    const { name } = this.#nodeAt(node);
    return this.#pods.flatMap((pod, index) => pod.node === name ? [index] : []);
  }

  async #collect(
    anyone: number,
    valid: readonly number[],
    dropped: readonly number[],
  ): Promise<void> {
    for (const pod of dropped) this.#attachments.delete(pod);
    await this.#runtime.gc(this.#pod(anyone), valid.map((pod) => this.#pod(pod)));
    for (const pod of dropped) await this.#runtime.vanish(this.#pod(pod));
  }

  #apply(items: readonly object[]): Promise<void> {
    const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
    return this.#until("to apply objects", async () => {
      await kubectl(this.#options.lab, ["apply", "-f", "-"], list);
      return true;
    }).then(() => undefined);
  }

  #until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    return until(what, 2 * settleSeconds, look, this.#options.signal);
  }

  /** Lets everything end and heal, then compares. */
  async #checkpoint(number: number): Promise<void> {
    const { lab, seed, signal } = this.#options;
    if (!this.#model.apiRuns) {
      this.#lanes.begin(["api"], () => faults.returnApi(this.#options));
      this.#model = step(this.#model, { kind: "start api" });
    }
    await this.#lanes.settle();
    this.#roamed = new Set([this.#model.bound]);
    const wanted = this.#wanted();
    let differences: readonly string[] = [];
    await until("everything to agree", settleSeconds, async () => {
      differences = [];
      differences = await compareLab(lab, wanted);
      return differences.length === 0 ? true : undefined;
    }, signal).catch((error) => {
      throw differences.length === 0 ? error : new Error(differences.join("\n"));
    });
    const random = createRandom(seed + this.#done.length);
    const questions = drawQuestions(wanted, random, questionCount);
    const wrong = await wrongAnswers(lab, wanted.pods, questions, signal);
    if (wrong.length > 0) throw new Error(wrong.join("\n"));
    await this.#judgeUse(wanted.domains.length);
    this.#say(
      `checkpoint ${number}: all agrees, ${questions.length} questions answered by whom they must`,
    );
  }

  /** A daemon that has just started anew keeps its connections to the API for a while: what is too much has to go within the usual time. */
  async #judgeUse(domains: number): Promise<void> {
    if (this.#warm.use.length === 0) this.#warm = { use: await this.#use(), domains };
    let grown: readonly string[] = [];
    await until("programs to use no more than before", settleSeconds, async () => {
      grown = growth(this.#warm.use, await this.#use(), domains - this.#warm.domains);
      return grown.length === 0 ? true : undefined;
    }, this.#options.signal).catch((error) => {
      throw grown.length === 0 ? error : new Error(grown.join("\n"));
    });
  }

  async #use(): Promise<readonly ProgramUse[]> {
    return (await Promise.all(this.#options.lab.nodes.map(programUse))).flat();
  }

  /** What the model says must be. */
  #wanted(): Omit<World, "blocks"> {
    const { attached, passing: there } = this.#model;
    const pods = [...attached].map((index) => {
      const found = this.#attachments.get(index);
      if (found === undefined) throw new Error(`No ADD has attached the pod ${index}`);
      return found.pod;
    });
    return {
      nodes: this.#options.lab.nodes,
      domains: [...tenants, defaultDomain, ...passing.filter(({ name }) => there.has(name))],
      pods,
      former: [...this.#former.values()],
    };
  }

  /** A pod with what ADD has answered. @throws {Error} When it is in no domain that it may be in */
  #attached(pod: AnnouncedPod, result: PodResult): AttachedPod {
    const allowed = pod.namespace === roaming.namespace ? [...this.#roamed] : [pod.tenant];
    return attachedPod(pod, result, allowed);
  }

  #pod(index: number): AnnouncedPod {
    const pod = this.#pods[index];
    if (pod === undefined) throw new RangeError(`Expected a pod of the soak, found ${index}`);
    return pod;
  }

  #node(name: string): RunningNode {
    const node = this.#options.lab.nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`The lab has no node "${name}"`);
    return node;
  }

  #nodeAt(index: number): RunningNode {
    return this.#node(this.#options.lab.nodes[index]?.name ?? String(index));
  }
}
