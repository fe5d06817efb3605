import { dirname } from "node:path";
import { CodedError } from "../../lib/errors.ts";

/**
 * A UNIX socket cannot be put where it was asked for, or is there no more. Codes: `UnsafeDirectory`, `SocketInUse`,
 * `NotASocket`, `SocketLost`.
 */
export class SocketPathError extends CodedError {}

/** Directories of the system: closing one to other users would break the host. */
const systemDirectories = ["/", "/run", "/var/run", "/tmp", "/var/tmp", "/var/lib", "/etc", "/dev"];

/**
 * Makes the directory of a socket, and lets only its owner in: whoever reaches the socket may have pods attached anywhere.
 *
 * @throws {SocketPathError} `UnsafeDirectory` for a directory of the system or of another user
 */
export async function ownSocketDirectory(socketPath: string): Promise<void> {
  const directory = dirname(socketPath);
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const real = await Deno.realPath(directory);
  const { uid } = await Deno.stat(real);
  if (systemDirectories.includes(real) || uid !== Deno.uid()) {
    throw new SocketPathError(
      "UnsafeDirectory",
      `Expected a directory of its own for the socket "${socketPath}", found one that others use; choose a path such as "/var/run/pyroute2/api"`,
    );
  }
  await Deno.chmod(real, 0o700);
}

/**
 * Removes the socket that a dead daemon left.
 *
 * @throws {SocketPathError} `SocketInUse` when a process listens there, `NotASocket` when the path is something else
 */
export async function removeStaleSocket(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.lstat(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return;
    throw thrown;
  }
  if (info.isSocket !== true) {
    throw new SocketPathError(
      "NotASocket",
      `Expected a socket or nothing at "${path}", found another file; remove it or choose another path`,
    );
  }
  if (await isListening(path)) {
    throw new SocketPathError(
      "SocketInUse",
      `Expected nobody to listen on "${path}", found a running process; stop it or choose another path`,
    );
  }
  await Deno.remove(path);
}

/** Tells a file from every other one that stands at its path at another time; undefined where there is none. */
export function fileIdentity(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw thrown;
  }
}

/**
 * Whether the sockets are still those that were put there: a listener does not notice that nobody finds it any more.
 *
 * @param sockets Path and {@linkcode fileIdentity} of each
 * @throws {SocketPathError} `SocketLost`
 */
export function requireSockets(sockets: readonly (readonly [string, string | undefined])[]): void {
  for (const [path, identity] of sockets) {
    const found = fileIdentity(path);
    if (found === identity) continue;
    throw new SocketPathError(
      "SocketLost",
      `Expected the daemon's own socket at "${path}", found ${
        found === undefined ? "none" : "another file"
      }; the daemon must be started anew`,
    );
  }
}

async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.ConnectionRefused) return false;
    throw thrown;
  }
}
