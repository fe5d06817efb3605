/** How a soak fails. */
import { messageOf } from "../../lib/errors.ts";

/** How many of the last operations are told. */
const told = 30;

/** Something differs from the model. */
export class SoakFailure extends Error {
  /**
   * @param seed Of the operations
   * @param done Operations so far, each in a line
   * @param cause What differs
   */
  constructor(readonly seed: number, readonly done: readonly string[], cause: unknown) {
    const first = Math.max(done.length - told, 0);
    super(
      [
        `Seed ${seed}, after operation ${done.length}. The last operations:`,
        ...done.slice(first).map((line, index) => `  ${first + index + 1} ${line}`),
        "What differs:",
        ...causesOf(cause).flatMap((each) => each.split("\n")).map((line) => `  ${line}`),
      ].join("\n"),
      { cause },
    );
    this.name = "SoakFailure";
  }
}

/** What was thrown, and what it was thrown for. */
function causesOf(thrown: unknown): readonly string[] {
  const inner = thrown instanceof Error && thrown.cause !== undefined ? causesOf(thrown.cause) : [];
  return [messageOf(thrown), ...inner];
}
