/** Directories for the files of one running guest, that also a killed run does not leave behind for ever. */
import { dirname, join } from "node:path";

const NAME = /^pr2t-vm-(\d+)-/;

/** A directory that is removed when disposed of. */
export interface RunDirectory extends AsyncDisposable {
  /** Its path. */
  readonly path: string;
}

/** Where virtiofsd serves the host's tree to a guest. */
export function fileServerSocket(directory: string): string {
  return join(directory, "fs");
}

/** Makes a directory for one guest, and removes those of processes that are no more. */
export async function makeRunDirectory(): Promise<RunDirectory> {
  const path = await Deno.makeTempDir({ prefix: `pr2t-vm-${Deno.pid}-` });
  await removeStale(dirname(path));
  return {
    path,
    [Symbol.asyncDispose]: () => removeRunDirectory(path),
  };
}

async function removeStale(parent: string): Promise<void> {
  for await (const entry of Deno.readDir(parent)) {
    const pid = NAME.exec(entry.name)?.[1];
    if (pid === undefined || await exists(`/proc/${pid}`)) continue;
    // Another process may be removing it too.
    await removeRunDirectory(join(parent, entry.name)).catch(() => {});
  }
}

async function removeRunDirectory(path: string): Promise<void> {
  await Deno.remove(virtiofsdLock(path)).catch(() => {});
  await Deno.remove(path, { recursive: true });
}

/** The lock file that virtiofsd leaves behind, named after its socket. */
function virtiofsdLock(directory: string): string {
  return `/run/virtiofsd/${fileServerSocket(directory).replaceAll("/", ".")}.pid`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
