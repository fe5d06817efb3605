/** What an installation keeps of itself, so that the next one and its removal know what it has changed. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { InstallError } from "./errors.ts";
import type { ApiAddress } from "./units.ts";
import type { DaemonsChange } from "./frr_daemons.ts";

/** What was changed of FRR's files. */
export interface FrrRecord {
  /** Lines of the daemons file. */
  readonly daemons: readonly DaemonsChange[];
  /** The whole of vtysh.conf, when it was changed. */
  readonly vtyshConf?: { readonly before: string | null; readonly after: string } | undefined;
  /** frr.conf as it was before the agent wrote it; null when there was none. */
  readonly conf: string | null;
  /** Whether FRR's service was enabled; undefined until it was asked for. */
  readonly enabled?: boolean | undefined;
}

/** The record. */
export interface InstallRecord {
  /** Where the embedded API of this host listens; undefined when it uses another's. */
  readonly api?: ApiAddress | undefined;
  /** Digest of the last server.ini that was written in place. */
  readonly serverIni?: string | undefined;
  /** Digest of the last server.ini.new that was written beside an edited one. */
  readonly offeredIni?: string | undefined;
  /** Digest of the conflist that was written. */
  readonly conflist?: string | undefined;
  /** Folders that were made for it. */
  readonly directories: readonly string[];
  /** FRR's files; undefined while FRR is not installed. */
  readonly frr?: FrrRecord | undefined;
}

const schema: z.ZodType<InstallRecord> = z.object({
  api: z.object({ host: z.string(), port: z.number() }).optional(),
  serverIni: z.string().optional(),
  offeredIni: z.string().optional(),
  conflist: z.string().optional(),
  directories: z.array(z.string().regex(/^\//)),
  frr: z.object({
    daemons: z.array(
      z.object({ key: z.string(), before: z.string().nullable(), after: z.string() }),
    ),
    vtyshConf: z.object({ before: z.string().nullable(), after: z.string() }).optional(),
    conf: z.string().nullable(),
    enabled: z.boolean().optional(),
  }).optional(),
});

/**
 * Reads a record's text.
 *
 * @param path For the message
 * @throws {InstallError} `RecordDamaged`
 */
export function parseRecord(text: string, path: string): InstallRecord {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new InstallError(
      "RecordDamaged",
      `Expected the record of an installation in "${path}", found something else (${
        messageOf(cause).split("\n")[0]
      }); move it away, and what was changed of FRR's files must be put back by hand`,
      { cause },
    );
  }
}

/** What tells a text from another one. */
export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The record's text. */
export function renderRecord(record: InstallRecord): string {
  return `${JSON.stringify(record, undefined, 2)}\n`;
}
