import { CodedError } from "../../lib/errors.ts";

/**
 * Which step of using a guest failed.
 *
 * - `GuestUnavailable`: this machine cannot have a guest
 * - `GuestKernelFailed`: the kernel package could not be had or unpacked
 * - `GuestImageFailed`: the initramfs could not be built
 * - `GuestBootTimeout`: the guest did not report that it is ready
 * - `GuestFailed`: the guest reported an error of its own, or went away without an exit code
 * - `GuestTimeout`: the command took longer than allowed
 */
export type GuestErrorCode =
  | "GuestUnavailable"
  | "GuestKernelFailed"
  | "GuestImageFailed"
  | "GuestBootTimeout"
  | "GuestFailed"
  | "GuestTimeout";

/** Anything that keeps a command from running to its end in a guest. */
export class GuestError extends CodedError {
  /** Which step failed. */
  declare readonly code: GuestErrorCode;

  /**
   * Describes the failed step.
   *
   * @param code Which step failed
   * @param message What was expected, what was found, what to do
   * @param options The underlying failure, if any
   */
  constructor(code: GuestErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
