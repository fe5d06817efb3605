/** Keeps passwords out of what is logged, reported or shown. Pure. */

const PASSWORD = /(\bneighbor \S+ password )\S+/g;

/** The text with stars in place of the peers' passwords, which have no blanks in them. */
export function redact(text: string): string {
  return text.replace(PASSWORD, "$1***");
}
