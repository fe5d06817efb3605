import { getLink } from "../../lib/netlink/rtnl/link.ts";
import { attachPod } from "./attach.ts";
import { detachPod } from "./detach.ts";
import { inspectPod } from "./inspect.ts";
import type { PodNetwork } from "./port.ts";

/** Pods' interfaces over rtnetlink. */
export const podNetwork: PodNetwork = {
  attach: attachPod,
  detach: detachPod,
  inspect: inspectPod,
  hasHostEnd: (connection, hostIfname) => getLink(connection, { name: hostIfname }) !== undefined,
};
