/** What a node says of each domain in its VRFNodeState. Pure. */

/** A domain object as this node reports on it. */
export interface DomainIdentity {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** UID of the object. */
  readonly uid: string;
  /** Generation that is being applied. */
  readonly generation: number;
  /** VRF number. */
  readonly vrf: number;
  /** Set while the object is being deleted but pods still hold the VRF. */
  readonly heldBy?: number;
}

/** Where a domain stands on this node. */
export interface DomainReport extends DomainIdentity {
  /** `Applying` before the first touch, then `Ready` or `Failed`; `Removing` until nothing is left. */
  readonly phase: "Applying" | "Ready" | "Failed" | "Removing";
  /** One word for machines. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
  /** MTU of the pods, in bytes; absent until it is known. */
  readonly mtu?: number;
}

/** A domain before the kernel is touched for it in this run. */
export function before(domain: DomainIdentity, known: boolean): DomainReport {
  return known
    ? { ...domain, phase: "Ready", reason: "Applied", message: "" }
    : { ...domain, phase: "Applying", reason: "Applying", message: "" };
}

/** A domain that is going. */
export function removing(domain: DomainIdentity): DomainReport {
  return { ...domain, phase: "Removing", reason: "Removing", message: "" };
}

/**
 * All domains after a run.
 *
 * @param run What the run started from, and which VRFs failed
 * @param left VRF numbers of which something is left that should have gone
 */
export function domainReports(
  run: {
    readonly carried: readonly DomainIdentity[];
    readonly going: readonly DomainIdentity[];
    readonly announced: ReadonlySet<string>;
    readonly failures: ReadonlyMap<number, { readonly reason: string; readonly message: string }>;
    readonly plan: {
      readonly vrfs: readonly {
        readonly vrf: number;
        readonly overlays: readonly { readonly mtu: number }[];
      }[];
    };
  },
  left: ReadonlySet<number>,
): DomainReport[] {
  const mtus = new Map(run.plan.vrfs.map(({ vrf, overlays }) => [vrf, overlays[0]?.mtu]));
  const report = (domain: DomainIdentity): DomainReport => {
    const failure = run.failures.get(domain.vrf);
    if (failure !== undefined) return { ...domain, phase: "Failed", ...failure };
    if (!run.announced.has(domain.name)) return before(domain, false);
    if (domain.heldBy !== undefined) {
      const message = `${domain.heldBy} attachments still use the VRF: delete the pods`;
      return { ...domain, phase: "Removing", reason: "PodsAttached", message };
    }
    return { ...domain, phase: "Ready", reason: "Applied", message: "" };
  };
  const carried = run.carried.map((domain): DomainReport => {
    const mtu = mtus.get(domain.vrf);
    return { ...report(domain), ...mtu === undefined ? {} : { mtu } };
  });
  return [...carried, ...run.going.filter(({ vrf }) => left.has(vrf)).map(removing)];
}
