import { CodedError, messageOf } from "../errors.ts";
import { SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { cString, errno, libc } from "./libc.ts";

/** An open network namespace: anything with its descriptor, or the descriptor itself. */
export type NetnsHandle = { readonly fd: number } | number;

/** A rule about network namespaces was broken, such as asynchronous code inside {@link inNetns}. */
export class NetnsError extends CodedError {}

const O_CLOEXEC = 0x80000;
// So that a FIFO at the path cannot make open wait.
const O_NONBLOCK = 0x800;
const CLONE_NEWNET = 0x40000000;
const NSFS_MAGIC = 0x6e736673;
const NS_GET_NSTYPE = 0xb703n;

// `thread-self`, not `self`: setns changes the calling thread alone.
const OWN_NETNS = "/proc/thread-self/ns/net";

/**
 * Opens a network namespace by path, such as `/run/netns/NAME` or `/proc/PID/ns/net`.
 *
 * Whether the path is a namespace at all is not checked: see {@link isNetworkNamespace}.
 *
 * @throws {SysError} If it cannot be opened
 */
export function openNetns(path: string): OwnedFd {
  const name = cString(path);
  const fd = libc.open(name, O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0) throw new SysError("open", errno(), `to open the network namespace "${path}"`);
  return new OwnedFd(fd);
}

/**
 * Opens the network namespace that the calling thread is in.
 *
 * @throws {SysError} If /proc is not mounted or no descriptor is left
 */
export function openOwnNetns(): OwnedFd {
  return openNetns(OWN_NETNS);
}

/**
 * Runs a strictly synchronous function inside a network namespace and comes back, whatever it does.
 *
 * Only the calling thread moves. Nothing asynchronous may start inside: threads of the pool that are born there stay there for good.
 * Open a socket inside and use it outside. If coming back fails, the process exits, since everything it did from
 * then on would happen in the wrong namespace.
 *
 * @throws {SysError} If the namespace cannot be entered
 * @throws {NetnsError} `AsyncInNetns` if the function returns a promise
 */
export function inNetns<T>(netns: NetnsHandle, fn: () => T): T {
  using home = openOwnNetns();
  enter(netns);
  let result: T;
  try {
    result = fn();
  } finally {
    comeBack(home);
  }
  if (isThenable(result)) {
    throw new NetnsError(
      "AsyncInNetns",
      "Expected a synchronous function to run in the network namespace, found one that returns a promise",
    );
  }
  return result;
}

/** Whether the descriptor is a network namespace: not a file, not another kind of namespace, not a bad descriptor. */
export function isNetworkNamespace(netns: NetnsHandle): boolean {
  const fd = fdOf(netns);
  const statfs = new BigInt64Array(32); // struct statfs is 120 bytes; f_type comes first
  if (libc.fstatfs(fd, statfs) !== 0 || statfs[0] !== BigInt(NSFS_MAGIC)) return false;
  return libc.ioctl(fd, NS_GET_NSTYPE, 0n) === CLONE_NEWNET;
}

/**
 * What tells one namespace from another, as `device:inode` (ioctl_ns(2)). It is unique only while the namespace exists.
 *
 * @throws {Error} If the descriptor is not open
 */
export function netnsIdentity(netns: NetnsHandle): string {
  const { dev, ino } = Deno.statSync(`/proc/self/fd/${fdOf(netns)}`);
  return `${dev}:${ino}`;
}

/**
 * Makes a new network namespace that nothing holds but the returned descriptor. Its loopback link is down.
 *
 * @throws {SysError} If the kernel refuses
 */
export function createNetns(): OwnedFd {
  using home = openOwnNetns();
  checked(libc.unshare(CLONE_NEWNET), "unshare", "to create a network namespace");
  try {
    return openOwnNetns();
  } finally {
    comeBack(home);
  }
}

/** The descriptor of a namespace handle. */
export function fdOf(netns: NetnsHandle): number {
  return typeof netns === "number" ? netns : netns.fd;
}

function enter(netns: NetnsHandle): void {
  const fd = fdOf(netns);
  const result = libc.setns(fd, CLONE_NEWNET);
  if (result !== 0) {
    throw new SysError("setns", errno(), `to enter the network namespace "fd ${fd}"`);
  }
}

function comeBack(home: OwnedFd): void {
  try {
    checked(libc.setns(home.fd, CLONE_NEWNET), "setns", "to come back from a network namespace");
  } catch (thrown) {
    console.error(messageOf(thrown));
    Deno.exit(70);
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value &&
    typeof value.then === "function";
}
