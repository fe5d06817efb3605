import { CodedError } from "../errors.ts";
import { errnoName, errnoText } from "../sys/errno.ts";

/**
 * Bytes from the kernel do not follow their format. Codes: `NetlinkMessageLength`, `NetlinkAttributeLength` (a length that cannot be),
 * `NetlinkValueLength` (an attribute whose payload has the wrong size), `NetlinkTruncated` (the receive buffer was too small).
 */
export class NetlinkDecodeError extends CodedError {}

/** A value cannot be put into its attribute, such as 70000 into 16 bits. Code: `NetlinkValue`. */
export class NetlinkEncodeError extends CodedError {}

/** The kernel's extended acknowledgement (NETLINK_EXT_ACK; include/uapi/linux/netlink.h, `enum nlmsgerr_attrs`). */
export interface ExtendedAck {
  /** What the kernel says in words. */
  readonly message?: string | undefined;
  /** Offset of the attribute at fault in the request, in bytes. */
  readonly offset?: number | undefined;
  /** Type of an attribute that should have been there. */
  readonly missingType?: number | undefined;
}

/**
 * The kernel refused a request, or an exchange with it broke down.
 *
 * Codes: `NetlinkRefused` (decide by {@link NetlinkError.errnoName}: `EEXIST`, `ENODEV`, …), `NetlinkDumpInterrupted` (a dump
 * changed while it ran, again and again), `NetlinkNoReply` (acknowledged, but without the answer), `NetlinkClosed`.
 */
export class NetlinkError extends CodedError {
  /** The kernel's error number, positive; 0 if it gave none. */
  readonly errno: number;
  /** Its symbolic name, such as `"EEXIST"`; `""` if there is none. */
  readonly errnoName: string;
  /** The kernel's extended acknowledgement, if it sent one. */
  readonly extAck: ExtendedAck | undefined;
  /** What was attempted, as the request says it; `""` if it was none. */
  readonly operation: string;

  /**
   * An error with what is known of it.
   *
   * @param code One of the codes above
   * @param message What failed
   * @param errno The kernel's error number, positive; 0 if there is none
   * @param extAck The kernel's extended acknowledgement
   * @param operation What was attempted, as the request says it
   */
  constructor(code: string, message: string, errno = 0, extAck?: ExtendedAck, operation = "") {
    super(code, message);
    this.operation = operation;
    this.errno = errno;
    this.errnoName = errno === 0 ? "" : errnoName(errno);
    this.extAck = extAck;
  }
}

/**
 * The error for a request that the kernel refused.
 *
 * @param operation What was attempted, as a phrase: `to create the link "x"`
 * @param errno The kernel's error number, positive
 * @param extAck The kernel's extended acknowledgement
 */
export function refusal(operation: string, errno: number, extAck?: ExtendedAck): NetlinkError {
  const words = extAck?.message ?? errnoText(errno);
  return new NetlinkError(
    "NetlinkRefused",
    `Failed ${operation}: the kernel returned ${errnoName(errno)} (${words})`,
    errno,
    extAck,
    operation,
  );
}
