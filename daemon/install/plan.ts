/** What an installation on a host without a cluster writes: text, and no program yet. Pure. */
import { dirname, join } from "node:path";
import { isManagedConflist } from "../controllers/conflist.ts";
import { type DaemonConfig, parseConfig } from "../config.ts";
import type { VrfBackend } from "../kernel/port.ts";
import { CodedError } from "../../lib/errors.ts";
import { conflistName, renderStandaloneConflist } from "./conflist.ts";
import { type FrrFacts, planFrr } from "./frr_plan.ts";
import { layout, units } from "./layout.ts";
import type { HostWish } from "./options.ts";
import type { PlannedFile } from "./planned_file.ts";
import { digestOf, type FrrRecord, type InstallRecord } from "./record.ts";
import { renderServerIni } from "./server_ini.ts";
import {
  type ApiAddress,
  apiServerUnit,
  daemonUnit,
  frrAgentUnit,
  netnsTmpfiles,
} from "./units.ts";

/** What was found on the host. */
export interface HostFacts {
  /** Record of an earlier installation. */
  readonly record: InstallRecord | undefined;
  /** Text of server.ini. */
  readonly serverIni: string | undefined;
  /** FRR's files; undefined while it is not installed. */
  readonly frr: FrrFacts | undefined;
  /** Whether FRR's service comes with the next boot; undefined where that cannot be asked. */
  readonly frrEnabled: boolean | undefined;
  /** What the kernel has, for a host that is not told. */
  readonly kernelBackend: VrfBackend;
  /** Names and texts of the runtime's CNI configurations. */
  readonly conflists: ReadonlyMap<string, string>;
}

/** A folder that has to be there. */
export interface PlannedDirectory {
  /** Its path. */
  readonly path: string;
  /** Permission bits for one that is made. */
  readonly mode: number;
  /** Whether it is this project's alone, so that one that is there gets the mode, too. */
  readonly own: boolean;
}

/** What shall be. */
export interface HostPlan {
  /** The configuration that the daemon will read. */
  readonly config: DaemonConfig;
  /** Where the embedded API of this host listens, if it is here. */
  readonly api: ApiAddress | undefined;
  /** Where VRFs will live. */
  readonly backend: VrfBackend;
  /** Folders; missing parents get 0755. */
  readonly directories: readonly PlannedDirectory[];
  /** Files in the order in which they are written, FRR's and the conflist aside. */
  readonly files: readonly PlannedFile[];
  /** FRR's files. */
  readonly frr: readonly PlannedFile[];
  /** The conflist, which comes last: from then on the runtime calls. */
  readonly conflist: readonly PlannedFile[];
  /** What is kept of it; the folders that had to be made are missing yet. */
  readonly record: InstallRecord;
  /** What a person should know. */
  readonly notes: readonly string[];
}

/**
 * Plans the files.
 *
 * @throws {CodedError} `UsageInvalid` when nothing says which API is used, or something else than what is there already
 * @throws {ConfigError | IniError} When the server.ini that is there cannot be used
 */
export function planHost(wish: HostWish, facts: HostFacts): HostPlan {
  const api = apiOf(wish, facts.record);
  const found = facts.serverIni === undefined ? undefined : parseConfig(facts.serverIni);
  const wanted = renderServerIni({
    nodeName: wish.nodeName ?? found?.node.name,
    vrfBackend: wish.vrfBackend ?? explicit(found?.node.vrf_backend) ?? facts.kernelBackend,
    register: wish.register ?? found?.node.register ?? true,
    kubeconfig: api === undefined ? layout.kubeconfig : layout.apiKubeconfig,
  });
  const ini = planServerIni(wanted, facts);
  const config = parseConfig(ini.effective);
  const backend = explicit(config.node.vrf_backend) ?? facts.kernelBackend;
  const frr = planFrr(facts.frr, backend, earlierFrr(facts));
  const conflist = planConflist(wish, api, config, facts);
  const offeredIni = ini.offered ?? facts.record?.offeredIni;
  return {
    config,
    api,
    directories: directoriesOf(config, backend),
    backend,
    files: [...ini.files, ...unitFiles(api, config, backend), ...tmpfiles(backend)],
    frr: frr.files,
    conflist: conflist.files,
    record: {
      ...api === undefined ? {} : { api },
      ...ini.written === undefined ? {} : { serverIni: ini.written },
      ...offeredIni === undefined ? {} : { offeredIni },
      ...conflist.written === undefined ? {} : { conflist: conflist.written },
      directories: facts.record?.directories ?? [],
      ...frr.record === undefined ? {} : { frr: frr.record },
    },
    notes: [...ini.notes, ...frr.notes, ...conflist.notes],
  };
}

