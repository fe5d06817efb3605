import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import { type VRFDomain, vrfDomainKind, type VRFDomainSpec } from "../resources/vrf_domain.ts";
import { apiVersionOf } from "../resources/kind.ts";

/** The domain of namespaces without a binding. */
export interface DefaultDomain {
  /** Its name, such as `vrf-42`. */
  readonly name: string;
  /** What it is made as when no VRFDomain exists at all. */
  readonly spec: VRFDomainSpec;
}

/**
 * Creates the default domain if the server knows no VRFDomain at all. An operator who has made any has decided alone.
 *
 * @returns Whether it was created
 */
export async function ensureDefaultDomain(
  client: ResourceClient<VRFDomain>,
  wanted: DefaultDomain,
  signal: AbortSignal,
): Promise<boolean> {
  // The cache may be behind: the server is asked before a tenant comes into being by mistake.
  if ((await client.list(signal)).length > 0) return false;
  try {
    await client.create({
      apiVersion: apiVersionOf(vrfDomainKind),
      kind: vrfDomainKind.kind,
      metadata: { name: wanted.name },
      spec: wanted.spec,
    }, signal);
    return true;
  } catch (thrown) {
    if (isKubeError(thrown, "AlreadyExists")) return false;
    throw thrown;
  }
}
