import { CodedError, messageOf } from "../errors.ts";

/**
 * Numbers of CNI errors by name. Up to 99 they are the specification's (SPEC, section 5, "Error"); from 100 on they are
 * this plugin's own.
 */
export const cniCodes = {
  /** The configuration's cniVersion is not spoken. */
  IncompatibleVersion: 1,
  /** A field of the configuration is not supported. */
  UnsupportedField: 2,
  /** The container is unknown or does not exist; the runtime need not clean up. */
  UnknownContainer: 3,
  /** A CNI_* variable is missing or invalid. */
  InvalidEnvironment: 4,
  /** Reading the configuration or answering failed. */
  IoFailure: 5,
  /** The configuration is not JSON of the expected shape. */
  DecodeFailure: 6,
  /** The configuration is well-formed but invalid. */
  InvalidConfig: 7,
  /** A transient condition: the runtime should try again later. */
  TryAgainLater: 11,
  /** STATUS: ADD cannot be served. */
  NotAvailable: 50,
  /** STATUS: ADD cannot be served, and existing containers may have limited connectivity. */
  LimitedConnectivity: 51,
  /** A fault of the plugin or the daemon. */
  Internal: 100,
  /** The domain has no address left. */
  AddressesExhausted: 101,
  /** The interface could not be made; everything was undone. */
  AttachFailed: 102,
  /** CHECK found the container's network different from what ADD made. */
  CheckFailed: 103,
  /** DEL or GC could not remove something. */
  DetachFailed: 104,
  /** The daemon refused the request: unknown or expired id, no or a wrong descriptor, over a limit. */
  RequestRefused: 105,
  /** What the pod wishes for is in use, or another node's. */
  WishNotMet: 106,
} as const;

/** Name of a kind of CNI error. */
export type CniErrorName = keyof typeof cniCodes;

/** The error object of the specification, as printed on stdout. */
export interface CniErrorObject {
  /** Version of the configuration that the call came with. */
  readonly cniVersion: string;
  /** Number of the error. */
  readonly code: number;
  /** What went wrong, for a person. */
  readonly msg: string;
  /** More, when there is more. */
  readonly details?: string;
}

/** Options of a {@linkcode CniError}. */
export interface CniErrorOptions extends ErrorOptions {
  /** Goes into the error object's `details`. */
  readonly details?: string;
}

/**
 * Longest message and longest details, in characters: both repeat what others sent, which may be a megabyte, and go into logs and into the
 * events of pods.
 */
const longestText = 4096;

function shortened(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText).toWellFormed()}…` : text;
}

/** A failure that is told to the container runtime. */
export class CniError extends CodedError {
  /** Number of the error in the CNI error object. */
  readonly cniCode: number;
  /** More than the message says. */
  readonly details: string | undefined;

  /**
   * Makes an error of a kind.
   *
   * @param name Kind of the error
   * @param message What was expected, what was found, what to do
   * @param options Details and cause
   */
  constructor(name: CniErrorName, message: string, options?: CniErrorOptions) {
    super(name, shortened(message), options);
    this.cniCode = cniCodes[name];
    this.details = options?.details === undefined ? undefined : shortened(options.details);
  }

  /** The error object to print, for a caller of the given version. */
  toErrorObject(cniVersion: string): CniErrorObject {
    const base = { cniVersion, code: this.cniCode, msg: this.message };
    return this.details === undefined ? base : { ...base, details: this.details };
  }
}

/** Anything thrown, as a CNI error: what is not one yet becomes `fallback`, with the original as cause. */
export function asCniError(thrown: unknown, fallback: CniErrorName = "Internal"): CniError {
  if (thrown instanceof CniError) return thrown;
  return new CniError(fallback, messageOf(thrown), { cause: thrown });
}
