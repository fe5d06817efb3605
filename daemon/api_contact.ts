/** How the daemon stands with the API, in words for `/readyz`. Pure. */
import type { KubeError, KubeErrorCode } from "./kube/kube_error.ts";
import type { Readiness } from "./server/probes.ts";

/** How a resource is followed. */
export interface Contact {
  /** Plural name of the resource. */
  readonly resource: string;
  /** Whether its first list has arrived. */
  readonly synced: boolean;
  /** Whether list and watch work at present. */
  readonly connected: boolean;
  /** How often list and watch began anew. */
  readonly restarts: number;
  /** Why they do not work; undefined while they do, or before the first answer. */
  readonly error: KubeError | undefined;
}

/** What does not pass by waiting: somebody must mend credentials, certificates, rights or definitions. */
const forOperators: ReadonlySet<KubeErrorCode> = new Set([
  "Unauthorized",
  "Forbidden",
  "CertificateInvalid",
  "NotFound",
  "Invalid",
]);

/** What is missing before the node can know its tenants, and why; empty once every resource that counts was listed. */
export function missingLists(
  contacts: readonly Contact[],
  needed: readonly string[],
): readonly string[] {
  const missing = contacts.filter(({ resource }) => needed.includes(resource));
  return byCause(missing).map(({ resources, error }) =>
    `no list from the API yet of ${resources.join(", ")}${
      error === undefined ? "" : `: ${error.message}`
    }`
  );
}

/**
 * Readiness as the probe tells it: with what the API refuses though it was listed once. Pods go on being attached from what is
 * known, but somebody must see it. A server that is merely away is none of it.
 *
 * @param pods Whether the node takes pods
 * @param contacts How each resource is followed
 */
export function withRefusals(pods: Readiness, contacts: readonly Contact[]): Readiness {
  const reasons = [...pods.reasons, ...refusals(contacts)];
  return { ready: reasons.length === 0, reasons };
}

function refusals(contacts: readonly Contact[]): readonly string[] {
  const refused = contacts.filter(({ synced, connected, error }) =>
    synced && !connected && error !== undefined && forOperators.has(error.code)
  );
  return byCause(refused).map(({ resources, error }) =>
    `the API is not followed any more, of ${resources.join(", ")}: ${error?.message}`
  );
}

function byCause(
  contacts: readonly Contact[],
): { readonly resources: readonly string[]; readonly error: KubeError | undefined }[] {
  const groups = Map.groupBy(contacts, ({ error }) => error?.code);
  return [...groups.values()].map((group) => ({
    resources: group.map(({ resource }) => resource),
    // One speaks for all that fail alike.
    error: group[0]?.error,
  }));
}