function apiOf(wish: HostWish, record: InstallRecord | undefined): ApiAddress | undefined {
  const change = record?.api === undefined ? wish.api !== undefined : wish.kubeconfig !== undefined;
  if (record !== undefined && change) {
    throw new CodedError(
      "UsageInvalid",
      `Expected this host to go on with ${
        record.api === undefined ? "the API that it uses" : "its own API"
      }, found --${
        record.api === undefined ? "api" : "kubeconfig"
      }; uninstall it first, with its tenants`,
    );
  }
  if (record === undefined && wish.api === undefined && wish.kubeconfig === undefined) {
    throw new CodedError(
      "UsageInvalid",
      "Expected --api ADDRESS for the host that runs the API, or --kubeconfig FILE for one that uses it, found neither",
    );
  }
  return wish.api ?? record?.api;
}

/** What the first installation has found of FRR's service counts. */
function earlierFrr({ record, frrEnabled }: HostFacts): Partial<FrrRecord> {
  const enabled = record?.frr?.enabled ?? frrEnabled;
  return { ...record?.frr, ...enabled === undefined ? {} : { enabled } };
}

interface IniPlan {
  readonly effective: string;
  readonly files: readonly PlannedFile[];
  readonly written: string | undefined;
  readonly offered: string | undefined;
  readonly notes: readonly string[];
}

/** A file that somebody has edited stays; what would have been written is put beside it, once. */
function planServerIni(wanted: string, { serverIni, record }: HostFacts): IniPlan {
  const file = (path: string) => [{ path, mode: 0o600, content: wanted }];
  const digest = digestOf(wanted);
  const own = serverIni === undefined || serverIni === wanted ||
    digestOf(serverIni) === record?.serverIni;
  if (own) {
    return {
      effective: wanted,
      files: file(layout.serverIni),
      written: digest,
      offered: undefined,
      notes: [],
    };
  }
  const kept = { effective: serverIni, written: record?.serverIni };
  if (record?.offeredIni === digest) return { ...kept, files: [], offered: undefined, notes: [] };
  return {
    ...kept,
    files: file(`${layout.serverIni}.new`),
    offered: digest,
    notes: [
      `"${layout.serverIni}" was edited and is kept; what would have been written is in "${layout.serverIni}.new"`,
    ],
  };
}

function unitFiles(
  api: ApiAddress | undefined,
  config: DaemonConfig,
  backend: VrfBackend,
): PlannedFile[] {
  const file = (name: string, content: string) => ({
    path: join(layout.units, name),
    mode: 0o644,
    content,
  });
  const daemon = daemonUnit({ withApi: api !== undefined, backend, config });
  return [
    ...api === undefined ? [] : [file(units.api, apiServerUnit(api))],
    file(units.agent, frrAgentUnit(config.frr.socket_path)),
    file(units.daemon, daemon),
  ];
}

function tmpfiles(backend: VrfBackend): PlannedFile[] {
  if (backend === "device") return [];
  return [{ path: layout.tmpfiles, mode: 0o644, content: netnsTmpfiles }];
}

function directoriesOf(config: DaemonConfig, backend: VrfBackend): PlannedDirectory[] {
  const own = (path: string, mode: number) => ({ path, mode, own: true });
  const shared = (path: string) => ({ path, mode: 0o755, own: false });
  return [
    own(layout.programs, 0o755),
    shared(layout.plugins),
    shared(layout.units),
    own(layout.configuration, 0o700),
    // The embedded API's user goes through it to its own folder.
    own(layout.state, 0o755),
    shared(config.default.cni_config_dir),
    ...backend === "netns" ? [shared(dirname(layout.tmpfiles))] : [],
  ];
}

interface ConflistPlan {
  readonly files: readonly PlannedFile[];
  readonly written: string | undefined;
  readonly notes: readonly string[];
}

/** Where the embedded API runs, the host is one that nobody may have given a CNIConfig to. A file of others stays. */
function planConflist(
  wish: HostWish,
  api: ApiAddress | undefined,
  config: DaemonConfig,
  { record, conflists }: HostFacts,
): ConflistPlan {
  const directory = config.default.cni_config_dir;
  const path = join(directory, conflistName);
  if (api === undefined || !wish.conflist) {
    return { files: [], written: record?.conflist, notes: [] };
  }
  if ([...conflists.values()].some(isManagedConflist)) {
    return { files: [], written: undefined, notes: [] };
  }
  const wanted = renderStandaloneConflist(config.api);
  const found = conflists.get(conflistName);
  const first = [...conflists.keys()].filter((name) => name !== conflistName).toSorted()[0];
  const notes = first !== undefined && first < conflistName
    ? [`The runtime takes "${join(directory, first)}" before "${path}": remove one of the two`]
    : [];
  const own = found === undefined || found === wanted || digestOf(found) === record?.conflist;
  if (!own) {
    return {
      files: [],
      written: record?.conflist,
      notes: [...notes, `"${path}" is not as it was written and is kept`],
    };
  }
  return { files: [{ path, mode: 0o644, content: wanted }], written: digestOf(wanted), notes };
}

function explicit(backend: "auto" | VrfBackend | undefined): VrfBackend | undefined {
  return backend === "auto" ? undefined : backend;
}
