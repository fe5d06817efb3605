/** Requests at a lab's API, as the API itself counts them. */
import type { Lab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";

/** Requests by verb and resource, such as `PUT ipblocks/status`. */
export type RequestCounts = ReadonlyMap<string, number>;

/** What has been asked of the API so far, by the metric that a cluster's API server has, too. */
export async function countRequests(lab: Lab): Promise<RequestCounts> {
  return parseRequests(await kubectl(lab, ["get", "--raw", "/metrics"]));
}

/** Reads `apiserver_request_total`; requests of one verb and resource are summed over groups and statuses. */
export function parseRequests(metrics: string): RequestCounts {
  const counts = new Map<string, number>();
  for (
    const [, labels = "", value] of metrics.matchAll(/^apiserver_request_total\{(.*)\} (\S+)$/gm)
  ) {
    const label = (name: string) => new RegExp(`(?:^|,)${name}="([^"]*)"`).exec(labels)?.[1] ?? "";
    const subresource = label("subresource");
    const what = `${label("verb")} ${label("resource")}${
      subresource === "" ? "" : `/${subresource}`
    }`;
    counts.set(what, (counts.get(what) ?? 0) + Number(value));
  }
  return counts;
}

/**
 * What was asked between two counts. What goes on whether or not pods come and go is left out: watches and lists that begin anew, the
 * leases, and the look at the node itself in each run of the reconciler.
 */
export function requestsBetween(before: RequestCounts, after: RequestCounts): RequestCounts {
  const periodic = /^(WATCH|LIST) |^\S+ leases$|^GET nodes$/;
  return new Map(
    [...after].map(([what, count]) => [what, count - (before.get(what) ?? 0)] as const)
      .filter(([what, count]) => count > 0 && !periodic.test(what)),
  );
}

/** The sum of all counts. */
export function total(counts: RequestCounts): number {
  return [...counts.values()].reduce((a, b) => a + b, 0);
}
