import { Errno, SysError } from "./errno.ts";
import { type OwnedFd } from "./fd.ts";
import { cString, errno, libc } from "./libc.ts";
import { createNetns, isNetworkNamespace, openNetns } from "./netns.ts";

/** Where iproute2 and FRR look for named network namespaces. */
export const NETNS_DIR = "/run/netns";

const MS_BIND = 0x1000;
const MS_REC = 0x4000;
const MS_SHARED = 0x100000;
const MNT_DETACH = 2;

/**
 * Creates a network namespace with a name, as `ip netns add` does: a bind mount in a directory whose mounts propagate.
 *
 * Its loopback link is down. The returned descriptor may be closed: the mount keeps the namespace.
 *
 * @throws {SysError} `EEXIST` if the name is taken
 * @throws {TypeError} If the name cannot be a file name
 */
export function createNamedNetns(name: string, dir: string = NETNS_DIR): OwnedFd {
  const netns = createNetns();
  try {
    nameNetns(netns, name, dir);
    return netns;
  } catch (thrown) {
    netns[Symbol.dispose]();
    throw thrown;
  }
}

/**
 * Gives a network namespace a name, besides those that it may have.
 *
 * @throws {SysError} `EEXIST` if the name is taken
 * @throws {TypeError} If the name cannot be a file name
 */
export function nameNetns(netns: OwnedFd, name: string, dir: string = NETNS_DIR): void {
  const path = netnsPath(name, dir);
  prepareDirectory(dir);
  try {
    Deno.openSync(path, { createNew: true, write: true, mode: 0o444 }).close();
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AlreadyExists)) throw thrown;
    throw new SysError("open", Errno.EEXIST, `to create the network namespace "${path}"`);
  }
  try {
    bindMount(`/proc/self/fd/${netns.fd}`, path);
  } catch (thrown) {
    Deno.removeSync(path);
    throw thrown;
  }
}

/**
 * Deletes a named network namespace, as `ip netns del` does. The namespace itself goes once nothing else holds it.
 *
 * @returns Whether there was one
 * @throws {SysError} If it cannot be unmounted
 */
export function deleteNamedNetns(name: string, dir: string = NETNS_DIR): boolean {
  const path = netnsPath(name, dir);
  const target = cString(path);
  if (libc.umount2(target, MNT_DETACH) !== 0) {
    const number = errno();
    // EINVAL: the file is there but nothing is mounted on it, as after a crash in the middle of creation.
    if (number !== Errno.EINVAL && number !== Errno.ENOENT) {
      throw new SysError("umount2", number, `to unmount the network namespace "${path}"`);
    }
  }
  try {
    Deno.removeSync(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}

/** Names in the directory that really are network namespaces, sorted. Files left over by a crash are not listed. */
export function listNamedNetns(dir: string = NETNS_DIR): string[] {
  const names: string[] = [];
  try {
    for (const entry of Deno.readDirSync(dir)) {
      if (isNamedNetns(`${dir}/${entry.name}`)) names.push(entry.name);
    }
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
  return names.sort();
}

/**
 * Opens a named network namespace, or gives `undefined` if there is none of that name.
 *
 * @throws {SysError} If it cannot be opened for another reason
 */
export function openNamedNetns(name: string, dir: string = NETNS_DIR): OwnedFd | undefined {
  const path = netnsPath(name, dir);
  try {
    const netns = openNetns(path);
    if (isNetworkNamespace(netns)) return netns;
    netns[Symbol.dispose]();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof SysError && thrown.errno === Errno.ENOENT) return undefined;
    throw thrown;
  }
}

/**
 * The path of a named network namespace.
 *
 * @throws {TypeError} If the name cannot be a file name
 */
export function netnsPath(name: string, dir: string = NETNS_DIR): string {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.length > 255) {
    throw new TypeError(
      `Expected a file name for the network namespace, found ${JSON.stringify(name)}`,
    );
  }
  return `${dir}/${name}`;
}

function isNamedNetns(path: string): boolean {
  try {
    using netns = openNetns(path);
    return isNetworkNamespace(netns);
  } catch (thrown) {
    if (thrown instanceof SysError) return false;
    throw thrown;
  }
}

/** Makes the directory a shared mount point, so that the namespaces mounted in it appear in (and go from) every mount namespace. */
function prepareDirectory(dir: string): void {
  makeDirectory(dir);
  const failure = tryMount("", dir, MS_SHARED | MS_REC);
  if (failure === 0) return;
  // EINVAL: the directory is no mount point yet.
  if (failure !== Errno.EINVAL) throw mountError(failure, dir);
  const bound = tryMount(dir, dir, MS_BIND | MS_REC);
  if (bound !== 0) throw mountError(bound, dir);
  const shared = tryMount("", dir, MS_SHARED | MS_REC);
  if (shared !== 0) throw mountError(shared, dir);
}

/** Open to FRR's user, whatever this process's umask. */
function makeDirectory(dir: string): void {
  try {
    Deno.statSync(dir);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    Deno.mkdirSync(dir, { recursive: true });
    Deno.chmodSync(dir, 0o755);
  }
}

function bindMount(source: string, target: string): void {
  const failure = tryMount(source, target, MS_BIND);
  if (failure !== 0) throw mountError(failure, target);
}

/** Calls mount(2) and gives 0 or the error number. */
function tryMount(source: string, target: string, flags: number): number {
  const from = cString(source);
  const to = cString(target);
  const type = cString("none");
  return libc.mount(from, to, type, BigInt(flags), null) === 0 ? 0 : errno();
}

function mountError(number: number, target: string): SysError {
  return new SysError("mount", number, `to mount a network namespace on "${target}"`);
}
