/**
 * The lines of FRR's `/etc/frr/daemons` that a node needs: which daemons run, whether VRFs are network namespaces, and that a new zebra
 * keeps the routes of the one before it. Pure.
 *
 * FRR's init script sources the file, so of several lines for one variable the last counts.
 *
 * @module
 */
import type { VrfBackend } from "../kernel/port.ts";

/** A variable that was changed. */
export interface DaemonsChange {
  /** Its name. */
  readonly key: string;
  /** What stood behind the `=` before, as it was written; null where there was no such line. */
  readonly before: string | null;
  /** What stands there now. */
  readonly after: string;
}

/** The file's text with its changes. */
export interface EditedDaemons {
  /** The whole text. */
  readonly text: string;
  /** What is different from the text before; empty when nothing is. */
  readonly changes: readonly DaemonsChange[];
}

/** Makes the text as a node needs it; all other lines stay as they are. */
export function editDaemons(text: string, backend: VrfBackend): EditedDaemons {
  const wishes: readonly [string, (raw: string | null) => string][] = [
    ["bgpd", () => "yes"],
    ["bfdd", () => "yes"],
    ["vtysh_enable", () => "yes"],
    ["zebra_options", (raw) => zebraOptions(raw ?? '""', backend === "netns")],
  ];
  let edited = text;
  const changes: DaemonsChange[] = [];
  for (const [key, wish] of wishes) {
    const before = valueOf(edited, key);
    const after = wish(before);
    if (before !== null && unquoted(before) === unquoted(after)) continue;
    if (before === null && unquoted(after) === "") continue;
    edited = withValue(edited, key, after);
    changes.push({ key, before, after });
  }
  return { text: edited, changes };
}

/** What putting changes back comes to. */
export interface RestoredDaemons {
  /** The whole text. */
  readonly text: string;
  /** Variables that somebody has changed since: they stay. */
  readonly kept: readonly string[];
}

/** Puts back what was changed, where nobody has changed it since. */
export function restoreDaemons(
  text: string,
  changes: readonly DaemonsChange[],
): RestoredDaemons {
  let restored = text;
  const kept: string[] = [];
  for (const { key, before, after } of changes) {
    if (valueOf(restored, key) !== after) kept.push(key);
    else restored = withValue(restored, key, before);
  }
  return { text: restored, kept };
}

/**
 * Joins the changes of an earlier installation with new ones, so that what is put back is what stood there before the first. A line
 * that somebody changed in between is taken as it was found.
 */
export function joinChanges(
  text: string,
  earlier: readonly DaemonsChange[],
  later: readonly DaemonsChange[],
): readonly DaemonsChange[] {
  const still = earlier.filter(({ key, after }) =>
    valueOf(text, key) === after && !later.some((change) => change.key === key)
  );
  const joined = later.map((change) => {
    const first = earlier.find(({ key, after }) => key === change.key && after === change.before);
    return first === undefined ? change : { ...change, before: first.before };
  });
  return [...still, ...joined].filter(({ before, after }) => before !== after);
}

/** zebra's options in either spelling. */
const namespaceWord = /(^|\s)(--vrfwnetns|-n)(?=\s|$)/;
const keepWord = /(^|\s)(--graceful_restart|-K)(?=[\s=\d]|$)/;

/** Seconds, as in the project's own daemons file. */
const keepOption = "-K 120";

function zebraOptions(raw: string, namespaces: boolean): string {
  let options = unquoted(raw);
  const before = options;
  if (!namespaces) options = options.replace(namespaceWord, "");
  else if (!namespaceWord.test(options)) options = `${options} --vrfwnetns`;
  if (!keepWord.test(options)) options = `${options} ${keepOption}`;
  return options === before ? raw : `"${before === "" ? options.trimStart() : options}"`;
}

/** What the last line for a variable says, as it is written there. */
function valueOf(text: string, key: string): string | null {
  const line = linesOf(text).findLast((each) => each.startsWith(`${key}=`));
  return line === undefined ? null : line.slice(key.length + 1);
}

/** The text with another value in the last line for a variable; with none, the line goes. */
function withValue(text: string, key: string, value: string | null): string {
  const lines = linesOf(text);
  const at = lines.findLastIndex((each) => each.startsWith(`${key}=`));
  if (value === null) return at < 0 ? text : lines.toSpliced(at, 1).join("\n");
  if (at >= 0) return lines.with(at, `${key}=${value}`).join("\n");
  const end = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  return `${end}${key}=${value}\n`;
}

function linesOf(text: string): string[] {
  return text.split("\n");
}

/** The value as the shell sees it, for the quotes that these files use. */
function unquoted(raw: string): string {
  const trimmed = raw.trim();
  return /^(["'])(.*)\1\s*(?:#.*)?$/.exec(trimmed)?.[2] ?? trimmed;
}
