/**
 * Makes system calls that no part of the project needs, and prints what became of each as JSON: its error's name by the call's. Each
 * has arguments that the kernel refuses, so that nothing happens where it is let through.
 */
import { Errno } from "../../lib/sys/errno.ts";
import { systemCallNumber } from "./seccomp_library.ts";

// Looked up before a filter could keep it from being so: nothing of this is a system call of its own.
const libc = Deno.dlopen("libc.so.6", {
  syscall: { parameters: ["i64", "i64", "i64", "i64", "i64"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
}).symbols;

/** An address at which nothing is, and a descriptor that is none. */
const nowhere = 1n;
const none = -1n;
const CLONE_NEWUSER = 0x1000_0000n;
const CLONE_NEWNS = 0x0002_0000n;
const AF_ALG = 38n;
const PTRACE_PEEKDATA = 2n;
/** More than any process id (PID_MAX_LIMIT). */
const nobody = 4_194_305n;

/** The calls with their first three arguments. */
const calls: Readonly<Record<string, readonly [bigint, bigint, bigint]>> = {
  add_key: [nowhere, nowhere, nowhere],
  bpf: [-1n, nowhere, 0n],
  delete_module: [nowhere, 0n, 0n],
  finit_module: [none, nowhere, 0n],
  fsopen: [nowhere, 0n, 0n],
  init_module: [nowhere, 0n, nowhere],
  io_uring_setup: [0n, nowhere, 0n],
  kexec_load: [0n, 1_000n, nowhere],
  keyctl: [-1n, 0n, 0n],
  move_mount: [none, nowhere, none],
  open_by_handle_at: [none, nowhere, 0n],
  perf_event_open: [nowhere, nobody, 0n],
  pivot_root: [nowhere, nowhere, 0n],
  process_vm_readv: [nobody, nowhere, 1n],
  ptrace: [PTRACE_PEEKDATA, nobody, nowhere],
  reboot: [0n, 0n, 0n],
  setns: [none, CLONE_NEWNS, 0n],
  settimeofday: [nowhere, 0n, 0n],
  socket: [AF_ALG, 0n, 0n],
  swapon: [nowhere, 0n, 0n],
  unshare: [CLONE_NEWUSER, 0n, 0n],
  userfaultfd: [-1n, 0n, 0n],
};

const names = new Map(Object.entries(Errno).map(([name, number]) => [number as number, name]));

function errorOf(name: string, [first, second, third]: readonly [bigint, bigint, bigint]): string {
  const number = systemCallNumber(name);
  if (number === undefined) throw new Error(`libseccomp does not know "${name}"`);
  const location = libc.__errno_location();
  if (libc.syscall(BigInt(number), first, second, third, 0n) !== -1 || location === null) {
    return "none";
  }
  const errno = new Deno.UnsafePointerView(location).getInt32();
  return names.get(errno) ?? String(errno);
}

const outcomes = Object.entries(calls).map(([name, args]) => [name, errorOf(name, args)]);
console.log(JSON.stringify(Object.fromEntries(outcomes)));
