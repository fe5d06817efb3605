/** What follows from the number of attachments, off the path of the command that changed it: the metric, and blocks of VRFs that pods use. */
import type { DomainView } from "./domain_view.ts";
import type { NodeAddressPool } from "./ipam/port.ts";
import type { AcceptOptions } from "./controllers/domain_resolution.ts";
import type { Metrics } from "./server/metrics.ts";
import { servicesInUse } from "./service_blocks.ts";

/** What the follower works with. */
export interface AttachmentFollowerOptions extends AcceptOptions {
  /** The node's attachments, and what blocks it holds for them. */
  readonly pool: Pick<NodeAddressPool, "countByVrf" | "hold">;
  /** The domains. */
  readonly domains: Pick<DomainView, "acceptance" | "pools">;
  /** Whether the domains are known: before their first list everything would look unused. */
  readonly synced: () => boolean;
  /** Told the numbers. */
  readonly metrics: Pick<Metrics, "setAttachments">;
  /** Called where a domain that is being deleted may have lost its last attachment. */
  readonly left: () => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Follows the number of attachments. */
export interface AttachmentFollower {
  /** To be called after it has changed. */
  readonly changed: () => void;
  /** Sees that the node holds blocks in the VRFs that its pods use besides their own. */
  readonly holdServiceBlocks: () => void;
}

/** How long changes are gathered, in milliseconds. */
const gatherMs = 100;

/** Makes a follower. */
export function followAttachments(options: AttachmentFollowerOptions): AttachmentFollower {
  const { pool, domains, metrics, signal } = options;
  let timer: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  function holdServiceBlocks(): void {
    if (signal.aborted || !options.synced()) return;
    const vrfs = servicesInUse(domains.acceptance().accepted, pool.countByVrf(), options);
    if (vrfs.length === 0) return;
    for (const domain of domains.pools()) if (vrfs.includes(domain.vrf)) pool.hold(domain);
  }

  function changed(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      if (signal.aborted) return;
      metrics.setAttachments(pool.countByVrf());
      holdServiceBlocks();
    }, gatherMs);
    const deleting = domains.acceptance().accepted.some(({ metadata }) =>
      metadata.deletionTimestamp !== undefined
    );
    if (deleting) options.left();
  }

  return { changed, holdServiceBlocks };
}
