/** Nodes of AS numbers of their own behind a switch: sessions, BFD, passwords, filters. */
import assert from "node:assert/strict";
import { awaitRoutes } from "../demo_lab.ts";
import { askFrr } from "../frr_words.ts";
import type { RunningNode } from "../lab.ts";
import { kubectl } from "../machines.ts";
import { readPeers } from "../object_status.ts";
import { patience } from "../patience.ts";
import { until } from "../process.ts";
import { applyObjects } from "../stretched_lab.ts";
import {
  configureNodes,
  type FabricCase,
  learnt,
  untilMatrixHolds,
  untilPeer,
  untilPeers,
  untilSettings,
} from "./fabric.ts";
import { startSwitch, switchAddress } from "./fabric_routers.ts";

/** The last notification of a session in words, its own or the peer's; RFC 9384 has one for BFD. */
async function lastNotification(node: RunningNode, address: string): Promise<string> {
  const text = await askFrr(node.holder, "bgpd", `show bgp neighbors ${address} json`);
  return String(JSON.parse(text)[address]?.lastNotificationReason);
}

/** In this order: each begins where the one before has ended. */
export const rackSwitchCases: readonly FabricCase[] = [
  {
    name: "nodes of AS numbers of their own reach each other through a top of rack switch",
    run: async (fabric) => {
      const { lab, pods, signal } = fabric;
      await using _switch = await startSwitch(lab);
      const peer = {
        address: switchAddress,
        asn: 65500,
        timers: { keepalive: 3, hold: 9, connect: 1 },
      };
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer] }));
      await untilPeers(fabric, () => [switchAddress]);
      await awaitRoutes(lab, pods, signal);
      await untilMatrixHolds(fabric);
      // The nodes of a rack often share one number: then each must take what carries its own.
      await configureNodes(fabric, () => ({ asn: 65001, peers: [{ ...peer, allowAsIn: 1 }] }));
      await untilPeers(fabric, () => [switchAddress]);
      await awaitRoutes(lab, pods, signal);
      await untilMatrixHolds(fabric);
    },
  },
  {
    name: "BFD ends a session whose path is cut, long before its hold time does",
    run: async (fabric) => {
      const { lab, api } = fabric;
      await using _switch = await startSwitch(lab);
      const peer = {
        address: switchAddress,
        asn: 65500,
        timers: { connect: 1 },
        bfd: { detectMultiplier: 4 },
      };
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer] }));
      await untilPeers(fabric, () => [switchAddress]);
      const untilBfd = (wanted: string) =>
        until(`BFD to be "${wanted}" on each node`, patience, async () => {
          const peers = await readPeers(api);
          return lab.nodes.every(({ name }) => peers.get(name)?.[0]?.bfd === wanted) || undefined;
        });
      await untilBfd("up");
      await lab.api.run(["ip", "link", "set", "u-tor", "down"]);
      await untilPeer(fabric, switchAddress, false);
      // Its hold time would have ended it, too, after 180 seconds.
      for (const node of lab.nodes) {
        assert.equal(await lastNotification(node, switchAddress), "Cease/BFD Down");
      }
      await lab.api.run(["ip", "link", "set", "u-tor", "up"]);
      await untilPeers(fabric, () => [switchAddress]);
      await untilBfd("up");
    },
  },
  {
    name: "a session's password comes from a Secret, is followed, and shows nowhere",
    run: async (fabric) => {
      const { lab } = fabric;
      const [first, second] = ["first-0f6c1d", "second-91ab7e"];
      await using switchRouter = await startSwitch(lab, first);
      const secret = (password: string) => ({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "tor", namespace: "pyroute2-cni" },
        stringData: { password },
      });
      const passwordSecretRef = { name: "tor" };
      const peer = {
        address: switchAddress,
        asn: 65500,
        timers: { connect: 1 },
        passwordSecretRef,
      };
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer] }));
      await untilSettings(fabric, "PasswordMissing");
      // Without a password the switch is not spoken with at all.
      await untilPeers(fabric, () => []);
      await kubectl(lab, ["create", "namespace", "pyroute2-cni"]);
      await applyObjects(lab, [secret(first)]);
      await untilPeers(fabric, () => [switchAddress]);
      await untilSettings(fabric, "Applied");

      await switchRouter.configure(`router bgp 65500\n neighbor rack password ${second}\n`);
      await applyObjects(lab, [secret(second)]);
      for (const node of lab.nodes) {
        await until(`"${node.name}" to take the new password`, patience, async () => {
          const running = await askFrr(node.holder, "bgpd", "show running-config");
          return running.includes(second) && !running.includes(first) ? true : undefined;
        });
      }
      await untilPeers(fabric, () => [switchAddress]);

      await kubectl(lab, ["delete", "secret", "tor", "-n", "pyroute2-cni"]);
      await untilSettings(fabric, "PasswordMissing");
      await untilPeers(fabric, () => [switchAddress]);
      for (const password of [first, second]) {
        const shown = await kubectl(lab, ["get", "vrnc,vrns,events", "-A", "-o", "yaml"]);
        assert.ok(!shown.includes(password), "a password in the API");
        for await (const file of Deno.readDir(lab.directory)) {
          if (!file.name.endsWith(".log")) continue;
          const text = await Deno.readTextFile(`${lab.directory}/${file.name}`);
          assert.ok(!text.includes(password), `a password in "${file.name}"`);
        }
      }
      for (const node of lab.nodes) {
        const find = ["find", "/etc/frr", "/run", "-xdev", "-type", "f", "-perm", "/o+r"];
        const grep = ["xargs", "-r", "grep", "-ls", second];
        const open = await node.holder.run([
          "sh",
          "-c",
          `${find.join(" ")} | ${grep.join(" ")} || true`,
        ]);
        assert.equal(open, "", "a password in a file that others can read");
      }
    },
  },
  {
    name: "a peer's filters keep routes of a type out, and let them in again",
    run: async (fabric) => {
      const { lab } = fabric;
      await using _switch = await startSwitch(lab);
      const peer = { address: switchAddress, asn: 65500, timers: { connect: 1 } };
      const filters = { in: [{ routeType: "prefix", action: "deny" }, {}] };
      const untilRoutes = (some: boolean) =>
        until(`${some ? "some" : "no"} routes of the other node`, patience, async () => {
          const routes = await Promise.all(lab.nodes.map((node) => learnt(node, 200)));
          return routes.every(({ length }) => length > 0 === some) || undefined;
        });
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer] }));
      await untilPeers(fabric, () => [switchAddress]);
      await untilRoutes(true);
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [{ ...peer, filters }] }));
      await untilRoutes(false);
      await untilPeers(fabric, () => [switchAddress]);
      await configureNodes(fabric, ({ asn }) => ({ asn, peers: [peer] }));
      await untilRoutes(true);
      await untilMatrixHolds(fabric);
    },
  },
];
