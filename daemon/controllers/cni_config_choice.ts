/** Which CNIConfig nodes write, and which may not be written at all. Pure. */
import { isNestedTooDeep, mostLevels } from "../../lib/nesting.ts";
import type { CNIConfig, CNIConfigSpec } from "../resources/cni_config.ts";
import { isConflistName } from "./conflist.ts";
import type { Problem } from "./domain_reference.ts";
import { byAge } from "./domain_resolution.ts";

/** Name of the CNIConfigSelection that nodes follow. */
export const selectionName = "default";

/** What became of each CNIConfig. */
export interface CniConfigChoice {
  /** The enabled one of highest priority that may be written; of equals the older. */
  readonly active: CNIConfig | undefined;
  /** Why a CNIConfig may not be written, by name. */
  readonly problems: ReadonlyMap<string, Problem>;
  /** Whether any is wanted, be it refused: then what nodes have written stays. */
  readonly wanted: boolean;
}

/**
 * Chooses among all CNIConfigs.
 *
 * @param configs All of them, as last seen
 * @param allowed Plugin types of the daemon's configuration
 */
export function chooseCniConfig(
  configs: readonly CNIConfig[],
  allowed: readonly string[],
): CniConfigChoice {
  const problems = new Map<string, Problem>();
  for (const { metadata, spec } of configs) {
    const problem = cniConfigProblem(spec, allowed);
    if (problem !== undefined) problems.set(metadata.name, problem);
  }
  const enabled = configs.filter(isWanted);
  const [active] = enabled.filter(({ metadata }) => !problems.has(metadata.name))
    .toSorted((a, b) => b.spec.priority - a.spec.priority || byAge(a, b));
  return { active, problems, wanted: enabled.length > 0 };
}

/** Whether a CNIConfig asks to be written. */
export function isWanted({ metadata, spec }: CNIConfig): boolean {
  return spec.enabled && metadata.deletionTimestamp === undefined;
}

/**
 * Why a CNIConfig may not be written; undefined when it may. The runtime runs each plugin as root, and plugins run others and
 * write files where their configuration says so: whoever may write a CNIConfig must not become root by it.
 *
 * @param spec What is wanted
 * @param allowed Plugin types of the daemon's configuration
 */
export function cniConfigProblem(
  spec: CNIConfigSpec,
  allowed: readonly string[],
): Problem | undefined {
  if (!isConflistName(spec.fileName)) {
    return {
      reason: "FileNameInvalid",
      message:
        `Expected "fileName" to be a name without a path that ends with ".conflist", found ` +
        `${JSON.stringify(spec.fileName)}; a runtime reads a list under no other name`,
    };
  }
  if (spec.plugins.length === 0) {
    return { reason: "NoPlugins", message: "Expected at least one plugin, found none; add one" };
  }
  if (isNestedTooDeep(spec.plugins)) {
    return {
      reason: "NestedTooDeep",
      message: `Expected "plugins" to be nested at most ${mostLevels} levels deep, found more; ` +
        "no plugin needs as many",
    };
  }
  for (const [index, plugin] of spec.plugins.entries()) {
    const problem = typeProblem(plugin, `plugins[${index}]`, allowed) ??
      partsProblem(plugin, `plugins[${index}]`, allowed);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function typeProblem(
  plugin: Readonly<Record<string, unknown>>,
  at: string,
  allowed: readonly string[],
): Problem | undefined {
  const { type } = plugin;
  if (typeof type === "string" && allowed.includes(type)) return undefined;
  return {
    reason: "PluginNotAllowed",
    message:
      `Expected "${at}.type" to be one of ${
        allowed.map((each) => `"${each}"`).join(", ") || "no plugin at all"
      }, found ${
        JSON.stringify(type) ?? "none"
      }; use one of them or have the node's administrator ` +
      'add it to "cni.allowed_plugins"',
  };
}

/** Plugins within plugins, and files of their choice, at any depth. */
function partsProblem(
  value: unknown,
  at: string,
  allowed: readonly string[],
): Problem | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, part] of Object.entries(value)) {
    const path = Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`;
    if (isAmbiguous(key)) {
      return {
        reason: "KeyAmbiguous",
        message: `Expected no "${path}", which a runtime may read as a key of another spelling; ` +
          "write the key as the CNI specification does",
      };
    }
    if (key === "dataDir") {
      return {
        reason: "PathNotAllowed",
        message: `Expected no "${path}", found ${JSON.stringify(part)}; leave it to the plugin`,
      };
    }
    const problem = (runsOthers(key) ? delegateProblem(part, path, allowed) : undefined) ??
      partsProblem(part, path, allowed);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const telling = ["type", "ipam", "delegate", "delegates", "dataDir"];

/** Runtimes written in Go take keys whatever their case (encoding/json, "Unmarshal"): a second "Type" would win over "type". */
function isAmbiguous(key: string): boolean {
  const folded = key.normalize("NFKC").toLowerCase();
  return telling.some((name) => name !== key && name.toLowerCase() === folded);
}

function runsOthers(key: string): boolean {
  return key === "ipam" || key === "delegate" || key === "delegates";
}

function delegateProblem(
  value: unknown,
  at: string,
  allowed: readonly string[],
): Problem | undefined {
  const delegates: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const delegate of delegates) {
    if (typeof delegate !== "object" || delegate === null) continue;
    const plugin: Readonly<Record<string, unknown>> = { ...delegate };
    if (Object.keys(plugin).length === 0) continue; // An empty "ipam" runs nothing.
    const problem = typeProblem(plugin, at, allowed);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
