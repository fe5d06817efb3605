/** What an installation changes of FRR's files, and how that is put back. Pure. */
import { join } from "node:path";
import { isWrittenByAgent } from "../../frr/written_file.ts";
import type { VrfBackend } from "../kernel/port.ts";
import { editDaemons, joinChanges, restoreDaemons } from "./frr_daemons.ts";
import { layout } from "./layout.ts";
import type { PlannedFile } from "./planned_file.ts";
import type { Owner } from "./put_file.ts";
import type { FrrRecord } from "./record.ts";

/** A file as it was found. */
export interface FoundFile {
  /** Its text. */
  readonly text: string;
  /** Permission bits. */
  readonly mode: number;
  /** User and group. */
  readonly owner: Owner;
}

/** FRR's files. */
export interface FrrFacts {
  /** The daemons file. */
  readonly daemons: FoundFile;
  /** vtysh.conf. */
  readonly vtyshConf: FoundFile | undefined;
  /** frr.conf. */
  readonly conf: FoundFile | undefined;
}

/** What shall be of them. */
export interface FrrPlan {
  /** The files. */
  readonly files: readonly PlannedFile[];
  /** What is kept of it. */
  readonly record: FrrRecord | undefined;
  /** What a person should know. */
  readonly notes: readonly string[];
}

const integrated = "service integrated-vtysh-config";
const daemonsPath = join(layout.frr, "daemons");
const vtyshPath = join(layout.frr, "vtysh.conf");
const confPath = join(layout.frr, "frr.conf");

/** Plans the files; none while FRR is not installed. */
export function planFrr(
  facts: FrrFacts | undefined,
  backend: VrfBackend,
  earlier: Partial<FrrRecord>,
): FrrPlan {
  if (facts === undefined) {
    const note =
      `FRR is not installed, "${daemonsPath}" is not there: install it, then run this again`;
    return { files: [], record: undefined, notes: [note] };
  }
  const { daemons, conf } = facts;
  const edited = editDaemons(daemons.text, backend);
  const vtysh = editVtyshConf(facts, earlier.vtyshConf);
  const files = [
    ...edited.changes.length === 0
      ? []
      : [{ ...written(daemons), path: daemonsPath, content: edited.text }],
    ...vtysh.files,
  ];
  const before = conf === undefined || isWrittenByAgent(conf.text) ? null : conf.text;
  const record: FrrRecord = {
    daemons: joinChanges(daemons.text, earlier.daemons ?? [], edited.changes),
    ...vtysh.record === undefined ? {} : { vtyshConf: vtysh.record },
    conf: before ?? earlier.conf ?? null,
    ...earlier.enabled === undefined ? {} : { enabled: earlier.enabled },
  };
  return { files, record, notes: [] };
}

/** Plans how what was changed is put back; what somebody has changed since stays. */
export function planFrrRestoration(
  facts: FrrFacts | undefined,
  record: FrrRecord | undefined,
): {
  readonly files: readonly PlannedFile[];
  readonly removals: readonly string[];
  readonly notes: readonly string[];
} {
  if (facts === undefined) return { files: [], removals: [], notes: [] };
  const { daemons, vtyshConf, conf } = facts;
  const files: PlannedFile[] = [];
  const removals: string[] = [];
  const restored = restoreDaemons(daemons.text, record?.daemons ?? []);
  if (restored.text !== daemons.text) {
    files.push({ ...written(daemons), path: daemonsPath, content: restored.text });
  }
  const vtysh = record?.vtyshConf;
  if (vtysh !== undefined && vtyshConf?.text === vtysh.after) {
    if (vtysh.before === null) removals.push(vtyshPath);
    else files.push({ ...written(vtyshConf), path: vtyshPath, content: vtysh.before });
  }
  if (conf !== undefined && isWrittenByAgent(conf.text)) {
    const before = record?.conf ?? null;
    if (before === null) removals.push(confPath);
    else files.push({ ...written(conf), path: confPath, content: before });
  }
  const notes = restored.kept.map((key) =>
    `"${key}" in "${daemonsPath}" was changed since the installation and is kept`
  );
  return { files, removals, notes };
}

function editVtyshConf(
  { vtyshConf, daemons }: FrrFacts,
  earlier: FrrRecord["vtyshConf"],
): { readonly files: readonly PlannedFile[]; readonly record: FrrRecord["vtyshConf"] } {
  const text = vtyshConf?.text ?? "";
  const lines = text.split("\n").map((line) => line.trim());
  if (lines.includes(integrated)) return { files: [], record: earlier };
  const rest = text.split("\n").filter((line) => line.trim() !== `no ${integrated}`).join("\n");
  const after = `${integrated}\n${rest}`;
  return {
    files: [{ ...written(vtyshConf ?? daemons), path: vtyshPath, content: after }],
    record: { before: vtyshConf?.text ?? null, after },
  };
}

function written({ mode, owner }: FoundFile): Pick<PlannedFile, "mode" | "owner"> {
  return { mode, owner };
}
