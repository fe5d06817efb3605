import { CodedError } from "../../lib/errors.ts";

/**
 * The node's kernel does not hold what an operation needs, or refuses what it would make.
 *
 * Codes: `InvalidName`, `UnderlayNotFound`, `UnderlayAddressNotFound`, `VrfNotReady`, `NameTaken`, `VniInUse`, `HostLegsExhausted`,
 * `BackendUnavailable`. What the kernel itself answers comes as `NetlinkError`.
 */
export class KernelError extends CodedError {}
