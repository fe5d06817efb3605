/**
 * The base of every typed error of this project.
 *
 * `code` is a stable, machine-readable word (for logs, metrics, conditions); the message is for a person: what was
 * expected, what was found and what to do. Sentence case, values quoted, no full stop.
 */
export class CodedError extends Error {
  /** Stable identifier of the kind of failure, such as `"NetlinkTruncated"`. */
  readonly code: string;

  /**
   * Makes an error of one kind.
   *
   * @param code Stable identifier of the kind of failure
   * @param message What was expected, what was found, what to do
   * @param options The underlying failure, if any
   */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The message of anything that was thrown, whatever its type. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
