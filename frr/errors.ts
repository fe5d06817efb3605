/** The error of everything that talks to FRR. */

import { CodedError } from "../lib/errors.ts";
import type { FrrErrorCode } from "./protocol.ts";
import { redact } from "./redact.ts";

/**
 * FRR could not be reached (`FrrUnavailable`), did not take a configuration (`FrrRefused`) or took too long (`FrrTimeout`).
 */
export class FrrError extends CodedError {
  /** Kind of failure. */
  declare readonly code: FrrErrorCode;
  /** FRR's own words on a refusal, such as `line 3: % Unknown command: vni x`. */
  readonly line: string | undefined;

  /**
   * A failure of FRR or its agent. Passwords in the message and in FRR's line are hidden.
   *
   * @param code Kind of failure
   * @param message What was expected, what was found, what to do
   * @param options FRR's own line, and the underlying failure
   */
  constructor(code: FrrErrorCode, message: string, options: FrrErrorOptions = {}) {
    super(
      code,
      redact(message),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.line = options.line === undefined ? undefined : redact(options.line);
  }
}

/** What is known beyond the message of an {@link FrrError}. */
export interface FrrErrorOptions {
  /** FRR's own words. */
  readonly line?: string | undefined;
  /** The underlying failure. */
  readonly cause?: unknown;
}

/** FRR, or a daemon of it, could not be asked. */
export function frrUnavailable(reason: string, cause?: unknown): FrrError {
  const reasons = [...new Set(reason.trim().split("\n"))].join("; ");
  return new FrrError(
    "FrrUnavailable",
    `FRR does not answer (${reasons}), check that it runs`,
    { cause },
  );
}

/** FRR took longer than the caller waited. */
export function frrTimeout(cause: unknown): FrrError {
  return new FrrError("FrrTimeout", "FRR did not answer in time", { cause });
}
