/** Parses what programs print as JSON. */
import type { z } from "zod";

/**
 * Parses a program's output; nothing at all is an empty list, as `ip` means it.
 *
 * @throws {Error} With the beginning of the output, when it is no JSON or not what the schema says
 */
export function jsonOf<T>(text: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(text.trim() === "" ? "[]" : text));
  } catch (cause) {
    throw new Error(`Expected JSON as described, found "${text.slice(0, 200)}"`, { cause });
  }
}
