import { CodedError } from "../../lib/errors.ts";

/**
 * Address management failed.
 *
 * Codes: `InvalidDomain`, `InvalidBlock`, `BlocksExhausted`, `ClaimFailed`, `KeyInOtherDomain`, `NoSuchAttachment`,
 * `JournalUnavailable`, `JournalCorrupt`, `FlushAborted`; for wishes `AddressInvalid`, `AddressInUse`, `AddressElsewhere`,
 * `AddressLeaving`, `MacInUse`.
 */
export class IpamError extends CodedError {}

/** The `code` of anything that was thrown, empty when it has none. */
export function codeOf(thrown: unknown): string {
  return thrown instanceof CodedError ? thrown.code : "";
}
