/**
 * What plugin and daemon say to each other, and the limits they hold each other to.
 *
 * 1. `POST /v1/requests` with {@linkcode CreateRequest} gives a request id (rid).
 * 2. When the command works in the container's namespace, one datagram whose payload is {@linkcode FdMessage} goes to the
 *    descriptor socket, with exactly one descriptor (SCM_RIGHTS), from the process that created the request.
 * 3. `POST /v1/requests/<rid>` with {@linkcode ExecuteRequest} runs the command and gives {@linkcode ExecuteAnswer}.
 */

/** The daemon's HTTP socket where the configuration names no other. */
export const defaultApiSocket = "/var/run/pyroute2/api";

/** The daemon's datagram socket for descriptors where the configuration names no other. */
export const defaultFdSocket = "/var/run/pyroute2/fdpass";

/** Largest body in either direction, in bytes. GC's list of attachments is the largest real one: 150 bytes each. */
export const maxBodyBytes = 1 << 20;

/** Largest body of the first message, in bytes: it comes before anything is known of the sender. */
export const maxCreateBytes = 1024;

/** Milliseconds for a body to arrive. The plugin has all of it when it begins to send. */
export const bodyTimeoutMs = 10_000;

/** Largest payload of the descriptor datagram, in bytes. */
export const maxFdMessageBytes = 256;

/** Most variables in a request's environment. */
export const maxEnvVariables = 32;

/** Longest variable, in characters of name and value: CNI_PATH and CNI_ARGS may be long. */
export const maxEnvValueLength = 32 * 1024;

/** Milliseconds after which a request id that nobody used is forgotten. */
export const ridLifetimeMs = 10_000;

/** Milliseconds that the daemon waits for a request's descriptor. */
export const fdTimeoutMs = 5_000;

/** Milliseconds that the daemon gives one command. */
export const commandTimeoutMs = 60_000;

/** Milliseconds that the plugin gives the whole exchange: more than the daemon takes, so that its answer is heard. */
export const exchangeTimeoutMs = 75_000;

/** Shape of a request id: 128 random bits in hexadecimal. */
export const ridPattern = /^[0-9a-f]{32}$/;

/** Body of the first message. */
export interface CreateRequest {
  /** The plugin's process id, which the kernel's credentials on the descriptor's datagram must confirm. */
  readonly pid: number;
}

/** Answer to the first message. */
export interface CreatedRequest {
  /** Request id: single use, and a secret between the two. */
  readonly rid: string;
}

/** Payload of the descriptor's datagram. */
export interface FdMessage {
  /** Request id. */
  readonly rid: string;
}

/** Body of the second message. */
export interface ExecuteRequest {
  /** CNI_COMMAND. */
  readonly command: string;
  /** CNI_* variables. */
  readonly env: Readonly<Record<string, string>>;
  /** Network configuration as read from stdin. */
  readonly config: unknown;
  /** Whether the namespace's descriptor was sent. */
  readonly descriptor: boolean;
}

/** A failure, as it crosses the socket. */
export interface WireError {
  /** Number of the CNI error. */
  readonly code: number;
  /** Message of the CNI error. */
  readonly msg: string;
  /** Details of the CNI error. */
  readonly details?: string;
}

/** Answer to the second message; a result only where the command has one. */
export type ExecuteAnswer =
  | { readonly result?: Readonly<Record<string, unknown>> }
  | { readonly error: WireError };
