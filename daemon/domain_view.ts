/** The domains that the caches hold, as the reconciler, the pool and ADD look at them. */
import { CniError } from "../lib/cni/errors.ts";
import type { DaemonConfig } from "./config.ts";
import { type Acceptance, acceptDomains, resolveDomain } from "./controllers/domain_resolution.ts";
import type { PoolDomain } from "./ipam/port.ts";
import { vrfName } from "./kernel/names.ts";
import type { NodeCaches } from "./node_caches.ts";
import { domainCidr, podAttachment } from "./reconcile/plan.ts";
import type { VRFDomain } from "./resources/vrf_domain.ts";

/** The domains at present. */
export interface DomainView {
  /** Those that can be carried side by side, and the others. */
  acceptance(): Acceptance;
  /** What IPAM needs of the accepted ones. */
  pools(): PoolDomain[];
  /**
   * The domain of a namespace's pods.
   *
   * @throws {CniError} `TryAgainLater` before the first list, `InvalidConfig` when the namespace has no usable domain
   */
  forPods(namespace: string): PoolDomain;
}

/** Makes a view of the caches; what is expensive is computed once a change. */
export function createDomainView(caches: NodeCaches, config: DaemonConfig): DomainView {
  const serviceVrfMax = config.default.service_vrf_max;
  const defaultDomain = vrfName(config.default.vrf);
  let known: Acceptance | undefined;
  caches.domains.cache.subscribe(() => known = undefined);
  const acceptance = () => known ??= acceptDomains(caches.domains.cache.list(), { serviceVrfMax });
  return {
    acceptance,
    pools: () => acceptance().accepted.map(poolDomain),
    forPods(namespace) {
      const missing = caches.unsynced();
      if (missing.length > 0) {
        throw new CniError(
          "TryAgainLater",
          `Expected the node to know all tenants, found no answer of the API yet for "${
            missing.join(", ")
          }"`,
        );
      }
      const found = resolveDomain(namespace, {
        bindings: caches.bindings.cache.list(),
        domains: acceptance(),
        defaultDomain,
        serviceVrfMax,
      });
      if (found.error !== undefined) {
        throw new CniError("InvalidConfig", found.error.message, { cause: found.error });
      }
      return poolDomain(found.ok);
    },
  };
}

function poolDomain({ metadata, spec }: VRFDomain): PoolDomain {
  return {
    name: metadata.name,
    vrf: spec.vrf,
    prefix: domainCidr(spec),
    blockLength: spec.ipblocklen,
    addressLength: podAttachment(spec.attachments)?.type === "l2vni"
      ? spec.prefixlen
      : spec.ipblocklen,
  };
}
