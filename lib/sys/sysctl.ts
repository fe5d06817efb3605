import { CodedError, messageOf } from "../errors.ts";

/** A sysctl could not be read or written. Codes: `SysctlPath`, `SysctlRead`, `SysctlWrite`. */
export class SysctlError extends CodedError {}

/**
 * Reads a sysctl of the calling thread's network namespace, without the line end.
 *
 * The key is given in parts, `["net", "ipv4", "conf", "eth0.100", "forwarding"]`, because names of links may contain dots. Being
 * synchronous, it may be called inside `inNetns`.
 *
 * @throws {SysctlError} If there is no such sysctl or it may not be read
 */
export function readSysctl(key: readonly string[]): string {
  const path = sysctlPath(key);
  try {
    return Deno.readTextFileSync(path).trimEnd();
  } catch (cause) {
    throw new SysctlError(
      "SysctlRead",
      `Failed to read the sysctl "${key.join(".")}": ${messageOf(cause)}`,
      { cause },
    );
  }
}

/**
 * Writes a sysctl of the calling thread's network namespace; see {@link readSysctl} for the key.
 *
 * @throws {SysctlError} If there is no such sysctl or the kernel refuses the value
 */
export function writeSysctl(key: readonly string[], value: string | number): void {
  const path = sysctlPath(key);
  try {
    Deno.writeTextFileSync(path, `${value}\n`, { create: false });
  } catch (cause) {
    throw new SysctlError(
      "SysctlWrite",
      `Failed to write "${value}" to the sysctl "${key.join(".")}": ${messageOf(cause)}`,
      { cause },
    );
  }
}

function sysctlPath(key: readonly string[]): string {
  const bad = key.find((part) =>
    part === "" || part === "." || part === ".." || part.includes("/")
  );
  if (key.length === 0 || bad !== undefined) {
    throw new SysctlError(
      "SysctlPath",
      `Expected the parts of a sysctl's name without slashes, found ${JSON.stringify(key)}`,
    );
  }
  return `/proc/sys/${key.join("/")}`;
}
