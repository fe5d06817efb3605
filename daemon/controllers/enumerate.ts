const mostNamed = 5;

/** A list in words, cut where it would be too long for a condition. */
export function enumerate(items: readonly string[]): string {
  const named = items.slice(0, mostNamed).join("; ");
  return items.length <= mostNamed ? named : `${named}; and ${items.length - mostNamed} more`;
}
