import { CniError } from "../../lib/cni/errors.ts";
import { type CniResult, mergeResults } from "../../lib/cni/result.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Attachment } from "../ipam/port.ts";
import type { AttachedInterface, PodRoute } from "../pod/port.ts";
import type { CniHandlers, CniNetnsCall } from "../server/cni_api.ts";
import { checkDistinct, hasDefaultRoute, routesOf } from "./pod_routes.ts";
import { type AddDeps, interfaceOf, keyOf, lockName, takeDown, translate } from "./deps.ts";

/**
 * Makes the handler of ADD: learn what is wished → reserve addresses → wait until the node routes their blocks → attach → commit. Whatever fails,
 * everything before it is undone.
 */
export function createAddHandler(deps: AddDeps): CniHandlers["add"] {
  return async (call, signal) => {
    const key = keyOf(call);
    using _turn = await deps.locks.acquire(lockName(key), signal);
    try {
      await clearLeftover(deps, call);
      return await add(deps, call, signal);
    } catch (thrown) {
      throw translate(thrown, "AttachFailed", signal);
    }
  };
}

/** A row that an interrupted ADD or DEL left is cleaned away; a finished attachment is not ADD's to touch. */
async function clearLeftover(deps: AddDeps, call: CniNetnsCall): Promise<void> {
  const row = deps.pool.find(keyOf(call));
  if (row === undefined) return;
  if (row.state === "attached") {
    throw new CniError(
      "InvalidEnvironment",
      `Expected "CNI_CONTAINERID" and "CNI_IFNAME" of a new attachment, found container "${row.containerId}" attached with "${row.ifname}" already; run DEL first`,
    );
  }
  call.log.info("Leftover of an interrupted command cleaned", { state: row.state });
  await takeDown(deps, row);
}

async function add(deps: AddDeps, call: CniNetnsCall, signal: AbortSignal): Promise<CniResult> {
  const { args } = call;
  const { domain: wished, ...wish } = await deps.gatherWishes(call, signal);
  const domain = deps.resolveDomain(args.pod.namespace, wished);
  const owner = {
    ...keyOf(call),
    namespace: args.pod.namespace,
    pod: args.pod.name,
    podUid: args.pod.uid,
    netnsPath: args.netns,
  };
  try {
    const row = await deps.pool.reserve(domain, owner, signal, wish);
    checkDistinct(deps, row, domain);
    const routes = routesOf(row, domain, hasDefaultRoute(call));
    const blocks = row.allocations.map(({ block }) => block);
    await deps.awaitReady(row.vrf, blocks, signal);
    signal.throwIfAborted();
    const point = deps.kernel.attachmentPoint(row.vrf);
    const attached = await deps.network.attach(point, call.netns, {
      ...interfaceOf(row, routes),
      macIsWished: wish.mac !== undefined,
    });
    // Nobody waits for the answer any more: the runtime takes the ADD for failed.
    signal.throwIfAborted();
    deps.pool.commit(row, { mac: attached.mac });
    deps.changed();
    call.log.info("Pod attached", {
      vrf: row.vrf,
      addresses: row.allocations.map(({ address }) => address),
      blocks,
    });
    return mergeResults(
      call.config.prevResult,
      resultOf(row, attached, args.netns, routes),
    );
  } catch (thrown) {
    await undo(deps, call);
    throw thrown;
  }
}

/** Takes back what was done; a failure here must not hide the first one, and DEL or the next start tries again. */
async function undo(deps: AddDeps, call: CniNetnsCall): Promise<void> {
  const row = deps.pool.find(keyOf(call));
  if (row === undefined) return;
  try {
    await takeDown(deps, row);
  } catch (thrown) {
    call.log.error("Failed attachment not undone", { error: messageOf(thrown), vrf: row.vrf });
  }
}

function resultOf(
  row: Attachment,
  attached: AttachedInterface,
  sandbox: string,
  routes: readonly PodRoute[],
): CniResult {
  return {
    interfaces: [
      { name: row.hostIfname, mac: attached.hostMac, mtu: attached.mtu },
      { name: row.ifname, mac: attached.mac, sandbox, mtu: attached.mtu },
    ],
    ips: row.allocations.map(({ address, prefixLength, gateway }) => ({
      address: `${address}/${prefixLength}`,
      gateway,
      interface: 1,
    })),
    routes: routes.map(({ destination, gateway }) => ({ dst: destination, gw: gateway })),
  };
}
