/** Directories for the files of one running guest, that also a killed run does not leave behind for ever. */
import { dirname, join } from "node:path";

const NAME = /^pr2t-vm-(\d+)-/;

/** A directory that is removed when disposed of. */
export interface RunDirectory extends AsyncDisposable {
  /** Its path. */
  readonly path: string;
}

/** Makes a directory for one guest, and removes those of processes that are no more. */
export async function makeRunDirectory(): Promise<RunDirectory> {
  const path = await Deno.makeTempDir({ prefix: `pr2t-vm-${Deno.pid}-` });
  await removeStale(dirname(path));
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

async function removeStale(parent: string): Promise<void> {
  for await (const entry of Deno.readDir(parent)) {
    const pid = NAME.exec(entry.name)?.[1];
    if (pid === undefined || await exists(`/proc/${pid}`)) continue;
    await Deno.remove(join(parent, entry.name), { recursive: true }).catch(() => {});
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
