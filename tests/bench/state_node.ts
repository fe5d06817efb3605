/**
 * A node's daemon as far as ADD and DEL go, as a process of its own: the real sockets, handlers, caches, pool and journal, with bridges in a
 * namespace instead of VRFs, without FRR and without the reconciler.
 *
 *     state_node.ts KUBECONFIG VRF...
 *
 * Prints a line of JSON with its sockets once the caches have synced, then one for each command with the milliseconds from the request's
 * arrival to its answer. Ends when its stdin does.
 */
import { followAttachments } from "../../daemon/attachment_follower.ts";
import { parseConfig } from "../../daemon/config.ts";
import { createDomainView } from "../../daemon/domain_view.ts";
import { createAddressPool } from "../../daemon/ipam/address_pool.ts";
import { openJournal } from "../../daemon/ipam/journal.ts";
import { loadKube } from "../../daemon/kube/connect.ts";
import { createLogger } from "../../daemon/log.ts";
import { startNodeCaches } from "../../daemon/node_caches.ts";
import { createMetrics } from "../../daemon/server/metrics.ts";
import { createGatherWishes } from "../../daemon/wishes/attachment_wishes.ts";
import { createPodLookup } from "../../daemon/wishes/pod_lookup.ts";
import { Node } from "../cni/harness.ts";
import { measuredNode } from "./state_objects.ts";

async function main([kubeconfigPath = "", ...vrfs]: readonly string[]): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const log = createLogger("warn", (line) => console.error(line));
  const config = parseConfig("");
  await using caches = startNodeCaches(loadKube({ kubeconfigPath }), measuredNode, log);
  await caches.whenSynced(signal);
  await caches.pods.cache.whenSynced(signal);
  // A tmpfs, as /run is.
  const directory = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "pr2t-state-" });
  using journal = openJournal(`${directory}/journal.db`).journal;
  const pool = createAddressPool({
    nodeName: measuredNode,
    journal,
    blocks: caches.blocks,
    log,
    signal,
  });
  const domains = createDomainView(caches, config);
  const real = createMetrics({ version: "0", runtime: "0", backend: "netns" });
  const metrics: typeof real = {
    ...real,
    operation: (verb, result, seconds) => {
      real.operation(verb, result, seconds);
      console.log(JSON.stringify({ verb, milliseconds: seconds * 1000 }));
    },
  };
  const attachments = followAttachments({
    pool,
    domains,
    serviceVrfMax: config.default.service_vrf_max,
    asn: config.bgp.asn,
    synced: () => caches.unsynced().length === 0,
    metrics,
    left: () => {},
    signal,
  });
  await using node = await Node.start({
    deps: {
      pool,
      resolveDomain: domains.forPods,
      domainNamed: domains.named,
      changed: attachments.changed,
      gatherWishes: createGatherWishes({
        findPod: createPodLookup({ ...caches.pods, found: (source) => metrics.podFound(source) }),
        hasInterface: (containerId, ifname) =>
          pool.ofContainer(containerId).some((row) => row.ifname === ifname),
      }),
    },
    server: { metrics },
  });
  for (const [index, vrf] of vrfs.entries()) node.addBridge(Number(vrf), `172.16.${index}.1`);
  console.log(JSON.stringify({ api: node.api, fd: node.fdpass }));
  await Promise.race([new Response(Deno.stdin.readable).text(), node.finished]);
  await node.stop();
  stop.abort(new Error("The bench ends"));
  await Deno.remove(directory, { recursive: true });
}

if (import.meta.main) await main(Deno.args);
