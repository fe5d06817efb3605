import { CniError } from "../../lib/cni/errors.ts";
import type { CniResult } from "../../lib/cni/result.ts";
import type { Attachment } from "../ipam/port.ts";
import type { PodRoute } from "../pod/port.ts";
import type { CniHandlers } from "../server/cni_api.ts";
import { type HandlerDeps, interfaceOf, keyOf, lockName, translate } from "./deps.ts";

/**
 * Makes the handler of CHECK: the journal, the result of ADD (prevResult) and the kernel must tell the same (SPEC,
 * section 2, "CHECK"). What other plugins added to the container is not looked at.
 */
export function createCheckHandler(deps: HandlerDeps): CniHandlers["check"] {
  return async (call, signal) => {
    const key = keyOf(call);
    using _turn = await deps.locks.acquire(lockName(key), signal);
    const row = deps.pool.find(key);
    if (row === undefined || row.state !== "attached") {
      throw new CniError(
        "UnknownContainer",
        `Expected container "${key.containerId}" to be attached with "${key.ifname}", found no such attachment on this node`,
      );
    }
    const { prevResult } = call.config;
    if (prevResult === undefined) {
      throw new CniError(
        "InvalidConfig",
        'Expected "prevResult" with the result of ADD for "CHECK", found none; the container runtime adds it',
      );
    }
    let faults: readonly string[];
    try {
      const point = deps.kernel.attachmentPoint(row.vrf);
      faults = [
        ...resultFaults(row, prevResult, call.args.netns),
        ...deps.network.inspect(
          point,
          call.netns,
          interfaceOf(row, routesIn(row, prevResult)),
        ),
      ];
    } catch (thrown) {
      throw translate(thrown, "CheckFailed", signal);
    }
    if (faults.length === 0) return;
    throw new CniError(
      "CheckFailed",
      `Expected the network of container "${key.containerId}" as ADD made it, found ${faults.length} difference${
        faults.length === 1 ? "" : "s"
      }; the container must be made anew`,
      { details: faults.join("; ") },
    );
  };
}

/** The routes by the attachment's gateways, as ADD answered it. */
function routesIn({ allocations }: Attachment, { routes }: CniResult): readonly PodRoute[] {
  return allocations.flatMap(({ gateway }) =>
    routes.filter(({ gw }) => gw === gateway).map(({ dst }) => ({ destination: dst, gateway }))
  );
}

/** Where the result that the runtime kept disagrees with the journal. */
function resultFaults(row: Attachment, result: CniResult, netns: string): string[] {
  const faults: string[] = [];
  const at = result.interfaces.findIndex((item) =>
    item.name === row.ifname && (item.sandbox ?? "") !== ""
  );
  const found = result.interfaces[at];
  if (found === undefined) return [`prevResult has no container interface "${row.ifname}"`];
  if (found.sandbox !== netns) {
    faults.push(`prevResult has "${row.ifname}" in "${found.sandbox}" instead of "${netns}"`);
  }
  if (found.mac !== undefined && found.mac.toLowerCase() !== row.mac) {
    faults.push(`prevResult has MAC "${found.mac}" instead of "${row.mac}"`);
  }
  for (const allocation of row.allocations) {
    const address = `${allocation.address}/${allocation.prefixLength}`;
    if (result.ips.some((ip) => ip.address === address && ip.interface === at)) continue;
    faults.push(`prevResult has no address "${address}" on "${row.ifname}"`);
  }
  return faults;
}
