import { z } from "zod";
import { CodedError, messageOf } from "../../lib/errors.ts";

/** What went wrong with a request to the Kubernetes API. */
export type KubeErrorCode =
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Gone"
  | "Throttled"
  | "Invalid"
  | "Unavailable"
  | "CertificateInvalid"
  | "Timeout";

/** Facts that go with a {@linkcode KubeError}. */
export interface KubeErrorDetails extends ErrorOptions {
  /** HTTP status, when the server answered. */
  readonly httpStatus?: number;
  /** How long the server asks to stay away, in milliseconds. */
  readonly retryAfterMs?: number;
}

/** A failed request to the Kubernetes API; the message names the object and says what to do. */
export class KubeError extends CodedError {
  /** What went wrong. */
  declare readonly code: KubeErrorCode;
  /** HTTP status, when the server answered. */
  readonly httpStatus: number | undefined;
  /** How long the server asks to stay away, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  /**
   * Makes the error.
   *
   * @param code What went wrong
   * @param message What was expected, what was found, what to do
   * @param details HTTP status, delay, cause
   */
  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    super(code, message, details);
    this.httpStatus = details.httpStatus;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** Whether something thrown is a {@linkcode KubeError} of one of the codes. */
export function isKubeError(thrown: unknown, ...codes: readonly KubeErrorCode[]): boolean {
  return thrown instanceof KubeError && (codes.length === 0 || codes.includes(thrown.code));
}

const advice: Readonly<Record<KubeErrorCode, string>> = {
  Unauthorized:
    "check the token or client certificate that the daemon uses, and that the clocks of " +
    "both machines agree",
  Forbidden: "grant it in the daemon's ClusterRole",
  NotFound: "check that it exists and that the CustomResourceDefinitions are installed",
  AlreadyExists: "read it and change it instead",
  Conflict: "read it again and repeat the change",
  Gone: "list again and watch from there",
  Throttled: "repeat it later",
  Invalid: "correct the object",
  Unavailable: "check that the API server runs and is reachable",
  CertificateInvalid: "check the certificate authority in the kubeconfig and the server's address",
  Timeout: "check the API server's load and the way to it",
};

const statusSchema = z.object({
  reason: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
  code: z.number().optional().catch(undefined),
  details: z.object({ retryAfterSeconds: z.number().optional().catch(undefined) }).optional()
    .catch(undefined),
});

function codeOf(httpStatus: number, reason: string | undefined): KubeErrorCode {
  switch (httpStatus) {
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 409:
      return reason === "AlreadyExists" ? "AlreadyExists" : "Conflict";
    case 410:
      return "Gone";
    case 429:
      return "Throttled";
    case 408:
    case 504:
      return "Timeout";
    default:
      return httpStatus >= 400 && httpStatus < 500 ? "Invalid" : "Unavailable";
  }
}

/**
 * Makes the error of an answer that is a failure (a `Status` of meta/v1, or whatever a proxy sent).
 *
 * @param httpStatus HTTP status, or the `code` of a `Status` that came as a watch event
 * @param body The answer's body, parsed as JSON where that was possible
 * @param about What was asked, such as `get vrfdomains "blue"`
 * @param retryAfter Value of the Retry-After header, in seconds
 */
export function errorOfStatus(
  httpStatus: number,
  body: unknown,
  about: string,
  retryAfter?: string | null,
): KubeError {
  const status = statusSchema.safeParse(body).data;
  const code = codeOf(httpStatus, status?.reason);
  const seconds = Number(retryAfter ?? status?.details?.retryAfterSeconds ?? NaN);
  const said = status?.message ?? (typeof body === "string" ? body.trim().slice(0, 200) : "");
  return new KubeError(
    code,
    `The API server refused to ${about} with status ${httpStatus}` +
      (said === "" ? "" : `: "${said}"`) + `; ${advice[code]}`,
    {
      httpStatus,
      ...(Number.isFinite(seconds) && seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
    },
  );
}

/**
 * Makes the error of a request that got no answer.
 *
 * @param thrown What fetch threw
 * @param about What was asked, such as `get vrfdomains "blue"`
 * @param server The server's address
 */
export function errorOfTransport(thrown: unknown, about: string, server: string): KubeError {
  if (thrown instanceof KubeError) return thrown;
  const cause = thrown instanceof Error && thrown.cause instanceof Error
    ? `${thrown.message}: ${thrown.cause.message}`
    : messageOf(thrown);
  const code: KubeErrorCode = thrown instanceof DOMException && thrown.name === "TimeoutError"
    ? "Timeout"
    : /certificate|UnknownIssuer|NotValidForName/i.test(cause)
    ? "CertificateInvalid"
    : "Unavailable";
  const toDo = code === "CertificateInvalid" ? certificateAdvice(cause) : advice[code];
  return new KubeError(code, `Could not ${about} at "${server}": ${cause}; ${toDo}`, {
    cause: thrown,
  });
}

/** By the words of rustls. */
function certificateAdvice(cause: string): string {
  if (/not valid yet|expired/.test(cause)) {
    return `this machine's clock says ${new Date().toISOString()}: set it if it is wrong, else ` +
      "look at the server's clock and renew its certificate";
  }
  if (/not valid for name/.test(cause)) {
    return "use an address of the server that its certificate names";
  }
  return advice.CertificateInvalid;
}

/** The error of an answer that is not what it should be. */
export function errorOfAnswer(about: string, problem: string, options?: ErrorOptions): KubeError {
  return new KubeError(
    "Invalid",
    `The API server's answer to ${about} is not as expected: ${problem}; check that its ` +
      "CustomResourceDefinitions are those of this version",
    options,
  );
}
