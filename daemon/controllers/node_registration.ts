import { type Node, nodeKind } from "../resources/core.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";

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
