/**
 * The system calls that the programs need, by what they are for: the source of the units' `SystemCallFilter=` and of the containers'
 * seccomp profiles in `manifests/seccomp`. Pure.
 *
 * Each list is what strace(1) saw of a program and of all that it starts, in a lab whose pods came and went and whose parts were killed
 * (docs/security.md), and the calls by which another release of the C library does the same, such as `fork` beside `clone`.
 *
 * @module
 */

/** System calls with one purpose. */
export interface SystemCallGroup {
  /** What they are for. */
  readonly purpose: string;
  /** Their names on x86-64 (syscalls(2)). */
  readonly calls: readonly string[];
}

/** What every program here needs: the JavaScript runtime, and the shells and tools that it starts. */
export const commonCalls: readonly SystemCallGroup[] = [
  {
    purpose: "A program's start and end, and its memory; pkey and membarrier for compiled code",
    calls: [
      ...["execve", "arch_prctl", "set_tid_address", "set_robust_list", "get_robust_list", "rseq"],
      ...["brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "membarrier"],
      ...["pkey_alloc", "pkey_mprotect", "pkey_free", "getrandom", "uname", "sysinfo"],
      ...["prlimit64", "getrlimit", "getrusage", "exit", "exit_group"],
    ],
  },
  {
    purpose: "Threads, children and signals",
    calls: [
      ...["clone", "clone3", "fork", "vfork", "futex", "wait4", "waitid", "sched_yield", "getcpu"],
      ...["sched_getaffinity", "sched_getparam", "sched_getscheduler"],
      ...["kill", "tgkill", "tkill", "pidfd_open", "pidfd_send_signal", "sigaltstack", "pause"],
      ...["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigpending"],
      ...["rt_sigtimedwait", "getpid", "gettid", "getppid", "getpgid", "getpgrp", "getsid"],
      ...["setpgid", "setsid"],
    ],
  },
  {
    purpose: "Time: reading and waiting, never setting",
    calls: [
      ...["clock_gettime", "clock_getres", "gettimeofday", "time", "times", "nanosleep"],
      ...["clock_nanosleep", "restart_syscall", "alarm", "setitimer", "getitimer"],
    ],
  },
  {
    purpose: "What it may do, to ask for it and to drop it",
    calls: [
      ...["getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid"],
      ...["capget", "prctl", "umask"],
    ],
  },
  {
    purpose: "Files, by the rights that it has on them",
    calls: [
      ...["open", "openat", "openat2", "creat", "close", "close_range", "read", "readv", "pread64"],
      ...["preadv", "write", "writev", "pwrite64", "pwritev", "lseek", "fcntl", "flock", "ioctl"],
      ...["dup", "dup2", "dup3", "pipe", "pipe2", "copy_file_range", "sendfile"],
      ...["stat", "lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs", "access"],
      ...["faccessat", "faccessat2", "readlink", "readlinkat", "getdents", "getdents64"],
      ...["getcwd", "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat"],
      ...["rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"],
      ...["chmod", "fchmod", "fchmodat", "utimensat", "truncate", "ftruncate"],
      ...["fallocate", "fadvise64", "fsync", "fdatasync", "getxattr", "lgetxattr", "fgetxattr"],
      ...["listxattr", "llistxattr", "flistxattr"],
      ...["inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"],
    ],
  },
  {
    purpose: "Waiting for many things at once",
    calls: [
      ...["poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl"],
      ...["epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2"],
    ],
  },
  {
    purpose: "Sockets",
    calls: [
      ...["socket", "socketpair", "bind", "connect", "listen", "accept", "accept4", "shutdown"],
      ...["getsockname", "getpeername", "getsockopt", "setsockopt", "sendto", "sendmsg"],
      ...["sendmmsg", "recvfrom", "recvmsg", "recvmmsg"],
    ],
  },
];

/** What the daemon needs besides: pods' namespaces, and VRFs' own where they are namespaces. */
export const namespaceCalls: SystemCallGroup = {
  purpose: "Network namespaces: entering those of pods, making those of VRFs",
  calls: ["setns", "unshare"],
};

/** What gives VRFs that are namespaces their names, and a container's `/proc/sys` its being writable. */
export const mountCalls: SystemCallGroup = {
  purpose: "Names of network namespaces, which are mounts; /proc/sys of a container",
  calls: ["mount", "umount2"],
};

/** What the FRR agent needs besides. */
export const ownershipCalls: SystemCallGroup = {
  purpose: "Files of the user frr",
  calls: ["chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr"],
};

/** What FRR's own daemons need besides. */
export const frrCalls: readonly SystemCallGroup[] = [
  {
    purpose: "zebra and bgpd enter VRFs that are network namespaces",
    calls: ["setns"],
  },
  {
    purpose: "root becomes frr, and keeps what its daemons ask for",
    calls: [
      ...["setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups"],
      "capset",
    ],
  },
];
