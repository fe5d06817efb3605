/** Compares what is with what must be. Both are sets of facts: lines of text that say one thing each. Pure. */

/** What a comparison found. */
export interface Difference {
  /** Facts that must be and are not. */
  readonly missing: readonly string[];
  /** Facts that are and must not be; one that is there twice is listed once less than it is there. */
  readonly surplus: readonly string[];
}

/**
 * Compares facts. Their order does not matter, how often each is there does.
 *
 * @param expected What must be
 * @param observed What is
 * @param tolerated What may be, besides
 */
export function compareFacts(
  expected: readonly string[],
  observed: readonly string[],
  tolerated: ReadonlySet<string> = new Set(),
): Difference {
  return {
    missing: lessOf(expected, observed),
    surplus: lessOf(observed, expected).filter((fact) => !tolerated.has(fact)),
  };
}

/** Whether nothing differs. */
export function agrees({ missing, surplus }: Difference): boolean {
  return missing.length === 0 && surplus.length === 0;
}

/** A difference as lines for a person. */
export function differenceLines({ missing, surplus }: Difference): readonly string[] {
  return [
    ...missing.map((fact) => `missing:   ${fact}`),
    ...surplus.map((fact) => `left over: ${fact}`),
  ];
}

function lessOf(facts: readonly string[], others: readonly string[]): readonly string[] {
  const left = new Map<string, number>();
  for (const fact of others) left.set(fact, (left.get(fact) ?? 0) + 1);
  return facts.filter((fact) => {
    const count = left.get(fact) ?? 0;
    left.set(fact, count - 1);
    return count <= 0;
  }).toSorted();
}
