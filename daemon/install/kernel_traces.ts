/** What a node's kernel holds of this project, and its removal, whichever backend made it. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { listLinks } from "../../lib/netlink/rtnl/link.ts";
import { type KernelOptions, openHost } from "../kernel/host.ts";
import { deleteLinkIfThere } from "../kernel/link_changes.ts";
import { isPodAlias } from "../kernel/names.ts";
import { openKernel } from "../kernel/open_kernel.ts";
import { isOfKind } from "../kernel/ownership.ts";
import { deleteRoutes, listOwnRoutes } from "../kernel/routes.ts";
import type { NodeFirewall } from "../firewall/node_firewall.ts";

/** A pod that is attached. */
export interface AttachedPod {
  /** Name of its veth's host end. */
  readonly ifname: string;
  /** The end's alias, which names the container. */
  readonly alias: string;
}

/** The node's kernel, as a removal sees it. */
export interface KernelTraces extends Disposable {
  /** Pods that are attached. */
  pods(): readonly AttachedPod[];
  /** Whether there are VRFs, which FRR must not look at while they go. */
  hasVrfs(): boolean;
  /** Names of all that is there, for a person. */
  list(signal: AbortSignal): Promise<readonly string[]>;
  /**
   * Removes all of it: pods' interfaces, VRFs with their overlays and host legs, rules, routes, the nftables table. What does not carry
   * this project's marks stays. Idempotent.
   *
   * @throws {NetlinkError | SysError | NftError} When the kernel refuses
   */
  remove(signal: AbortSignal): Promise<void>;
}

/**
 * Opens the kernel. Nothing is changed yet.
 *
 * @throws {SysError} If the host's namespace cannot be entered
 */
export function openKernelTraces(
  firewall: Pick<NodeFirewall, "stands" | "remove">,
  options: KernelOptions = {},
): KernelTraces {
  const host = openHost(options);
  const netns = openKernel({ ...options, backend: "netns" });
  const device = openKernel({ ...options, backend: "device" });
  const vrfs = () =>
    [netns, device].flatMap((kernel) =>
      [...kernel.observe().vrfs.values()].map((vrf) => ({ kernel, vrf }))
    );
  // Host ends of pods are in the host's namespace, or in those of VRFs.
  const places = () => {
    const spaces = [...netns.observe().vrfs.keys()].map((vrf) => netns.connection(vrf));
    return [host.connection, ...spaces.filter((each) => each !== undefined)];
  };
  return {
    pods: () => places().flatMap(podsIn),
    hasVrfs: () => vrfs().length > 0,
    async list(signal) {
      return [
        ...places().flatMap(podsIn).map(({ ifname }) => `pod interface ${ifname}`),
        ...vrfs().map(({ vrf }) => `VRF ${vrf.name}`),
        ...counted(device.observe().rules.length, "RPDB rule"),
        ...counted(listOwnRoutes(host.connection).length, "route"),
        ...await firewall.stands(signal) ? ["nftables table inet pyroute2-cni"] : [],
      ];
    },
    async remove(signal) {
      for (const place of places()) {
        for (const { ifname } of podsIn(place)) await deleteLinkIfThere(place, { name: ifname });
      }
      for (const { kernel, vrf } of vrfs()) {
        signal.throwIfAborted();
        for (const overlay of vrf.overlays) await kernel.removeOverlay(vrf.name, overlay);
        await kernel.detachVrf(vrf);
        await kernel.removeVrf(vrf);
      }
      device.syncRules([]);
      deleteRoutes(host.connection, listOwnRoutes(host.connection));
      if (await firewall.stands(signal)) await firewall.remove(signal);
    },
    [Symbol.dispose]() {
      for (const each of [netns, device]) each[Symbol.dispose]();
      host.connection[Symbol.dispose]();
    },
  };
}

function podsIn(place: NetlinkConnection): AttachedPod[] {
  return listLinks(place).flatMap((link) => {
    const { name: ifname, alias } = link;
    return isOfKind(link, "veth") && alias !== undefined && isPodAlias(alias)
      ? [{ ifname, alias }]
      : [];
  });
}

function counted(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}${count === 1 ? "" : "s"}`];
}
