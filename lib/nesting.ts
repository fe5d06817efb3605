/** How deep values from outside are nested: whoever walks through one calls itself at each level. */

/**
 * Most levels of a JSON value that are looked into. What people write has twenty; a call stack has room for some thousands, while a body of
 * a megabyte has room for half a million.
 */
export const mostLevels = 256;

/** Whether a JSON value is nested deeper than that. It does not call itself. */
export function isNestedTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > mostLevels) return true;
    level = level.flatMap((each): unknown[] =>
      typeof each === "object" && each !== null ? Object.values(each) : []
    );
  }
  return false;
}
