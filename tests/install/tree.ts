/** A folder's content, to compare what stood there at two times. */
import { join } from "node:path";

/** What stands at a path, in a form that two of the same compare equal. */
export type Tree = ReadonlyMap<string, string>;

/** Reads all that is below a folder: kind, permission bits, owner, and content or target. Sockets and devices by their kind alone. */
export async function readTree(root: string, path = ""): Promise<Tree> {
  const tree = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(join(root, path))) {
    const at = join(path, name);
    tree.set(at, await entryAt(join(root, at)) ?? "nothing");
    if (!isDirectory) continue;
    for (const [below, what] of await readTree(root, at)) tree.set(below, what);
  }
  return tree;
}

/** What stands at a path; undefined where nothing does. */
export async function entryAt(path: string): Promise<string | undefined> {
  try {
    const info = await Deno.lstat(path);
    const about = `${((info.mode ?? 0) & 0o7777).toString(8)} ${info.uid}:${info.gid}`;
    if (info.isSymlink) return `link ${await Deno.readLink(path)}`;
    if (info.isFile) return `file ${about} ${await digest(path)}`;
    return info.isDirectory ? `directory ${about}` : "special";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** What differs between two trees, a line each; empty when nothing does. */
export function differences(before: Tree, after: Tree): string[] {
  const paths = [...new Set([...before.keys(), ...after.keys()])].toSorted();
  return paths.flatMap((path) => {
    const [one, other] = [before.get(path), after.get(path)];
    return one === other ? [] : [`${path}: ${one ?? "nothing"} -> ${other ?? "nothing"}`];
  });
}

async function digest(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return new Uint8Array(hash).toHex();
}
