/** systemd, as far as an installation needs it: by systemctl. */
import { InstallError } from "./errors.ts";
import { runProgram } from "./run_program.ts";

/** What systemd says of a unit. */
export interface UnitState {
  /** Whether it has the unit at all. */
  readonly known: boolean;
  /** Whether it runs or is about to. */
  readonly active: boolean;
  /** Whether it comes with the next boot. */
  readonly enabled: boolean;
  /** Whether the unit's file is newer than what systemd has read. */
  readonly stale: boolean;
  /** When its process was started, in milliseconds since 1970; undefined for one that does not run. */
  readonly startedAt: number | undefined;
}

/** The service manager of the host. */
export interface ServiceManager {
  /** Whether it is this host's first process. */
  available(): Promise<boolean>;
  /** What it says of a unit. @throws {InstallError} `ServiceFailed` */
  state(unit: string): Promise<UnitState>;
  /** Runs systemctl with the words. @throws {InstallError} `ServiceFailed` with what it said */
  command(...words: readonly string[]): Promise<void>;
  /** Makes now what a file for systemd-tmpfiles asks for at each boot. @throws {InstallError} `ServiceFailed` */
  makeTemporary(path: string): Promise<void>;
}

/** The host's systemd. */
export function createSystemd(signal: AbortSignal): ServiceManager {
  const run = async (program: string, words: readonly string[]) => {
    const { code, stdout, stderr } = await runProgram(program, { args: words, signal });
    if (code === 0) return stdout;
    throw new InstallError(
      "ServiceFailed",
      `Expected "${program} ${words.join(" ")}" to succeed, found exit code ${code}: ${
        (stderr.trim() || stdout.trim()).slice(-500)
      }`,
    );
  };
  return {
    // sd_booted(3)
    available: () => Deno.stat("/run/systemd/system").then(() => true, () => false),
    async state(unit) {
      const properties =
        "LoadState,ActiveState,UnitFileState,NeedDaemonReload,ExecMainStartTimestamp";
      return parseUnitState(
        await run("systemctl", ["show", "--timestamp=us+utc", `--property=${properties}`, unit]),
      );
    },
    async command(...words) {
      await run("systemctl", ["--no-ask-password", ...words]);
    },
    async makeTemporary(path) {
      await run("systemd-tmpfiles", ["--create", path]);
    },
  };
}

/** Reads the lines of `systemctl show`. */
export function parseUnitState(text: string): UnitState {
  const properties = new Map(
    text.split("\n").map((line): [string, string] => {
      const [name = "", ...rest] = line.split("=");
      return [name, rest.join("=")];
    }),
  );
  const active = ["active", "activating", "reloading"].includes(
    properties.get("ActiveState") ?? "",
  );
  // Such as "Wed 2026-11-25 22:54:26.123456 UTC".
  const [, date, time] = /^\S+ (\S+) (\S+) UTC$/.exec(
    properties.get("ExecMainStartTimestamp") ?? "",
  ) ?? [];
  return {
    known: properties.get("LoadState") === "loaded",
    active,
    enabled: properties.get("UnitFileState") === "enabled",
    stale: properties.get("NeedDaemonReload") === "yes",
    startedAt: active && date !== undefined && time !== undefined
      ? Date.parse(`${date}T${time}Z`)
      : undefined,
  };
}
