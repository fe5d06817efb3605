/** The files of Debian packages that are installed on this machine, for images made of them. */
import { execute } from "../../lab/process.ts";

/** An installed package. */
export interface InstalledPackage {
  /** Its name, without an architecture. */
  readonly name: string;
  /** Whether every Debian system has it. */
  readonly required: boolean;
  /** What it depends on: of each list any one is enough. */
  readonly dependencies: readonly (readonly string[])[];
  /** What else it may be asked for as. */
  readonly provides: readonly string[];
}

/** Reads the packages of this machine. */
export async function installedPackages(): Promise<InstalledPackage[]> {
  const fields = ["Package", "Priority", "Pre-Depends", "Depends", "Provides"];
  const format = `${fields.map((name) => `\${${name}}`).join("\t")}\n`;
  return parsePackages(await execute(["dpkg-query", "--show", `--showformat=${format}`]));
}

/** Parses lines of name, priority, two lists of dependencies and one of provided names, with tabs between them. Pure. */
export function parsePackages(text: string): InstalledPackage[] {
  return text.split("\n").filter(Boolean).map((line) => {
    const [name = "", priority = "", before = "", depends = "", provides = ""] = line.split("\t");
    return {
      name,
      required: priority === "required",
      dependencies: [...listed(before), ...listed(depends)],
      provides: listed(provides).flat(),
    };
  });
}

/** `a (>= 1), b | c:any` → `[[a], [b, c]]`. */
function listed(text: string): string[][] {
  return text.split(",").map((part) => part.trim()).filter(Boolean).map((part) =>
    part.split("|").map((name) => name.trim().replace(/[ (:].*$/, ""))
  );
}

/**
 * The packages and all that they depend on. Pure.
 *
 * @throws {Error} When one of them is not installed
 */
export function withDependencies(
  installed: readonly InstalledPackage[],
  names: readonly string[],
): Set<string> {
  const found = new Map<string, InstalledPackage>();
  for (const each of installed) {
    for (const name of each.provides) found.set(name, found.get(name) ?? each);
  }
  for (const each of installed) found.set(each.name, each);
  const chosen = new Set<string>();
  const waiting = names.map((name) => [name]);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const one = next.map((name) => found.get(name)).find((each) => each !== undefined);
    if (one === undefined) {
      throw new Error(`Expected the package "${next.join('" or "')}" to be installed, found none`);
    }
    if (chosen.has(one.name)) continue;
    chosen.add(one.name);
    waiting.push(...one.dependencies.map((each) => [...each]));
  }
  return chosen;
}

/** What no program reads. */
const unread = /^\/usr\/share\/(doc|info|lintian|locale|man)\//;
/** Folders that are links into `/usr`, while packages have files in them. */
const merged = /^\/(bin|lib|lib64|sbin)\//;

/** The paths of the packages' files and folders on this machine. */
export async function filesOf(names: Iterable<string>): Promise<string[]> {
  const listing = await execute(["dpkg-query", "--listfiles", ...names]);
  const paths = listing.split("\n").filter((line) => line.startsWith("/") && !unread.test(line));
  const present = await Promise.all(
    [...new Set(paths.map((path) => path.replace(merged, "/usr/$1/")))].map(async (path) =>
      await Deno.lstat(path).then(() => [path], () => [])
    ),
  );
  return present.flat();
}
