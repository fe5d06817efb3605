/**
 * Which domains' route targets contradict each other: routes of one would enter another that has not asked for them. Pure.
 *
 * Importing another domain's target by name is asking. What a domain takes without naming it is its own target, and what FRR derives by
 * itself: the number of an l2vni, and that of an l3vni that is also the VRF's, after any AS number.
 */
import {
  hasOwnTarget,
  ownTarget,
  routeTargetsOf,
  type TargetSpec,
} from "../reconcile/route_targets.ts";
import type { VRFDomainSpec } from "../resources/vrf_domain.ts";

/** Why a domain's targets cannot be carried. */
export interface TargetProblem {
  /** One word for machines. */
  readonly reason: "RouteTargetInUse" | "RouteTargetMissing";
  /** Names the target, the other domain and what to do. */
  readonly message: string;
}

/** What claims are made from. */
export type ClaimSpec = TargetSpec & Pick<VRFDomainSpec, "attachments">;

/** The targets of the domains accepted so far. */
export interface RouteTargetClaims {
  /** What speaks against a domain beside those that were added. */
  problemOf(spec: ClaimSpec): TargetProblem | undefined;
  /** Adds a domain. */
  add(name: string, spec: ClaimSpec): void;
}

/** What a domain takes in without naming it: the number, after one administrator or any. */
interface Taken {
  readonly number: string;
  readonly administrator: string | undefined;
}

/**
 * Makes an empty book of claims.
 *
 * @param asn The installation's AS number
 */
export function createRouteTargetClaims(asn: number): RouteTargetClaims {
  const sent = new Map<string, { readonly target: string; readonly name: string }[]>();
  const taken = new Map<string, (Taken & { readonly name: string })[]>();

  function problemOf(spec: ClaimSpec): TargetProblem | undefined {
    if (l3vniOf(spec) !== undefined && !hasOwnTarget(asn, spec.vrf)) return missing(spec.vrf);
    for (const target of sentBy(spec)) {
      const other = taken.get(numberOf(target))?.find((entry) => takes(entry, target));
      if (other !== undefined) return inUse(target, other.name);
    }
    for (const entry of takenBy(spec)) {
      const other = sent.get(entry.number)?.find(({ target }) => takes(entry, target));
      if (other !== undefined) return inUse(other.target, other.name);
    }
    return undefined;
  }

  function sentBy(spec: ClaimSpec): string[] {
    const own = l3vniOf(spec) === undefined ? [] : routeTargetsOf(spec, asn).export;
    return [...own, ...l2vnisOf(spec).map((vni) => automatic(vni))];
  }

  function takenBy(spec: ClaimSpec): Taken[] {
    const anyone = (vni: number) => ({ number: `${vni}`, administrator: undefined });
    const l3vni = l3vniOf(spec);
    const own = l3vni === undefined ? [] : routeTargetsOf(spec, asn).import;
    return [
      ...l2vnisOf(spec).map(anyone),
      // Such a target standing alone is not rendered: FRR then takes its number from any AS.
      ...l3vni !== undefined && own.length === 1 && own[0] === automatic(l3vni)
        ? [anyone(l3vni)]
        : [],
      ...l3vni === undefined ? [] : [{ number: `${spec.vrf}`, administrator: `${asn}` }],
    ];
  }

  /** RFC 8365, section 5.1.2.1, as FRR makes it: of a longer AS number the low 16 bits. */
  function automatic(vni: number): string {
    return `${asn & 0xffff}:${vni}`;
  }

  function missing(vrf: number): TargetProblem {
    return {
      reason: "RouteTargetMissing",
      message: `There is no route target "${ownTarget(asn, vrf)}": beside an AS number beyond ` +
        `65535 a number may be 65535 at most; choose a lower VRF number`,
    };
  }

  return {
    problemOf,
    add(name, spec) {
      for (const target of sentBy(spec)) {
        append(sent, numberOf(target), { target, name });
      }
      for (const entry of takenBy(spec)) append(taken, entry.number, { ...entry, name });
    },
  };
}

function inUse(target: string, name: string): TargetProblem {
  return {
    reason: "RouteTargetInUse",
    message:
      `The older VRFDomain "${name}" and this one would exchange routes by the route target ` +
      `"${target}", which neither imports by name; choose another target or number`,
  };
}

function takes({ number, administrator }: Taken, target: string): boolean {
  return numberOf(target) === number &&
    (administrator === undefined || target === `${administrator}:${number}`);
}

function numberOf(target: string): string {
  return target.slice(target.indexOf(":") + 1);
}

function l3vniOf({ attachments }: Pick<ClaimSpec, "attachments">): number | undefined {
  return attachments.find(({ type }) => type === "l3vni")?.vni;
}

function l2vnisOf({ attachments }: Pick<ClaimSpec, "attachments">): readonly number[] {
  return attachments.filter(({ type }) => type === "l2vni").slice(0, 1).map(({ vni }) => vni);
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
