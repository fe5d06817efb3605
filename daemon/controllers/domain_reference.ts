/** What is wrong with a reference to a VRFDomain. Pure. */
import type { Acceptance } from "./domain_resolution.ts";

/** Why an object is not accepted. */
export interface Problem {
  /** One word for machines. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
}

/**
 * Why an object that names a VRFDomain cannot count; undefined when it can.
 *
 * @param name Name of the VRFDomain
 * @param acceptance The domains as last seen
 * @param advice What to do instead, such as `bind another one`
 */
export function domainProblem(
  name: string,
  { accepted, refused }: Acceptance,
  advice: string,
): Problem | undefined {
  const refusal = refused.find((entry) => entry.name === name);
  if (refusal !== undefined) {
    return {
      reason: "DomainRefused",
      message: `VRFDomain "${name}" is refused: ${refusal.message}`,
    };
  }
  const domain = accepted.find(({ metadata }) => metadata.name === name);
  if (domain === undefined) {
    return {
      reason: "DomainNotFound",
      message: `VRFDomain "${name}" does not exist; create it or ${advice}`,
    };
  }
  return domain.metadata.deletionTimestamp === undefined ? undefined : {
    reason: "DomainDeleting",
    message: `VRFDomain "${name}" is being deleted; ${advice}`,
  };
}
