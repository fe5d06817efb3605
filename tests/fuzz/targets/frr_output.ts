/** FRR's output, in which words of BGP peers stand, and its configuration. */
import fc from "fast-check";
import { normaliseConfig, parseConfig } from "../../../frr/config_tree.ts";
import { diffConfig } from "../../../frr/diff.ts";
import { FrrError } from "../../../frr/errors.ts";
import { parseL2vnis } from "../../../frr/l2vni_state.ts";
import { parseBfdSessions, parseLastError, parsePeers } from "../../../frr/peer_state.ts";
import { parseApplyResult, parseFailure, parseRoutes, parseState } from "../../../frr/protocol.ts";
import {
  missingDaemons,
  parsePrefixRoutes,
  parseRouteTable,
  parseVnis,
  parseVrfs,
} from "../../../frr/state.ts";
import { splitTranscript } from "../../../frr/vtysh.ts";
import { z } from "zod";
import { exploringSync } from "../explore.ts";
import { changedJson, changedText } from "../mutation.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

const outputs: readonly unknown[] = [
  { peers: { "192.168.124.2": { state: "Established", pfxRcd: 3, remoteAs: 65000 } } },
  [{ peer: "192.168.124.2", status: "up" }],
  { "192.168.124.2": { lastNotificationReason: "Cease", lastResetDueTo: "no AFI/SAFI" } },
  {
    vrfs: [{
      vrf: "vrf-200",
      vni: 50200,
      vxlanIntf: "l3vx-50200",
      sviIntf: "l3br-200",
      state: "Up",
      routerMac: "02:00:00:00:00:01",
    }],
  },
  {
    "50200": {
      vni: 50200,
      type: "L2",
      vxlanIf: "l2vx-50200",
      numMacs: 1,
      numArpNd: 2,
      numRemoteVteps: 1,
      tenantVrf: "vrf-200",
    },
  },
  {
    "10.150.0.0/26": [{
      protocol: "bgp",
      selected: true,
      nexthops: [{ ip: "192.168.124.2", interfaceName: "l3br-200" }],
    }],
  },
  {
    "192.168.124.1:200": {
      rd: "192.168.124.1:200",
      "[5]:[0]:[26]:[10.150.0.0]": {
        paths: [[{
          ip: "10.150.0.0",
          ipLen: 26,
          peerId: "192.168.124.2",
          nexthops: [{ ip: "192.168.124.2" }],
          extendedCommunity: { string: "RT:65000:200 ET:8 Rmac:02:00:00:00:00:01" },
        }]],
      },
    },
  },
  { ready: true, epoch: "1", vrfs: [], vnis: [], peers: [], routes: [], prefixRoutes: [] },
  { changed: true, lines: ["a"], seconds: 1 },
  { code: "FrrRefused", message: "x", line: "line 1" },
];

/** Commands' output in JSON, and the agent's answers. */
export const frrOutput: FuzzTarget = {
  name: "frr-output",
  share: 6,
  begin: () =>
    Promise.resolve(exploringSync(changedJson(outputs), (text) => {
      const [first = ""] = Object.keys(Object(JSON.parse(text)));
      const answer: unknown = JSON.parse(text);
      const readers: readonly (() => unknown)[] = [
        () => parsePeers(text),
        () => parseBfdSessions(text),
        () => parseLastError(first, text),
        () => parseVnis(text),
        () => parseL2vnis(text, text),
        () => parseRouteTable(text),
        () => parsePrefixRoutes(text),
        // The client makes an FrrError of what these throw.
        () => parseState(answer),
        () => parseRoutes(answer),
        () => parseApplyResult(answer),
        () => parseFailure(answer),
      ];
      for (const read of readers) {
        try {
          read();
        } catch (thrown) {
          expectRefusal(thrown, FrrError, z.ZodError, z.core.$ZodError);
        }
      }
    })),
};

/** Configurations and other plain output. */
export const frrText: FuzzTarget = {
  name: "frr-text",
  share: 2,
  begin() {
    const folder = new URL("../../../frr/goldens/", import.meta.url);
    const goldens = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".conf"))
      .map(({ name }) => Deno.readTextFileSync(new URL(name, folder)))
      .toSorted((a, b) => a.length - b.length).slice(0, 6);
    const shown = [
      " zebra bgpd watchfrr staticd bfdd\n",
      "vrf vrf-200 id 5 table 2200\nvrf vrf-300 inactive\n",
      "Interface       Status  VRF             Addresses\nlo              up      vrf-200\n",
    ];
    return Promise.resolve(
      exploringSync(
        fc.tuple(changedText([...goldens, ...shown]), fc.constantFrom(...goldens)),
        ([text, golden]) => {
          try {
            parseConfig(text);
            normaliseConfig(text);
            diffConfig({ running: text, desired: golden });
            missingDaemons(text.split(/\s+/));
            for (
              const read of [parsePeers, parseBfdSessions, parseVnis, parseL2vnis, parseRouteTable]
            ) read(text);
            parseVrfs(text, text);
            splitTranscript(["show vrf", "show daemons"], text);
          } catch (thrown) {
            expectRefusal(thrown, FrrError);
          }
        },
      ),
    );
  },
};
