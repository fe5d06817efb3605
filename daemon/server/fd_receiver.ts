import { z } from "zod";
import { CniError } from "../../lib/cni/errors.ts";
import { maxFdMessageBytes, ridPattern } from "../../lib/ipc/messages.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import type { FdMessage } from "../../lib/sys/fd_receiver.ts";
import { isNetworkNamespace, netnsIdentity, openOwnNetns } from "../../lib/sys/netns.ts";
import type { Logger } from "../log.ts";
import type { RequestRegistry } from "./request_registry.ts";

/** Where datagrams come from: `FdReceiver` of lib/sys. */
export interface DescriptorSource {
  /** Waits for the next datagram. @throws The signal's reason after an abort */
  receive(signal: AbortSignal): Promise<FdMessage>;
}

/** What the loop works with. */
export interface DescriptorLoopDeps {
  /** Where datagrams come from. */
  readonly source: DescriptorSource;
  /** Where descriptors go. */
  readonly registry: RequestRegistry<OwnedFd>;
  /** The daemon's log. */
  readonly log: Logger;
  /** Counts a datagram that was refused, by reason. */
  readonly refused: (reason: string) => void;
}

const payloadSchema = z.object({ rid: z.string().regex(ridPattern) });

/**
 * Takes descriptors and hands them to their requests until the signal aborts. Each descriptor that does not belong to a
 * request is closed here.
 *
 * @throws {SysError} When the socket itself fails
 */
export async function receiveDescriptors(
  deps: DescriptorLoopDeps,
  signal: AbortSignal,
): Promise<void> {
  const home = hostIdentity();
  while (!signal.aborted) {
    let message: FdMessage;
    try {
      message = await deps.source.receive(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      throw thrown;
    }
    const kept = take(message, home, deps);
    for (const fd of message.fds) if (fd !== kept) fd[Symbol.dispose]();
  }
}

/** Judges one datagram; gives the descriptor that now belongs to a request. */
function take(message: FdMessage, home: string, deps: DescriptorLoopDeps): OwnedFd | undefined {
  const refuse = (reason: string): undefined => {
    deps.refused(reason);
    deps.log.warn("Descriptor refused", {
      reason,
      descriptors: message.fds.length,
      pid: message.credentials?.pid,
      uid: message.credentials?.uid,
    });
    return undefined;
  };
  const sender = message.credentials;
  if (sender === undefined) return refuse("no-credentials");
  const rid = ridOf(message);
  if (rid === undefined) return refuse("malformed");
  const failure = faultOf(message, home);
  const [descriptor] = message.fds;
  if (failure === undefined && descriptor !== undefined) {
    const delivery = deps.registry.deliver(rid, sender, descriptor);
    return delivery === "delivered" ? descriptor : refuse(delivery);
  }
  const rejection = deps.registry.reject(
    rid,
    sender,
    failure ?? refusedBecause("no descriptor at all"),
  );
  return refuse(rejection === "delivered" ? "wrong-descriptor" : rejection);
}

function ridOf(message: FdMessage): string | undefined {
  if (message.payload.length > maxFdMessageBytes) return undefined;
  try {
    const parsed = payloadSchema.safeParse(JSON.parse(new TextDecoder().decode(message.payload)));
    return parsed.success ? parsed.data.rid : undefined;
  } catch {
    return undefined;
  }
}

/** What is wrong with the descriptors of a datagram. */
function faultOf(message: FdMessage, home: string): CniError | undefined {
  const [descriptor, second] = message.fds;
  if (message.truncated) return refusedBecause("a datagram that was cut off");
  if (descriptor === undefined) return refusedBecause("no descriptor at all");
  if (second !== undefined) return refusedBecause(`${message.fds.length} descriptors`);
  if (!isNetworkNamespace(descriptor)) {
    return refusedBecause('something else; check that "CNI_NETNS" is the path of one');
  }
  if (netnsIdentity(descriptor) === home) {
    return refusedBecause("the host's; a pod of the host network needs no CNI plugin");
  }
  return undefined;
}

function refusedBecause(found: string): CniError {
  return new CniError(
    "RequestRefused",
    `Expected exactly one descriptor of the container's network namespace, found ${found}`,
  );
}

function hostIdentity(): string {
  using own = openOwnNetns();
  return netnsIdentity(own);
}
