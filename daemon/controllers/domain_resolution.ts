/** Which VRFDomain a pod goes to, and which VRFDomains can be carried side by side. Pure. */
import { CodedError } from "../../lib/errors.ts";
import { formatPrefix, overlaps, type Prefix } from "../../lib/net/prefix.ts";
import type { KubeObject } from "../kube/port.ts";
import { prefixesOf, type VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFDomainBinding } from "../resources/vrf_domain_binding.ts";
import { createRouteTargetClaims, type TargetProblem } from "./route_target_claims.ts";

/** Why a VRFDomain is not carried. */
export type RefusalReason =
  | "VRFInUse"
  | "TableInUse"
  | "VNIInUse"
  | "PrefixInUse"
  | "VNIRepeated"
  | TargetProblem["reason"];

/** A VRFDomain that contradicts an older one, or itself. */
export interface Refusal {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** One word for machines. */
  readonly reason: RefusalReason;
  /** Names the other domain and what they share. */
  readonly message: string;
}

/** What {@linkcode acceptDomains} found. */
export interface Acceptance {
  /** Domains that can be carried, the oldest first; those being deleted are among them until they are gone. */
  readonly accepted: readonly VRFDomain[];
  /** The others. */
  readonly refused: readonly Refusal[];
}

/** Which domains share what. */
export interface AcceptOptions {
  /** Tables below it are of service VRFs, whose prefixes every VRF reaches: they must not overlap. */
  readonly serviceVrfMax: number;
  /** The installation's AS number, of which default route targets are made. */
  readonly asn: number;
}

