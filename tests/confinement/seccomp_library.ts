/**
 * Takes a seccomp profile as runc does, by libseccomp: names are looked up and the filter is made by the same code. Only what the
 * profiles of this project use is known here; anything else is an error, never left out.
 */
import { seccompProfiles } from "../../manifests/seccomp.ts";
import type { ArgumentCondition, SeccompProfile, SeccompRule } from "../../manifests/seccomp.ts";

// seccomp.h of libseccomp 2.5
const ALLOW = 0x7fff_0000;
const ERRNO = 0x0005_0000;
const comparisons = { SCMP_CMP_EQ: 4, SCMP_CMP_MASKED_EQ: 7 } as const;

const symbols = {
  seccomp_init: { parameters: ["u32"], result: "pointer" },
  seccomp_syscall_resolve_name: { parameters: ["buffer"], result: "i32" },
  seccomp_rule_add_array: {
    parameters: ["pointer", "u32", "i32", "u32", "buffer"],
    result: "i32",
  },
  seccomp_load: { parameters: ["pointer"], result: "i32" },
} as const;

/** A profile of the project, by the name of its file. @throws {Error} When there is none */
export function profileNamed(name: string): SeccompProfile {
  const profile = seccompProfiles().get(name);
  if (profile === undefined) throw new Error(`There is no seccomp profile "${name}"`);
  return profile;
}

/** Names of a profile that libseccomp does not know: a runtime would pass over them without a word. */
export function unknownNames(profile: SeccompProfile): string[] {
  const names = profile.syscalls.flatMap(({ names }) => names);
  return withLibrary((library) => names.filter((name) => numberOf(library, name) === undefined));
}

/** The number of a system call on this machine; undefined when libseccomp does not know it. */
export function systemCallNumber(name: string): number | undefined {
  return withLibrary((library) => numberOf(library, name));
}

/**
 * Puts the calling thread, and every program that it executes from then on, under a profile, without new privileges.
 *
 * @throws {Error} When libseccomp refuses it
 */
export function enterProfile(profile: SeccompProfile): void {
  // Not closed: there is no way back.
  const library = Deno.dlopen("libseccomp.so.2", symbols).symbols;
  const filter = library.seccomp_init((ERRNO | profile.defaultErrnoRet) >>> 0);
  if (filter === null) throw new Error("libseccomp made no filter");
  for (const rule of profile.syscalls) {
    const action = rule.action === "SCMP_ACT_ALLOW" ? ALLOW : ERRNO | (rule.errnoRet ?? 1);
    const conditions = rule.args ?? [];
    for (const name of rule.names) {
      const number = numberOf(library, name) ?? refused(rule, name);
      const failure = library.seccomp_rule_add_array(
        filter,
        action >>> 0,
        number,
        conditions.length,
        encode(conditions),
      );
      if (failure !== 0) refused(rule, name);
    }
  }
  const failure = library.seccomp_load(filter);
  if (failure !== 0) throw new Error(`libseccomp could not load the filter: error ${-failure}`);
}

type Library = Deno.DynamicLibrary<typeof symbols>["symbols"];

function withLibrary<T>(use: (library: Library) => T): T {
  const library = Deno.dlopen("libseccomp.so.2", symbols);
  try {
    return use(library.symbols);
  } finally {
    library.close();
  }
}

function numberOf(library: Library, name: string): number | undefined {
  const number = library.seccomp_syscall_resolve_name(new TextEncoder().encode(`${name}\0`));
  return number < 0 ? undefined : number;
}

function refused({ comment }: SeccompRule, name: string): never {
  throw new Error(`libseccomp does not take "${name}" ("${comment}")`);
}

/** As `struct scmp_arg_cmp`: argument and operation, 4 bytes each, then two values of 8 bytes. */
function encode(conditions: readonly ArgumentCondition[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(1, conditions.length) * 24);
  const view = new DataView(bytes.buffer);
  for (const [at, { index, op, value, valueTwo = 0 }] of conditions.entries()) {
    view.setUint32(at * 24, index, true);
    view.setUint32(at * 24 + 4, comparisons[op], true);
    view.setBigUint64(at * 24 + 8, BigInt(value), true);
    view.setBigUint64(at * 24 + 16, BigInt(valueTwo), true);
  }
  return bytes;
}
