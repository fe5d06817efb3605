/** Remembers the peers' passwords in use, in a file that only root can read and that a reboot takes away. */
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";

/** Passwords in use, by the reference that they were found by. */
export interface KeptPasswords {
  /** The password of a reference; undefined when none is kept. */
  get(id: string): string | undefined;
  /** Keeps exactly these. What cannot be written is logged, without the passwords, and held in memory. */
  replace(passwords: ReadonlyMap<string, string>): void;
}

const fileSchema = z.record(z.string(), z.string());

/**
 * Opens the file; one that is missing or damaged is empty.
 *
 * @param path Path of the file, in a folder that others cannot write
 */
export function openKeptPasswords(path: string, log: Logger): KeptPasswords {
  let kept = new Map(Object.entries(read(path)));
  return {
    get: (id) => kept.get(id),
    replace(passwords) {
      const same = passwords.size === kept.size &&
        [...passwords].every(([id, password]) => kept.get(id) === password);
      if (same) return;
      kept = new Map(passwords);
      try {
        write(path, JSON.stringify(Object.fromEntries(kept)));
      } catch (error) {
        log.warn("Passwords of peers not kept for the next start", { error: messageOf(error) });
      }
    },
  };
}

function read(path: string): Readonly<Record<string, string>> {
  try {
    return fileSchema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    // A parser's words would quote the file.
    return {};
  }
}

/** Whole or not at all, and never readable to others. */
function write(path: string, text: string): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(temporary, text, { mode: 0o600, createNew: true });
    Deno.renameSync(temporary, path);
  } catch (error) {
    removeIfPresent(temporary);
    throw error;
  }
}

function removeIfPresent(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
