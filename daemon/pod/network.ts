import { getLink } from "../../lib/netlink/rtnl/link.ts";
import { bridgeName } from "../kernel/names.ts";
import { forgetPod } from "../kernel/pod_neighbors.ts";
import { attachPod } from "./attach.ts";
import { detachPod } from "./detach.ts";
import { fitPod } from "./fit.ts";
import { inspectPod } from "./inspect.ts";
import type { PodNetwork } from "./port.ts";

/** Pods' interfaces over rtnetlink. */
export const podNetwork: PodNetwork = {
  attach: attachPod,
  detach: detachPod,
  forget(connection, vrf, address) {
    const bridge = getLink(connection, { name: bridgeName("l2vni", vrf) });
    if (bridge !== undefined) forgetPod(connection, bridge.index, address);
  },
  fit: fitPod,
  inspect: inspectPod,
  hasHostEnd: (connection, hostIfname) => getLink(connection, { name: hostIfname }) !== undefined,
};
