/** The domains that the caches hold, as the reconciler, the pool and ADD look at them. */
import { CniError } from "../lib/cni/errors.ts";
import { formatPrefix } from "../lib/net/prefix.ts";
import type { DaemonConfig } from "./config.ts";
import { type Acceptance, acceptDomains, resolveDomain } from "./controllers/domain_resolution.ts";
import type { PoolDomain } from "./ipam/port.ts";
import { vrfName } from "./kernel/names.ts";
import type { ResourceCache } from "./kube/port.ts";
import type { NodeCaches } from "./node_caches.ts";
import { podAttachment } from "./reconcile/plan.ts";
import { prefixesOf, type VRFDomain } from "./resources/vrf_domain.ts";
import type { VRFDomainBinding } from "./resources/vrf_domain_binding.ts";

/** The domains at present. */
export interface DomainView {
  /** Those that can be carried side by side, and the others. */
  acceptance(): Acceptance;
  /** What IPAM needs of the accepted ones. */
  pools(): readonly PoolDomain[];
  /** What IPAM needs of one of them. */
  named(name: string): PoolDomain | undefined;
  /**
   * The domain of a namespace's pods, or the one that a pod wishes for instead.
   *
   * @throws {CniError} `TryAgainLater` before the first list, `InvalidConfig` when there is no usable domain, or the wished one does
   * not let the namespace in
   */
  forPods(namespace: string, wished?: string): PoolDomain;
}

/** What a view is made of. */
export interface DomainCaches extends Pick<NodeCaches, "unsynced"> {
  /** Tenants. */
  readonly domains: { readonly cache: Content<VRFDomain> };
  /** Which namespace goes to which tenant. */
  readonly bindings: { readonly cache: Content<VRFDomainBinding> };
}

/** What a cache holds, and when that changes. */
export type Content<T> = Pick<ResourceCache<T>, "list" | "subscribe">;

/** Makes a view of the caches; what is expensive is computed once a change. */
export function createDomainView(caches: DomainCaches, config: DaemonConfig): DomainView {
  const options = { serviceVrfMax: config.default.service_vrf_max, asn: config.bgp.asn };
  const defaultDomain = vrfName(config.default.vrf);
  const acceptance = onceAChange(
    caches.domains.cache,
    (domains) => acceptDomains(domains, options),
  );
  const pools = onceAChange(caches.domains.cache, () => acceptance().accepted.map(poolDomain));
  // An ADD must not look through the bindings of a whole cluster.
  const bindings = onceAChange(
    caches.bindings.cache,
    (all) => Map.groupBy(all, ({ spec }) => spec.namespaceRef.name),
  );
  return {
    acceptance,
    pools,
    named(name) {
      const found = acceptance().accepted.find(({ metadata }) => metadata.name === name);
      return found && poolDomain(found);
    },
    forPods(namespace, wished) {
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
        bindings: bindings().get(namespace) ?? [],
        domains: acceptance(),
        defaultDomain,
        wished,
        ...options,
      });
      if (found.error !== undefined) {
        throw new CniError("InvalidConfig", found.error.message, { cause: found.error });
      }
      return poolDomain(found.ok);
    },
  };
}

/** What is made of a cache's content, made anew when it is asked for after a change. */
function onceAChange<T, R>(
  cache: Content<T>,
  make: (objects: readonly T[]) => R,
): () => R {
  let made: { readonly result: R } | undefined;
  cache.subscribe(() => made = undefined);
  return () => (made ??= { result: make(cache.list()) }).result;
}

function poolDomain({ metadata, spec }: VRFDomain): PoolDomain {
  const stretched = podAttachment(spec.attachments)?.type === "l2vni";
  return {
    name: metadata.name,
    vrf: spec.vrf,
    keepSeconds: spec.keepAddressSeconds,
    ranges: prefixesOf(spec).map(({ prefix, blockLength }) => ({
      prefix: formatPrefix(prefix),
      blockLength,
      addressLength: stretched ? prefix.length : blockLength,
    })),
  };
}
