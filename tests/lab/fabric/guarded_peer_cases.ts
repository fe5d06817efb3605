/** What is kept from doing harm: peers with too many routes, lines that FRR does not take. In the end all is as it was before. */
import assert from "node:assert/strict";
import { awaitRoutes } from "../demo_lab.ts";
import { askFrr } from "../frr_words.ts";
import { kubectl } from "../machines.ts";
import { readConditions, readPeers } from "../object_status.ts";
import { patience } from "../patience.ts";
import { until } from "../process.ts";
import {
  configureNodes,
  type FabricCase,
  nodeAt,
  peersByState,
  untilMatrixHolds,
  untilPeers,
  untilSettings,
} from "./fabric.ts";
import { startSwitch, switchAddress } from "./fabric_routers.ts";

/** In this order: each begins where the one before has ended. */
export const guardedPeerCases: readonly FabricCase[] = [
  {
    name:
      "a peer that sends more routes than it may is shut down, says why, and comes back by the rule",
    run: async (fabric) => {
      const { lab, api, pods, signal } = fabric;
      await using _switch = await startSwitch(lab);
      const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
      // One node alone: where it goes first, the other one may never see too many.
      const limit = (maxPrefixes: unknown) =>
        configureNodes(fabric, ({ asn }) => ({
          asn,
          peers: [asn === 65001 ? { ...peer, maxPrefixes } : peer],
        }));
      const node = nodeAt(fabric, 0);
      const untilReady = (wanted: RegExp) =>
        until(`the settings to be ready or not: ${wanted}`, patience, async () => {
          const found = (await readConditions(api, "vrfnodeconfigs", "Ready"))
            .find(({ name }) => name === node.name);
          const text = `${found?.status} ${found?.reason} ${found?.message}`;
          return wanted.test(text) ? true : undefined;
        });
      const established = async (): Promise<number> => {
        const show = `show bgp neighbors ${switchAddress} json`;
        const shown = JSON.parse(await askFrr(node.holder, "bgpd", show));
        return Number(shown[switchAddress].connectionsEstablished);
      };
      await limit({ limit: 1_000 });
      await untilPeers(fabric, () => [switchAddress]);
      await awaitRoutes(lab, pods, signal);
      await untilReady(/^True Applied *$/);

      await limit({ limit: 1 });
      await untilReady(/^False MaxPrefixesExceeded .*at most 1 routes.*until its maxPrefixes/);
      const down = `${switchAddress}=false`;
      await until("the session to be down", patience, async () => {
        return (await peersByState(fabric))[0] === down ? true : undefined;
      });
      const running = await askFrr(node.holder, "bgpd", "show running-config");
      assert.match(running, new RegExp(`neighbor ${switchAddress} shutdown`));
      const [peerAtLimit] = (await readPeers(api)).get(node.name) ?? [];
      assert.match(peerAtLimit?.lastError ?? "", /at most 1 routes/);
      await until("an event", patience, async () => {
        const events = await kubectl(lab, ["get", "events", "-A"]);
        return events.includes("MaxPrefixesExceeded") ? true : undefined;
      });
      const metrics = await node.holder.run(["curl", "-s", "http://127.0.0.1:24800/metrics"]);
      assert.match(metrics, /bgp_peer_over_limit\{peer="192.168.124.41",action="shutdown"\} 1/);

      await limit({ limit: 1, warnOnly: true });
      await untilPeers(fabric, () => [switchAddress]);
      await untilReady(/^True Applied .*at most 1 routes.*found more/);
      await awaitRoutes(lab, pods, signal);

      // Spoken with again after ten seconds, and again too many.
      const before = await established();
      await limit({ limit: 1, restartSeconds: 10 });
      await untilReady(/^False MaxPrefixesExceeded .*until 20/);
      await until("the peer to come back", patience, async () => {
        return await established() > before ? true : undefined;
      });
      await limit({ limit: 1_000 });
      await untilPeers(fabric, () => [switchAddress]);
      await untilReady(/^True Applied *$/);
      await awaitRoutes(lab, pods, signal);
      await untilMatrixHolds(fabric);
    },
  },
  {
    name: "lines of FRR are added, and those that it does not take hold up nothing but themselves",
    run: async (fabric) => {
      const { lab, api } = fabric;
      await using switchRouter = await startSwitch(lab);
      const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
      const give = (bgp: readonly string[]) =>
        configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer], extraConfig: { bgp } }));
      const patch = (domain: string, extraConfig: unknown) =>
        kubectl(lab, [
          ...["patch", "vrd", domain, "--type=merge", "-p"],
          JSON.stringify({ spec: { extraConfig } }),
        ]);
      const untilDomain = (domain: string, wanted: RegExp) =>
        until(`"${domain}" to be ready or not: ${wanted}`, patience, async () => {
          const found = (await readConditions(api, "vrfdomains", "Ready"))
            .find(({ name }) => name === domain);
          return wanted.test(`${found?.reason} ${found?.message}`) ? true : undefined;
        });
      const mss = `neighbor ${switchAddress} tcp-mss 1200`;
      await give([mss]);
      await untilPeers(fabric, () => [switchAddress]);
      await untilSettings(fabric, "Applied");
      // Neither a line outside the list nor one that leaves its context gets as far as a node.
      for (const line of ["log file /etc/cron.d/x", `${mss}\nlog file /etc/cron.d/x`, "exit"]) {
        await assert.rejects(give([line]), /extraConfig/);
      }
      try {
        // bgpd alone knows that it has no such peer, and how many paths there may be.
        await give([mss, "neighbor 192.0.2.99 passive"]);
        await patch("tenant-a", { ipv4: ["maximum-paths 4000000"] });
        await untilSettings(fabric, "ExtraConfigRefused");
        await untilDomain("tenant-a", /ExtraConfigRefused .*maximum-paths 4000000/);
        const [first] = await readConditions(api, "vrfnodeconfigs", "Ready");
        assert.match(first?.message ?? "", /neighbor 192\.0\.2\.99 passive.*Specify remote-as/);
        // What others change is applied meanwhile.
        const extra = "198.51.100.0";
        await patch("tenant-b", {
          bgp: ["no bgp network import-check"],
          ipv4: [`network ${extra}/24`],
        });
        await until("each node to announce the prefix", patience, async () => {
          const show = "show bgp l2vpn evpn route type prefix";
          const shown = await askFrr(switchRouter.machine, "bgpd", show);
          return shown.split(`[${extra}]`).length > lab.nodes.length ? true : undefined;
        });
        await untilDomain("tenant-b", /^Applied/);
        await untilMatrixHolds(fabric);
      } finally {
        await patch("tenant-a", null);
        await patch("tenant-b", null);
        await give([mss]);
      }
      await untilSettings(fabric, "Applied");
      await untilDomain("tenant-a", /^Applied/);
      for (const node of lab.nodes) {
        const running = await askFrr(node.holder, "bgpd", "show running-config");
        assert.ok(running.includes(mss) && !running.includes("198.51.100.0"), running);
      }
      await untilMatrixHolds(fabric);
    },
  },
];
