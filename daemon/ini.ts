import { CodedError } from "../lib/errors.ts";

/** A configuration file that cannot be read as INI, with the line where it goes wrong. */
export class IniError extends CodedError {
  /**
   * Makes the error.
   *
   * @param message What was expected and found, with the line number
   */
  constructor(message: string) {
    super("IniInvalid", message);
  }
}

/** Sections by name, each with its keys and values as text. */
export type IniDocument = ReadonlyMap<string, ReadonlyMap<string, string>>;

/**
 * Reads an INI document: `[section]`, `key = value`, and whole-line comments that start with `#` or `;`.
 *
 * A value is everything behind the first `=`, trimmed; there is no quoting, no continuation and no interpolation.
 *
 * @param text The file's text
 * @throws {IniError} For a line that is none of these, a key outside a section, or a key given twice
 */
export function parseIni(text: string): IniDocument {
  const document = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    const at = `line ${index + 1}`;
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const header = /^\[([A-Za-z0-9_-]+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      section = document.get(header) ?? new Map<string, string>();
      document.set(header, section);
      continue;
    }
    const equals = line.indexOf("=");
    if (equals < 1) {
      throw new IniError(`Expected "[section]" or "key = value" on ${at}, found "${line}"`);
    }
    if (section === undefined) {
      throw new IniError(`Expected a "[section]" before the first key on ${at}, found "${line}"`);
    }
    const key = line.slice(0, equals).trim();
    if (section.has(key)) {
      throw new IniError(`The key "${key}" is given twice, the second time on ${at}: keep one`);
    }
    section.set(key, line.slice(equals + 1).trim());
  }
  return document;
}
