import { CniError } from "./errors.ts";

/** Versions of the CNI specification that the plugin speaks, oldest first. */
export const supportedVersions = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** One of {@linkcode supportedVersions}. */
export type CniVersion = typeof supportedVersions[number];

/** The newest version: what is answered when the caller names none. */
export const newestVersion: CniVersion = "1.1.0";

/** Whether the plugin speaks this version. */
export function isSupportedVersion(version: unknown): version is CniVersion {
  return supportedVersions.some((supported) => supported === version);
}

/**
 * Narrows a configuration's `cniVersion`. A configuration without one means 0.1.0 (SPEC, "Network configuration format"),
 * which is not spoken.
 *
 * @throws {CniError} `IncompatibleVersion`
 */
export function requireVersion(version: unknown): CniVersion {
  if (isSupportedVersion(version)) return version;
  const found = version === undefined ? 'none, which means "0.1.0"' : JSON.stringify(version);
  throw new CniError(
    "IncompatibleVersion",
    `Expected a cniVersion out of ${
      quoted(supportedVersions)
    }, found ${found}; change "cniVersion" in the network configuration`,
  );
}

/**
 * The versions that know a command: CHECK came with 0.4.0, GC and STATUS with 1.1.0.
 *
 * @throws {CniError} `IncompatibleVersion` when `version` is older than the command
 */
export function requireCommandVersion(command: string, version: CniVersion): void {
  const since: CniVersion | undefined = command === "CHECK"
    ? "0.4.0"
    : command === "GC" || command === "STATUS"
    ? "1.1.0"
    : undefined;
  if (since === undefined) return;
  if (supportedVersions.indexOf(version) >= supportedVersions.indexOf(since)) return;
  throw new CniError(
    "IncompatibleVersion",
    `Expected a cniVersion of at least "${since}" for "${command}", found "${version}"; change "cniVersion" in the network configuration`,
  );
}

function quoted(values: readonly string[]): string {
  return values.map((value) => `"${value}"`).join(", ");
}