/** The older first; names decide between objects of the same second. */
export function byAge(a: KubeObject, b: KubeObject): number {
  return compare(a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? "") ||
    compare(a.metadata.name, b.metadata.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Decides which domains can be carried together. Of two that contradict each other the older one keeps working, so
 * that a new object never breaks a tenant.
 */
export function acceptDomains(domains: readonly VRFDomain[], options: AcceptOptions): Acceptance {
  const accepted: VRFDomain[] = [];
  const refused: Refusal[] = [];
  const claims = new Map<string, string>();
  const targets = createRouteTargetClaims(options.asn);
  const service: { readonly name: string; readonly prefix: Prefix }[] = [];
  for (const domain of domains.toSorted(byAge)) {
    const { name } = domain.metadata;
    const prefixes = prefixesOf(domain.spec).map(({ prefix }) => prefix);
    const isService = domain.spec.table < options.serviceVrfMax;
    const refusal = repeatedVni(domain) ?? contradiction(domain, claims) ??
      (isService ? overlap(prefixes, service) : undefined) ?? targets.problemOf(domain.spec);
    if (refusal !== undefined) {
      refused.push({ name, ...refusal });
      continue;
    }
    for (const { key } of claimsOf(domain)) claims.set(key, name);
    targets.add(name, domain.spec);
    if (isService) service.push(...prefixes.map((prefix) => ({ name, prefix })));
    accepted.push(domain);
  }
  return { accepted, refused };
}

type Problem = Pick<Refusal, "reason" | "message">;

interface Claim {
  readonly key: string;
  readonly reason: RefusalReason;
}

function claimsOf({ spec }: VRFDomain): readonly Claim[] {
  return [
    { key: `VRF ${spec.vrf}`, reason: "VRFInUse" },
    { key: `table ${spec.table}`, reason: "TableInUse" },
    ...spec.attachments.map(({ vni }): Claim => ({ key: `VNI ${vni}`, reason: "VNIInUse" })),
  ];
}

function contradiction(
  domain: VRFDomain,
  claims: ReadonlyMap<string, string>,
): Problem | undefined {
  for (const { key, reason } of claimsOf(domain)) {
    const holder = claims.get(key);
    if (holder !== undefined) {
      return { reason, message: `The older VRFDomain "${holder}" has ${key}; choose another` };
    }
  }
  return undefined;
}

function repeatedVni({ spec }: VRFDomain): Problem | undefined {
  const vnis = spec.attachments.map(({ vni }) => vni);
  const repeated = vnis.find((vni, index) => vnis.indexOf(vni) !== index);
  return repeated === undefined ? undefined : {
    reason: "VNIRepeated",
    message: `VNI ${repeated} is named by two attachments; choose another for one of them`,
  };
}

function overlap(
  prefixes: readonly Prefix[],
  service: readonly { readonly name: string; readonly prefix: Prefix }[],
): Problem | undefined {
  for (const prefix of prefixes) {
    const other = service.find((entry) => overlaps(entry.prefix, prefix));
    if (other === undefined) continue;
    return {
      reason: "PrefixInUse",
      message:
        `The prefix "${formatPrefix(prefix)}" overlaps "${formatPrefix(other.prefix)}" of the ` +
        `older VRFDomain "${other.name}", and both are service VRFs; choose another prefix or a higher table`,
    };
  }
  return undefined;
}

/** Why a pod has no domain. */
export type DomainErrorCode =
  | "DomainNotFound"
  | "DomainDeleting"
  | "DomainRefused"
  | "DomainNotAllowed";

/** A namespace whose pods cannot be attached. */
export class DomainError extends CodedError {
  /** Why. */
  declare readonly code: DomainErrorCode;

  /**
   * Makes the error.
   *
   * @param code Stable identifier
   * @param message What was expected, what was found and what to do
   */
  constructor(code: DomainErrorCode, message: string) {
    super(code, message);
  }
}

/** What {@linkcode resolveDomain} looks at. */
export interface ResolveInput extends AcceptOptions {
  /** All bindings. */
  readonly bindings: readonly VRFDomainBinding[];
  /** All domains; or, to spare the work of comparing them, what {@linkcode acceptDomains} made of them. */
  readonly domains: readonly VRFDomain[] | Acceptance;
  /** Name of the domain of namespaces without a binding. */
  readonly defaultDomain: string;
  /** Name of the domain that the pod asks for instead of its namespace's. */
  readonly wished?: string | undefined;
}

/** What {@linkcode resolveDomain} found. */
export type Resolution =
  | { readonly ok: VRFDomain; readonly error?: never }
  | { readonly ok?: never; readonly error: DomainError };

/** The binding that counts for a namespace: the oldest. */
export function bindingOf(
  namespace: string,
  bindings: readonly VRFDomainBinding[],
): VRFDomainBinding | undefined {
  return bindings.filter(({ spec }) => spec.namespaceRef.name === namespace).toSorted(byAge)[0];
}

/**
 * Finds the domain of a namespace's pods: that of the oldest binding, or the default one. A pod that asks for another gets that, if
 * the domain lets pods of the namespace in; a container without a namespace is started by the node's own administrator, who may
 * choose any.
 *
 * @param namespace Name of the pod's namespace, empty for a container that is no pod
 * @param input Bindings and domains as last seen
 */
export function resolveDomain(namespace: string, input: ResolveInput): Resolution {
  const binding = bindingOf(namespace, input.bindings);
  const own = binding?.spec.vrfDomainRef.name ?? input.defaultDomain;
  const name = input.wished ?? own;
  const { accepted, refused } = "accepted" in input.domains
    ? input.domains
    : acceptDomains(input.domains, input);
  const because = name !== own
    ? `wished for instead of the one of namespace "${namespace}"`
    : binding === undefined
    ? `the default for namespace "${namespace}", which has no VRFDomainBinding`
    : `named for namespace "${namespace}" by VRFDomainBinding "${binding.metadata.name}"`;
  const fail = (code: DomainErrorCode, problem: string): Resolution => ({
    error: new DomainError(code, `VRFDomain "${name}", ${because}, ${problem}`),
  });

  const refusal = refused.find((entry) => entry.name === name);
  if (refusal !== undefined) return fail("DomainRefused", `is refused: ${refusal.message}`);
  const domain = accepted.find(({ metadata }) => metadata.name === name);
  if (domain === undefined) {
    return fail("DomainNotFound", "does not exist; create it or bind another one");
  }
  if (domain.metadata.deletionTimestamp !== undefined) {
    return fail("DomainDeleting", "is being deleted; create it again or bind another one");
  }
  if (name !== own && namespace !== "" && !letsIn(domain, namespace)) {
    return fail(
      "DomainNotAllowed",
      `does not let its pods in; add "${namespace}" to the domain's "spec.allowedNamespaces", or bind the namespace to it`,
    );
  }
  return { ok: domain };
}

function letsIn({ spec }: VRFDomain, namespace: string): boolean {
  return spec.allowedNamespaces?.some((each) => each === "*" || each === namespace) ?? false;
}
