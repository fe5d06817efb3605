/** Reads the command lines of subcommands. Pure. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { CodedError, messageOf } from "../lib/errors.ts";

/** The values of options by name; several of one name are not supported. */
export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

/**
 * Parses a subcommand's options.
 *
 * @param args Words behind the subcommand
 * @param options As `parseArgs` of node:util takes them
 * @throws {CodedError} `UsageInvalid` for an unknown option, a missing value or a word that is no option
 */
export function optionsOf(
  args: readonly string[],
  options: NonNullable<ParseArgsConfig["options"]>,
): OptionValues {
  try {
    const { values } = parseArgs({
      args: [...args],
      options,
      strict: true,
      allowPositionals: false,
    });
    return Object.fromEntries(
      Object.entries(values).map((
        [name, value],
      ) => [name, Array.isArray(value) ? undefined : value]),
    );
  } catch (error) {
    throw new CodedError("UsageInvalid", messageOf(error));
  }
}

/**
 * A port, 0 to 65535.
 *
 * @throws {CodedError} `UsageInvalid`
 */
export function portOf(value: string | boolean | undefined): number {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new CodedError("UsageInvalid", `Expected a port from 0 to 65535, found "${value}"`);
}
