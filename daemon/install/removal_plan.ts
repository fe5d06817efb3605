/** What a removal takes away of files. Pure. */
import { dirname, join } from "node:path";
import type { DaemonConfig } from "../config.ts";
import { isManagedConflist } from "../controllers/conflist.ts";
import { conflistName } from "./conflist.ts";
import { runtimeName } from "./launcher.ts";
import { layout, units } from "./layout.ts";
import { daemonName, pluginName } from "./programs.ts";
import type { InstallRecord } from "./record.ts";

/** What goes, in this order. */
export interface RemovalPlan {
  /** Conflists, before all else: from then on no runtime calls the plugin. */
  readonly conflists: readonly string[];
  /** Files. */
  readonly files: readonly string[];
  /** Folders with all that is in them. */
  readonly trees: readonly string[];
  /** Folders that go if they are empty by then, the inner ones first. */
  readonly directories: readonly string[];
  /** The folder of the journal, where damaged ones may have been moved aside. */
  readonly stateDir: string;
  /** The record, last of all: a removal that was broken off is done to its end by another one. */
  readonly record: string;
  /** What a person should know. */
  readonly notes: readonly string[];
}

/** What a removal goes by. */
export interface RemovalFacts {
  /** The daemon's configuration. */
  readonly config: DaemonConfig;
  /** Record of the installation; undefined when it was done by hand. */
  readonly record: InstallRecord | undefined;
  /** Names and texts of the runtime's CNI configurations. */
  readonly conflists: ReadonlyMap<string, string>;
  /** Whether configuration, kubeconfig and the embedded API's objects stay. */
  readonly keepData: boolean;
}

/** Plans the removal. */
export function planRemoval({ config, record, conflists, keepData }: RemovalFacts): RemovalPlan {
  const { api, node, frr, default: { cni_config_dir } } = config;
  const ours = [...conflists].filter(([name, text]) =>
    isManagedConflist(text) || (name === conflistName && text.includes(pluginName))
  ).map(([name]) => name);
  const foreign = [...conflists].filter(([name, text]) =>
    !ours.includes(name) && text.includes(`"${pluginName}"`)
  ).map(([name]) => name);
  const journal = join(node.state_dir, "journal.db");
  return {
    conflists: ours.map((name) => join(cni_config_dir, name)),
    files: [
      ...Object.values(units).filter((unit) => unit !== units.frr)
        .map((unit) => join(layout.units, unit)),
      layout.tmpfiles,
      join(layout.plugins, pluginName),
      ...[daemonName, pluginName, runtimeName].map((name) => join(layout.programs, name)),
      ...[api.socket_path_api, api.socket_path_fd, frr.socket_path],
      ...["", "-wal", "-shm"].map((suffix) => `${journal}${suffix}`),
      ...keepData ? [] : [layout.serverIni, `${layout.serverIni}.new`, layout.kubeconfig],
    ],
    trees: keepData ? [] : [
      ...Object.values(units).filter((unit) => unit !== units.frr)
        .map((unit) => join(layout.units, `${unit}.d`)),
      layout.apiData,
      // Where systemd keeps the folder of a user that exists only while a service runs.
      `/var/lib/private/pyroute2-cni`,
    ],
    directories: emptyDirectories(config, record),
    stateDir: node.state_dir,
    record: layout.record,
    notes: foreign.map((name) =>
      `"${join(cni_config_dir, name)}" still names ${pluginName}: correct or remove it`
    ),
  };
}

/** Folders of this project, and those that were made for it: the inner ones first. */
function emptyDirectories(
  { api, node }: DaemonConfig,
  record: InstallRecord | undefined,
): readonly string[] {
  const own = [
    dirname(api.socket_path_api),
    dirname(api.socket_path_fd),
    node.state_dir,
    layout.programs,
    layout.configuration,
    layout.state,
  ];
  const all = [...new Set([...own, ...record?.directories ?? []])];
  return all.toSorted((a, b) => b.length - a.length);
}
