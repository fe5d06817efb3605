/** Whether programs use more and more. Pure. */
import type { ProgramUse } from "./machine_use.ts";

/**
 * How much more than after warm-up a program may use. Memory: as much again by half, and 64 MiB, since garbage is collected late. Descriptors: 16,
 * for requests under way, and 12 for each domain more: each VRF has sockets and a namespace of its own. Threads: 8, the runtime's pool.
 */
export const bounds = { rssFactor: 1.5, rss: 64, fds: 16, fdsOfDomain: 12, threads: 8 } as const;

/**
 * What has grown beyond its bound, in words.
 *
 * @param domains How many domains more there are now than after warm-up
 */
export function growth(
  warm: readonly ProgramUse[],
  now: readonly ProgramUse[],
  domains = 0,
): readonly string[] {
  return warm.flatMap((before) => {
    const after = now.find(({ name }) => name === before.name);
    if (after === undefined) return [`${before.name} does not run`];
    const most = {
      rss: Math.round(before.rss * bounds.rssFactor + bounds.rss),
      fds: before.fds + bounds.fds + bounds.fdsOfDomain * Math.max(domains, 0),
      threads: before.threads + bounds.threads,
    };
    return (["rss", "fds", "threads"] as const).filter((key) => after[key] > most[key])
      .map((key) =>
        `${before.name}: ${key} grew from ${before[key]} to ${after[key]}, at most ${
          most[key]
        } expected`
      );
  });
}

/** Uses in one line each. */
export function useLines(uses: readonly ProgramUse[]): readonly string[] {
  return uses.map(({ name, rss, fds, threads }) =>
    `${name}: ${rss} MiB, ${fds} fds, ${threads} threads`
  );
}
