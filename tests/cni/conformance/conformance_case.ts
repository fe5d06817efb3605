/** What a case of the suite is, and what it may do. */
import assert from "node:assert/strict";
import { assertDone, type KnownVersion, type Result, resultOf } from "./answers.ts";
import { type Container, startContainer } from "./container.ts";
import { configOf, type Invocation, invoke, type Outcome, type Subject } from "./subject.ts";

/** A requirement of the specification and how to see whether a plugin meets it. */
export interface ConformanceCase {
  /** Stable name, such as `add-existing-interface`. */
  readonly id: string;
  /** Where the specification (version 1.1.0) says it. */
  readonly section: string;
  /** The requirement in a sentence. */
  readonly title: string;
  /** The oldest version of the specification that has it; the oldest known when absent. */
  readonly since?: KnownVersion;
  /** Throws when the plugin does not meet it. */
  readonly run: (bench: Bench) => Promise<void>;
}

/** A case that does not apply to a plugin. */
export class NotApplicable extends Error {}

/** Default name of the interface in containers. */
export const ifname = "eth0";

/** What cases work with: the plugin, and containers that go at the end together with what the plugin made in them. */
export interface Bench extends AsyncDisposable {
  /** The plugin. */
  readonly subject: Subject;
  /** The newest version that both know. */
  readonly newest: KnownVersion;
  /** Versions that both know, oldest first. */
  readonly versions: readonly KnownVersion[];
  /** Starts a container. */
  container(): Promise<Container>;
  /** Calls the plugin for a container, with the newest version's configuration unless another is given. */
  call(command: string, container: Container, changes?: Partial<Invocation>): Promise<Outcome>;
  /** ADD that must succeed. */
  add(container: Container, changes?: Partial<Invocation>): Promise<Result>;
  /** DEL that must succeed. */
  del(container: Container, changes?: Partial<Invocation>): Promise<void>;
}

/** Makes a bench. */
export function createBench(
  subject: Subject,
  versions: readonly KnownVersion[],
): Bench {
  const newest = versions.at(-1);
  assert.ok(newest !== undefined, "Expected a plugin of a known version");
  const made: { readonly container: Container; readonly ifnames: Set<string> }[] = [];
  const call: Bench["call"] = async (command, container, changes = {}) => {
    const invocation: Invocation = {
      command,
      containerId: container.id,
      netns: container.netns,
      ifname,
      stdin: configOf(subject, newest),
      ...changes,
    };
    if (command === "ADD" && invocation.ifname !== undefined) {
      made.find((entry) => entry.container === container)?.ifnames.add(invocation.ifname);
    }
    return await invoke(subject, invocation);
  };
  const del: Bench["del"] = async (container, changes) => {
    assertDone(await call("DEL", container, changes));
  };
  return {
    subject,
    newest,
    versions,
    call,
    del,
    async container() {
      const container = await startContainer(subject.machine);
      made.push({ container, ifnames: new Set() });
      return container;
    },
    async add(container, changes = {}) {
      const version = versionIn(changes.stdin) ?? newest;
      return resultOf(await call("ADD", container, changes), version);
    },
    async [Symbol.asyncDispose]() {
      for (const { container, ifnames } of made) {
        // Whatever the case left: the next ones need the addresses.
        for (const name of ifnames) await call("DEL", container, { ifname: name });
        await container.end();
      }
    },
  };
}

/** How a second interface of a container is asked for. */
export function secondInterface(
  { subject, newest }: Bench,
): { readonly ifname: string; readonly stdin: Readonly<Record<string, unknown>> } {
  return { ifname: "net1", stdin: configOf(subject, newest, subject.secondInterface) };
}

function versionIn(stdin: Invocation["stdin"] | undefined): KnownVersion | undefined {
  const version = typeof stdin === "object" ? stdin["cniVersion"] : undefined;
  return typeof version === "string" ? version as KnownVersion : undefined;
}

/** The result's interface in the container, which must be exactly one of that name. */
export function sandboxInterface(
  result: Result,
  container: Container,
  name: string = ifname,
): { readonly index: number; readonly mac: string | undefined } {
  const indices = result.interfaces.flatMap((entry, index) =>
    entry.sandbox === container.netns && entry.name === name ? [index] : []
  );
  const [index] = indices;
  const found = JSON.stringify(result.interfaces);
  assert.ok(index !== undefined && indices.length === 1, `Expected "${name}" once, found ${found}`);
  return { index, mac: result.interfaces[index]?.mac };
}
