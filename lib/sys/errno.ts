import { CodedError } from "../errors.ts";

/** Error numbers of Linux (include/uapi/asm-generic/errno-base.h, errno.h) that system calls used here can return. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ENOSPC: 28,
  EROFS: 30,
  EPIPE: 32,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ELOOP: 40,
  ENODATA: 61,
  ETIME: 62,
  EPROTO: 71,
  EBADMSG: 74,
  EOVERFLOW: 75,
  ENOTUNIQ: 76,
  ENOTSOCK: 88,
  EDESTADDRREQ: 89,
  EMSGSIZE: 90,
  EPROTOTYPE: 91,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ENOTCONN: 107,
  ETOOMANYREFS: 109,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  ESTALE: 116,
} as const;

const TEXTS: Readonly<Record<keyof typeof Errno, string>> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or object",
  ESRCH: "no such process or route",
  EINTR: "interrupted by a signal",
  EIO: "input or output error",
  ENXIO: "no such device or address",
  E2BIG: "argument list too long",
  EBADF: "bad file descriptor",
  EAGAIN: "nothing available yet",
  ENOMEM: "out of memory",
  EACCES: "permission denied",
  EFAULT: "bad address",
  EBUSY: "device or resource busy",
  EEXIST: "already exists",
  EXDEV: "crosses a device or namespace boundary",
  ENODEV: "no such device",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  ENFILE: "too many open files in the system",
  EMFILE: "too many open files in this process",
  ENOTTY: "inappropriate ioctl",
  ENOSPC: "no space left",
  EROFS: "read-only file system",
  EPIPE: "broken pipe",
  ERANGE: "value out of range",
  ENAMETOOLONG: "name too long",
  ENOSYS: "not implemented by this kernel",
  ELOOP: "too many links or levels",
  ENODATA: "no data available",
  ETIME: "timer expired",
  EPROTO: "protocol error",
  EBADMSG: "bad message",
  EOVERFLOW: "value too large",
  ENOTUNIQ: "name not unique",
  ENOTSOCK: "not a socket",
  EDESTADDRREQ: "destination address required",
  EMSGSIZE: "message too long",
  EPROTOTYPE: "wrong type of socket",
  ENOPROTOOPT: "option not available",
  EPROTONOSUPPORT: "protocol not supported",
  EOPNOTSUPP: "operation not supported",
  EAFNOSUPPORT: "address family not supported",
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "address not available",
  ENETDOWN: "network is down",
  ENETUNREACH: "network is unreachable",
  ECONNRESET: "connection reset",
  ENOBUFS: "no buffer space left",
  ENOTCONN: "not connected",
  ETOOMANYREFS: "too many descriptors in flight",
  ETIMEDOUT: "timed out",
  ECONNREFUSED: "connection refused",
  EHOSTUNREACH: "no route to host",
  EALREADY: "already in progress",
  ESTALE: "stale handle",
};

/** The symbolic name of an error number, such as `"ENODEV"`; `"E123"` for one that is not listed in {@link Errno}. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries(Errno)) if (value === errno) return name;
  return `E${errno}`;
}

/** What an error number means, in a few words for a person. */
export function errnoText(errno: number): string {
  const text: string | undefined = (TEXTS as Readonly<Record<string, string>>)[errnoName(errno)];
  return text ?? `error number ${errno}`;
}

/** A system call failed. Its `code` is `"SystemCallFailed"`; decide by {@link SysError.errnoName}. */
export class SysError extends CodedError {
  /** The error number, one of {@link Errno} as a rule. */
  readonly errno: number;
  /** Its symbolic name, such as `"ENOENT"`. */
  readonly errnoName: string;
  /** The system call, such as `"setns"`. */
  readonly syscall: string;

  /**
   * The error of a system call.
   *
   * @param syscall The system call that failed
   * @param errno Its error number
   * @param doing What was attempted, as a phrase: `to open "/run/netns/x"`
   */
  constructor(syscall: string, errno: number, doing: string) {
    const name = errnoName(errno);
    super("SystemCallFailed", `Failed ${doing}: ${syscall} returned ${name} (${errnoText(errno)})`);
    this.errno = errno;
    this.errnoName = name;
    this.syscall = syscall;
  }
}
