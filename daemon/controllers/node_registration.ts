import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import { wait } from "../kube/wait.ts";
import type { Logger } from "../log.ts";
import { type Node, nodeKind } from "../resources/core.ts";

/** Who a node is. */
export interface NodeIdentity {
  /** Name of the Node. */
  readonly name: string;
  /** Address by which the other nodes reach it. */
  readonly internalIP: string;
}

/**
 * Makes sure that a Node object exists and has the address. For the embedded API alone: in a cluster the kubelet
 * registers the node.
 *
 * @param nodes Client of the resource Node
 * @param identity The node
 * @param signal Aborts
 * @throws {KubeError} When the API refuses
 */
export async function ensureNode(
  nodes: ResourceClient<Node>,
  identity: NodeIdentity,
  signal?: AbortSignal,
): Promise<void> {
  const found = await nodes.get(identity.name, signal) ?? await createNode(nodes, identity, signal);
  const addresses = found.status?.addresses ?? [];
  const wanted = { type: "InternalIP", address: identity.internalIP };
  if (addresses.some(({ type, address }) => type === wanted.type && address === wanted.address)) {
    return;
  }
  await nodes.patchStatus(identity.name, {
    status: { addresses: [...addresses.filter(({ type }) => type !== wanted.type), wanted] },
  }, signal);
}

async function createNode(
  nodes: ResourceClient<Node>,
  { name }: NodeIdentity,
  signal: AbortSignal | undefined,
): Promise<Node> {
  const node = { apiVersion: "v1", kind: nodeKind.kind, metadata: { name } };
  try {
    return await nodes.create(node, signal);
  } catch (thrown) {
    if (isKubeError(thrown, "AlreadyExists")) return node;
    throw thrown;
  }
}

/** How a node is kept registered. */
export interface RegistrationOptions {
  /** Client of the resource Node. */
  readonly nodes: ResourceClient<Node>;
  /** Who the node is now. @throws When that is not known */
  readonly identity: () => NodeIdentity;
  /** Time between two looks, in milliseconds. */
  readonly intervalMs: number;
  /** For what fails, once. */
  readonly log: Logger;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Keeps a node registered until the signal aborts.
 *
 * @throws The signal's reason
 */
export async function keepRegistered(options: RegistrationOptions): Promise<void> {
  const { nodes, identity, intervalMs, log, signal } = options;
  const backoff = createBackoff({ baseMs: 500, maxMs: 15_000 });
  for (;;) {
    try {
      await ensureNode(nodes, identity(), signal);
      backoff.reset();
      // At random, so that nodes that began together do not look together.
      await wait(intervalMs * (0.8 + Math.random() * 0.4), signal);
    } catch (error) {
      signal.throwIfAborted();
      if (backoff.failures === 0) log.warn("Node not registered", { error: messageOf(error) });
      await wait(backoff.next(), signal);
    }
  }
}
