/** A CNI plugin as a black box: an executable with a network configuration, and the machine that it runs on. */
import type { Holder } from "../../lab/holder.ts";
import { executeRaw } from "../../lab/process.ts";

/** A condition of the plugin's surroundings that a case needs, made on demand and undone when it is disposed of. */
export type Surrounding = () => Promise<AsyncDisposable>;

/** The plugin under test. */
export interface Subject {
  /** Its name in the report. */
  readonly name: string;
  /** The machine whose network it works on: what it calls the host. */
  readonly machine: Holder;
  /** Absolute path of the executable, on the machine. */
  readonly plugin: string;
  /** Its network configuration without `cniVersion`; `name` and `type` are given. */
  readonly config: Readonly<Record<string, unknown>>;
  /** What a second interface of a container has in its configuration besides; a plugin may have a reason to want another subnet. */
  readonly secondInterface: Readonly<Record<string, unknown>>;
  /** CNI_PATH: folders with the plugins that it may run itself, and those that cases chain behind it. */
  readonly path: readonly string[];
  /** CNI_ARGS; none when absent. */
  readonly args?: string;
  /** Conditions in which STATUS must fail, by what they are called. What a plugin does not have, is skipped. */
  readonly outages: Readonly<Record<string, Surrounding>>;
}

/** A call of a plugin. */
export interface Invocation {
  /** CNI_COMMAND. */
  readonly command: string;
  /** CNI_CONTAINERID. */
  readonly containerId?: string;
  /** CNI_NETNS. */
  readonly netns?: string;
  /** CNI_IFNAME. */
  readonly ifname?: string;
  /** Variables in place of those above; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What stdin holds: a configuration, or a text as it is. */
  readonly stdin: Readonly<Record<string, unknown>> | string;
  /** Another executable than the subject's, such as the next of a chain. */
  readonly plugin?: string;
}

/** What a call gave. */
export interface Outcome {
  /** Exit code. */
  readonly code: number;
  /** Text on stdout. */
  readonly stdout: string;
  /** Text on stderr. */
  readonly stderr: string;
}

/** Executes a plugin with exactly the environment that a runtime gives it (SPEC 1.1, section 2, "Parameters"). */
export async function invoke(subject: Subject, call: Invocation): Promise<Outcome> {
  const env: Record<string, string | undefined> = {
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_PATH: subject.path.join(":"),
    CNI_ARGS: subject.args,
    // Plugins start programs such as iptables.
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    ...call.env,
  };
  const words = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`]
  );
  return await executeRaw(
    subject.machine.inside(["env", "-i", ...words, call.plugin ?? subject.plugin]),
    { stdin: typeof call.stdin === "string" ? call.stdin : JSON.stringify(call.stdin) },
  );
}

/** The subject's configuration in a version of the specification. */
export function configOf(
  subject: Subject,
  cniVersion: string,
  fields: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return { cniVersion, ...subject.config, ...fields };
}
