/**
 * The containers' seccomp profiles, in the form that the OCI runtime specification gives them (config-linux.md, "Seccomp") and a kubelet
 * hands to the runtime. Pure.
 */
import {
  commonCalls,
  frrCalls,
  mountCalls,
  namespaceCalls,
  ownershipCalls,
  type SystemCallGroup,
} from "../daemon/install/system_calls.ts";

/** How an argument is compared; `SCMP_CMP_MASKED_EQ` compares the argument's bits in `value` with `valueTwo`. */
export interface ArgumentCondition {
  /** Which argument, from 0. */
  readonly index: number;
  /** What it is compared with. */
  readonly value: number;
  /** For `SCMP_CMP_MASKED_EQ` only. */
  readonly valueTwo?: number;
  /** How. */
  readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}

/** What becomes of some calls. */
export interface SeccompRule {
  /** Why; runtimes do not read it. */
  readonly comment: string;
  /** Their names. */
  readonly names: readonly string[];
  /** Whether they are let through, or fail. */
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  /** The error's number, for a call that fails. */
  readonly errnoRet?: number;
  /** Conditions that must all hold for the rule to be taken; it always is when absent. */
  readonly args?: readonly ArgumentCondition[];
}

/** A profile. What no rule names fails. */
export interface SeccompProfile {
  /** What becomes of all other calls. */
  readonly defaultAction: "SCMP_ACT_ERRNO";
  /** The error's number for them. */
  readonly defaultErrnoRet: number;
  /** Calls of other architectures end the process. */
  readonly architectures: readonly string[];
  /** What is not the default. */
  readonly syscalls: readonly SeccompRule[];
}

// Numbers of the kernel's (errno.h, sched.h, socket.h).
const EPERM = 1;
const ENOSYS = 38;
const CLONE_NEWNET = 0x4000_0000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const CLONE_NEW_ANY = 0x7e02_0000;
// Packet sockets: the daemon hears gratuitous ARP of pods, bfdd sends echo packets.
const families = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10, AF_NETLINK: 16, AF_PACKET: 17 } as const;

/** The profiles by the name of their file. */
export function seccompProfiles(): ReadonlyMap<string, SeccompProfile> {
  return new Map([
    ["daemon.json", profileOf([...commonCalls, namespaceCalls, mountCalls])],
    ["frr.json", profileOf([...commonCalls, ownershipCalls, ...frrCalls])],
  ]);
}

function profileOf(groups: readonly SystemCallGroup[]): SeccompProfile {
  const calls = groups.flatMap(({ calls }) => calls);
  const special = conditionalRules.filter(({ names }) =>
    names.every((name) => calls.includes(name))
  );
  const conditional = new Set(special.flatMap(({ names }) => names));
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    // The only one that the images are built for.
    architectures: ["SCMP_ARCH_X86_64"],
    syscalls: [
      ...groups.map(({ purpose, calls }): SeccompRule => ({
        comment: purpose,
        names: calls.filter((name) => !conditional.has(name)),
        action: "SCMP_ACT_ALLOW",
      })).filter(({ names }) => names.length > 0),
      ...special,
    ],
  };
}

/** Rules for calls that are let through with some arguments alone. */
const conditionalRules: readonly SeccompRule[] = [
  ...Object.entries(families).map(([family, value]) =>
    allow("socket", `Sockets of ${family}`, { index: 0, value, op: "SCMP_CMP_EQ" })
  ),
  allow("clone", "Threads and children, but no namespace with them", {
    index: 0,
    value: CLONE_NEW_ANY,
    valueTwo: 0,
    op: "SCMP_CMP_MASKED_EQ",
  }),
  {
    comment:
      "Its flags are in memory, which no filter reads: told that there is none, the C library takes clone",
    names: ["clone3"],
    action: "SCMP_ACT_ERRNO",
    errnoRet: ENOSYS,
  },
  allow("unshare", "A network namespace and no other", {
    index: 0,
    value: CLONE_NEWNET,
    op: "SCMP_CMP_EQ",
  }),
  allow("setns", "Into network namespaces and no others: not into the host's mounts", {
    index: 1,
    value: CLONE_NEWNET,
    op: "SCMP_CMP_EQ",
  }),
];

function allow(name: string, comment: string, condition: ArgumentCondition): SeccompRule {
  return { comment, names: [name], action: "SCMP_ACT_ALLOW", args: [condition] };
}
