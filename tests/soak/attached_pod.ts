/** What a pod has come to by its ADD. Pure. */
import { containerId, podNetns, type PodResult } from "../lab/pods.ts";
import type { LabPod } from "../lab/topology.ts";
import { tenants } from "./tenants.ts";
import type { AttachedPod } from "./world.ts";

/** A pod whose object is at the API. */
export type AnnouncedPod = LabPod & { readonly uid: string };

/**
 * A pod with what ADD has answered.
 *
 * @param allowed Names of the domains that it may be in
 * @throws {Error} When it is in none of them
 */
export function attachedPod(
  pod: AnnouncedPod,
  result: PodResult,
  allowed: readonly string[],
): AttachedPod {
  const [host, inside] = result.interfaces;
  const addresses = result.ips.map(({ address, gateway = "" }) => {
    const [bare = "", length] = address.split("/");
    return { address: bare, length: Number(length), gateway };
  });
  const first = addresses[0]?.address ?? "";
  const domain = tenants.find(({ name, ranges }) =>
    allowed.includes(name) && first.startsWith(ranges[0]?.cidr.replace(/0\.0\/.*/, "") ?? "?")
  );
  if (domain === undefined) {
    throw new Error(`"${pod.name}" got ${first}, which is not of ${allowed.join(" or ")}`);
  }
  return {
    name: pod.name,
    uid: pod.uid,
    node: pod.node,
    container: containerId(pod),
    netns: podNetns(pod),
    domain,
    addresses,
    hostIfname: host?.name ?? "",
    hostMac: host?.mac ?? "",
    mac: inside?.mac ?? "",
  };
}
