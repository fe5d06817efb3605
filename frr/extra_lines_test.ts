import assert from "node:assert/strict";
import { applyConfig } from "./apply.ts";
import { normaliseConfig } from "./config_tree.ts";
import { type ExtraContext, extraLines, extraPattern, isExtraLine } from "./extra_lines.ts";
import type { FrrModel } from "./model.ts";
import { renderFrr } from "./render.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import { runVtysh } from "./vtysh.ts";

const signal = () => AbortSignal.timeout(30_000);
const contexts: readonly ExtraContext[] = [
  "bgp",
  "evpn",
  "vrfBgp",
  "vrfIpv4",
  "vrfIpv6",
  "vrfEvpn",
];

const bare: FrrModel = {
  asn: 65000,
  routerId: "192.168.124.1",
  neighbors: [
    { address: "192.168.124.2", remoteAs: "internal" },
    { address: "192.168.124.250", remoteAs: 65500 },
  ],
  vrfs: [{
    name: "vrf-200",
    l3vni: 50200,
    rd: "192.168.124.1:200",
    routerId: "192.168.124.1",
    routeTargets: { import: ["65000:200"], export: ["65000:200"] },
    prefix: "10.150.0.0/16",
    prefix6: "fd00:150::/48",
  }],
};

function modelWith(context: ExtraContext, lines: readonly string[]): FrrModel {
  if (context === "bgp" || context === "evpn") return { ...bare, extra: { [context]: lines } };
  const part = { vrfBgp: "bgp", vrfIpv4: "ipv4", vrfIpv6: "ipv6", vrfEvpn: "evpn" }[context];
  return { ...bare, vrfs: bare.vrfs.map((vrf) => ({ ...vrf, extra: { [part]: lines } })) };
}

/** Values that FRR takes, by the words before them. */
const numbers: readonly (readonly [RegExp, string])[] = [
  [/restart-time |stalepath-time |select-defer-time |time /, "200"],
  [/ttl-security hops /, "1"],
  [/tcp-mss |coalesce-time |local-preference |port /, "1400"],
  [/confederation |local-as /, "64999"],
  [/distance bgp /, "21"],
  [/max-moves |read-quanta |maximum-paths /, "7"],
  [/freeze |minimum-holdtime |update-delay |write-quanta /, "60"],
  [/./, "9"],
];

/** The line with values for its words in capitals. */
function sampleOf(line: string, context: ExtraContext): string {
  const peer = /local-as|ttl-security/.test(line) ? "192.168.124.250" : "192.168.124.2";
  const prefix = context === "vrfIpv6" ? "fd00:9::/64" : "10.9.0.0/24";
  const number = (before: string) => numbers.find(([pattern]) => pattern.test(before))?.[1] ?? "9";
  return line.replace("ADDRESS", peer).replace("PREFIX", prefix)
    .replace("timers bgp NUMBER NUMBER", "timers bgp 3 9")
    .replace("max-moves NUMBER time NUMBER", "max-moves 7 time 200")
    .replaceAll("NUMBER", (_, at: number) => number(line.slice(0, at)));
}

async function running(frr: FrrInstance): Promise<string> {
  const [reply] = await runVtysh(frr, ["show running-config"], signal());
  return normaliseConfig(reply?.output ?? "");
}

Deno.test("FRR takes every line that may be added, shows it where it was written, and forgets it again", async () => {
  await using frr = await startFrrInstance();
  const without = renderFrr(bare);
  await applyConfig(frr, without, undefined, signal());
  for (const context of contexts) {
    for (const template of extraLines[context]) {
      const line = sampleOf(template, context);
      assert(isExtraLine(context, line), line);
      const text = renderFrr(modelWith(context, [line]));
      await applyConfig(frr, text, without, signal());
      assert.equal(await running(frr), normaliseConfig(text), `${context}: ${line}`);
    }
    await applyConfig(frr, without, undefined, signal());
    assert.equal(await running(frr), normaliseConfig(without), context);
  }
});

Deno.test("no line leaves its context, reaches a file, another daemon or what has a field of its own", () => {
  const hostile = [
    "",
    " ",
    "!",
    "end",
    "exit",
    "exit-vrf",
    "exit-address-family",
    "quit",
    "no router bgp 65000",
    "log file /etc/cron.d/x",
    "no log syslog",
    "line vty",
    "password x",
    "enable password x",
    "username x nopassword",
    "hostname x",
    "banner motd file /etc/shadow",
    "service advanced-vty",
    "write file",
    "copy /etc/shadow running-config",
    "include /etc/shadow",
    "dump bgp all /etc/cron.d/x",
    "debug bgp updates",
    "access-list vty permit any",
    "ip route 0.0.0.0/0 192.0.2.1",
    "interface eth0",
    "vrf vrf-300",
    "netns /run/netns/x",
    "router bgp 65001",
    "router bgp 65000 vrf vrf-300",
    "router ospf",
    "address-family ipv4 unicast",
    "bmp mirror buffer-limit 1",
    "bgp listen range 0.0.0.0/0 peer-group x",
    "bgp router-id 192.0.2.1",
    "bgp graceful-shutdown\nexit",
    "bgp graceful-shutdown ",
    " bgp graceful-shutdown",
    "bgp graceful-shutdown\u0000",
    "bgp graceful-shutdown ! x",
    "bgp  graceful-shutdown",
    "BGP graceful-shutdown",
    "coalesce-time 1 ?",
    "coalesce-time 2000 exit",
    "coalesce-time 20000000000",
    "neighbor 192.168.124.2 password x",
    "neighbor 192.168.124.2 remote-as 1",
    "neighbor 192.168.124.2 shutdown",
    "neighbor 192.168.124.2 weight 1",
    "neighbor 192.168.124.2 route-map x in",
    "neighbor PE passive",
    "no neighbor 192.168.124.2",
    "import vrf vrf-300",
    "import vpn",
    "rd 1:1",
    "route-target import 65000:300",
    "advertise-all-vni",
    "no advertise-all-vni",
    "redistribute kernel",
    "table-map x",
    "network 10.0.0.0/8 route-map x",
  ];
  for (const context of contexts) {
    for (const line of hostile) {
      assert(!isExtraLine(context, line), `${context}: ${JSON.stringify(line)}`);
      assert.throws(() => renderFrr(modelWith(context, [line])), { code: "FrrModelInvalid" });
    }
  }
});

Deno.test("a line stands only in the contexts that know it", () => {
  for (const context of contexts) {
    for (const other of contexts) {
      for (const template of extraLines[other]) {
        if (extraLines[context].includes(template)) continue;
        const line = sampleOf(template, other);
        assert(!isExtraLine(context, line), `${context}: ${line}`);
      }
    }
    assert.match(extraPattern(context), /^\^\([a-zA-Z0-9 .:/{},|[\]-]+\)\$$/);
  }
});

Deno.test("every line that may be added is in the documentation", async () => {
  const text = await Deno.readTextFile(new URL("../docs/bgp.md", import.meta.url));
  const lists = [...text.matchAll(/^```\n([^`]*)^```$/gm)].map(([, lines]) => lines);
  for (const context of contexts) {
    assert(lists.includes(`${extraLines[context].join("\n")}\n`), context);
  }
});
