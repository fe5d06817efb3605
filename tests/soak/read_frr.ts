/** From what vtysh prints to facts. Pure. */
import { z } from "zod";
import { jsonOf } from "./json_of.ts";

/** The facts in the output of one of the commands that the observation runs. */
export function readFrr(
  { what, text }: { readonly what: string; readonly text: string },
): readonly string[] {
  switch (what) {
    case "vtysh-config":
      return readConfig(text);
    case "vtysh-routes":
      return objectsIn(text).flatMap(readRoutes);
    case "vtysh-vnis":
      return readVnis(text);
    case "vtysh-peers":
      return readPeers(text);
    case "vtysh-evpn":
      return readEvpn(text);
    default:
      return [];
  }
}

/** The VRFs that are configured; zebra lists a VRF without anything in it as `vrf X` and nothing more. */
function readConfig(text: string): readonly string[] {
  return text.split("\n").filter((line) => /^(vrf|router bgp \d+ vrf) \S+$/.test(line))
    .map((line) => `frr config ${line}`);
}

/** Several commands' answers, one after the other: each begins and ends with a brace at the line's beginning. */
function objectsIn(text: string): readonly string[] {
  return text.split(/(?<=^\}\s*$)/m).filter((part) => part.trim() !== "");
}

const routes = z.record(
  z.string(),
  z.array(z.object({
    prefix: z.string(),
    protocol: z.string(),
    vrfName: z.string(),
    selected: z.boolean().optional(),
    installed: z.boolean().optional(),
    nexthops: z.array(
      z.object({ ip: z.string().optional(), interfaceName: z.string().optional() }),
    ),
  })),
);

function readRoutes(text: string): readonly string[] {
  return Object.values(jsonOf(text, routes)).flat().flatMap((route) => {
    const { prefix, protocol, vrfName, nexthops } = route;
    const legs = prefix.startsWith("169.254.") || prefix.startsWith("fe80::") ||
      nexthops.some(({ interfaceName }) => interfaceName === "host");
    const counts = vrfName !== "default" && (protocol === "bgp" || protocol === "connected");
    if (!counts || legs) return [];
    const ways = nexthops.map(({ ip, interfaceName }) =>
      protocol === "bgp" ? `via ${ip}` : `dev ${interfaceName}`
    );
    const state = route.selected === true && route.installed === true ? "" : " not installed";
    return [`frr route ${vrfName} ${prefix} ${protocol} ${ways.join(" and ")}${state}`];
  });
}

const vnis = z.record(
  z.string(),
  z.object({ vni: z.number(), type: z.string(), tenantVrf: z.string() }),
);

function readVnis(text: string): readonly string[] {
  return Object.values(jsonOf(text, vnis))
    .map(({ vni, type, tenantVrf }) => `frr vni ${vni} ${type} ${tenantVrf}`);
}

const peers = z.object({ peers: z.record(z.string(), z.object({ state: z.string() })) });

function readPeers(text: string): readonly string[] {
  return Object.entries(jsonOf(text, peers).peers)
    .map(([address, { state }]) => `frr peer ${address} ${state}`);
}

const evpnRoute = z.object({
  paths: z.array(
    z.array(z.object({ extendedCommunity: z.object({ string: z.string() }).optional() })),
  ),
});
const distinguished = z.record(
  z.string(),
  z.union([z.number(), z.record(z.string(), z.union([z.string(), evpnRoute]))]),
);

/**
 * EVPN routes by route distinguisher. Those of a stretched subnet have a number in it that FRR chooses: their route targets tell them apart.
 *
 * - `[2]:[0]:[48]:[06:34:47:ff:cc:88]:[32]:[10.190.0.2]`, with and without an address
 * - `[3]:[0]:[32]:[192.168.124.11]`
 * - `[5]:[0]:[26]:[10.150.0.0]`
 */
function readEvpn(text: string): readonly string[] {
  return Object.entries(jsonOf(text, distinguished)).flatMap(([rd, found]) =>
    typeof found === "number" ? [] : Object.entries(found).flatMap(([key, route]) => {
      if (typeof route === "string") return [];
      const [type, , length, first, , address] = key.slice(1, -1).split("]:[");
      if (type === "5") return [`frr type-5 ${rd} ${first}/${length}`];
      const whose = `${rd.split(":")[0]} ${targetsOf(route)}`;
      if (type === "2") return [`frr type-2 ${whose} ${first} ${address ?? "alone"}`];
      return [`frr type-${type} ${whose}`];
    })
  );
}

function targetsOf({ paths }: z.infer<typeof evpnRoute>): string {
  const communities = paths[0]?.[0]?.extendedCommunity?.string.split(" ") ?? [];
  return communities.filter((each) => each.startsWith("RT:")).toSorted().join(" ");
}
