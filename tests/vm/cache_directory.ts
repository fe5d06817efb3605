import { join } from "node:path";

/**
 * Where downloads and images for guests are kept: `pyroute2-cni` below `XDG_CACHE_HOME`, or else below `~/.cache`.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function defaultCacheDirectory(): string {
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  const base = xdg?.startsWith("/") ? xdg : join(Deno.env.get("HOME") ?? "/root", ".cache");
  return join(base, "pyroute2-cni");
}

/**
 * Fills the directory `path` once: `fill` works in a temporary sibling, which takes the name only when complete, so
 * that an interrupted or a concurrent run never leaves half of it.
 */
export async function fillOnce(
  path: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.partial`;
  await Deno.mkdir(temporary, { recursive: true });
  try {
    await fill(temporary);
    await Deno.rename(temporary, path);
  } catch (error) {
    if (await isDirectory(path)) return;
    throw error;
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => {});
  }
}

/** Whether `path` is a directory. */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}
