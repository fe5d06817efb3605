/** Reads what `ip monitor route` tells. Pure. */

/**
 * Prefixes that had a route and have none at the end.
 *
 * A prefix may have several routes: the daemon holds one of its own, of another metric, while FRR has taken its away.
 */
export function lostPrefixes(lines: readonly string[]): string[] {
  const metrics = new Map<string, Set<string>>();
  for (const line of lines) {
    const told = /^(Deleted )?(?:(?:unicast|blackhole|unreachable) )?([\da-f:.]+(?:\/\d+)?) /
      .exec(line);
    const [, deleted, prefix] = told ?? [];
    if (prefix === undefined) continue;
    const standing = metrics.get(prefix) ?? new Set();
    metrics.set(prefix, standing);
    const metric = / metric (\d+)/.exec(line)?.[1] ?? "";
    if (deleted === undefined) standing.add(metric);
    else standing.delete(metric);
  }
  return [...metrics].flatMap(([prefix, standing]) => standing.size === 0 ? [prefix] : []);
}
