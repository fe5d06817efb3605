/**
 * The one place where the C library is opened.
 *
 * Results of type `ssize_t` are declared as `i32`: every size used here is far below 2^31, and an `isize` result would be a
 * bigint, whose allocation may clobber `errno` before it is read. Variadic functions (`open`, `fcntl`, `ioctl`) are called with
 * fixed parameters, which is the same calling convention on x86-64 and AArch64 Linux.
 *
 * @module
 */

const LIBRARY = "libc.so.6";

/** Signatures of the functions of {@link libc}. */
export const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "usize"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "usize"], result: "i32" },
  fstatfs: { parameters: ["i32", "buffer"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  unshare: { parameters: ["i32"], result: "i32" },
  mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
} as const;

/** The calls that may wait, on a thread of the pool. After one of them `errno` means nothing. */
export const BLOCKING_SYMBOLS = {
  send: { ...SYMBOLS.send, nonblocking: true },
  recv: { ...SYMBOLS.recv, nonblocking: true },
  recvmsg: { ...SYMBOLS.recvmsg, nonblocking: true },
  poll: { ...SYMBOLS.poll, nonblocking: true },
} as const;

/** Synchronous functions of the C library, as in its manual pages, sections 2 and 3. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Functions of the C library that wait on another thread and return a promise. */
export type BlockingLibc = Deno.DynamicLibrary<typeof BLOCKING_SYMBOLS>["symbols"];

/**
 * The C library's functions. Each is looked up when it is first used: looking up all of them would cost every start of the plugin
 * some milliseconds.
 */
export const libc: Libc = lookedUpOnUse(
  SYMBOLS,
  (name) => Deno.dlopen(LIBRARY, { [name]: SYMBOLS[name] }).symbols[name],
) as Libc;

/**
 * The C library's waiting functions, each call on a thread of the pool.
 *
 * Buffers handed to them must stay referenced until the promise settles. Never call one inside another namespace: the thread made
 * for it would stay there.
 */
export const blockingLibc: BlockingLibc = lookedUpOnUse(
  BLOCKING_SYMBOLS,
  (name) => Deno.dlopen(LIBRARY, { [name]: BLOCKING_SYMBOLS[name] }).symbols[name],
) as BlockingLibc;

let errnoCell: Int32Array | undefined;

/**
 * The calling thread's `errno`: right only directly after a function of {@link libc} has failed, with nothing in between.
 *
 * The cell is mapped once as an array (its address never changes in a thread), so that reading it makes no call and allocates
 * nothing.
 */
export function errno(): number {
  return errnoCell?.[0] ?? 0;
}

function lookedUpOnUse<N extends string>(
  names: Readonly<Record<N, unknown>>,
  lookUp: (name: N) => unknown,
): Readonly<Record<N, unknown>> {
  const library = {} as Record<N, unknown>;
  for (const name of Object.keys(names) as N[]) {
    Object.defineProperty(library, name, {
      configurable: true,
      enumerable: true,
      get: () => {
        // Mapped here, before any call: mapping it after one might change errno.
        errnoCell ??= mapErrno();
        const value = lookUp(name);
        Object.defineProperty(library, name, { value });
        return value;
      },
    });
  }
  return library;
}

function mapErrno(): Int32Array {
  const symbols = { __errno_location: { parameters: [], result: "pointer" } } as const;
  const location = Deno.dlopen(LIBRARY, symbols).symbols.__errno_location();
  if (location === null) throw new TypeError("Expected the address of errno, found null");
  return new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location, 4));
}

/** A text as the zero-terminated bytes that C functions take. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError(`Expected a text without NUL characters, found ${JSON.stringify(text)}`);
  }
  return new TextEncoder().encode(`${text}\0`);
}

/** The address of a buffer's first byte. The buffer must stay referenced for as long as the address is used. */
export function addressOf(buffer: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}
