/** From what `ip` and `bridge` print of links to facts. Pure. */
import { z } from "zod";
import { jsonOf } from "./json_of.ts";

const links = z.array(z.object({
  ifname: z.string(),
  flags: z.array(z.string()),
  mtu: z.number(),
  address: z.string().optional(),
  ifalias: z.string().optional(),
  master: z.string().optional(),
  linkinfo: z.object({
    info_kind: z.string().optional(),
    info_data: z.object({ id: z.number().optional(), local: z.string().optional() }).loose()
      .optional(),
  }).loose().optional(),
}));

/** Links, as far as the project determines them. @param place Whether they are the host's own */
export function readLinks(text: string, place: string): readonly string[] {
  return jsonOf(text, links).map((link) => {
    const { ifname, master, mtu, address, ifalias } = link;
    const kind = link.linkinfo?.info_kind;
    if (ifname === "lo") return "link lo";
    const head = `link ${ifname} ${kind} ${link.flags.includes("UP") ? "up" : "down"}`;
    // Of legs and the underlay nothing else is determined by the model.
    if (place === "host" || ifname === "host") return head;
    const data = link.linkinfo?.info_data;
    return [
      `${head} mtu ${mtu}`,
      ...master === undefined ? [] : [`master ${master}`],
      ...kind === "vxlan" ? [`vni ${data?.id} local ${data?.local}`] : [`mac ${address}`],
      ...ifalias?.includes("/") === true ? [`alias ${ifalias}`] : [],
    ].join(" ");
  });
}

const addresses = z.array(z.object({
  ifname: z.string().optional(),
  addr_info: z.array(z.object({
    family: z.string(),
    local: z.string(),
    prefixlen: z.number(),
    scope: z.string(),
  })).optional(),
}));

/** Addresses but the kernel's own: loopback and link-local ones, and the underlay's. Of a leg only the IP versions are told. */
export function readAddresses(text: string): readonly string[] {
  return jsonOf(text, addresses).flatMap(({ ifname = "", addr_info = [] }) => {
    const mine = addr_info.filter(({ scope }) => scope === "global");
    if (isLeg(ifname)) {
      return mine.map(({ family }) => `leg ${ifname} IPv${family === "inet" ? 4 : 6}`);
    }
    return mine.filter(({ local }) => !local.startsWith("192.168.124."))
      .map(({ local, prefixlen }) => `address ${ifname} ${local}/${prefixlen}`);
  });
}

/** Whether a link joins a VRF's namespace to the host. */
export function isLeg(name: string): boolean {
  return name === "host" || name.startsWith("pr2h-");
}

const neighbors = z.array(z.object({
  dst: z.string(),
  dev: z.string(),
  lladdr: z.string().optional(),
  extern_learn: z.null().optional(),
  state: z.array(z.string()),
}));

/** Neighbours that somebody has put there; what the kernel finds out by itself comes and goes. */
export function readNeighbors(text: string): readonly string[] {
  return jsonOf(text, neighbors).flatMap((neighbor) => {
    const { dst, dev, lladdr, state } = neighbor;
    const learned = "extern_learn" in neighbor;
    if (!learned && !state.includes("PERMANENT")) return [];
    return [`neighbor ${dev} ${dst} ${lladdr} ${learned ? "learned" : "permanent"}`];
  });
}

const forwarding = z.array(z.object({
  mac: z.string(),
  ifname: z.string(),
  dst: z.string().optional(),
}));

/** Where VXLAN devices send to. */
export function readForwarding(text: string): readonly string[] {
  return jsonOf(text, forwarding).filter(({ dst }) => dst !== undefined)
    .map(({ mac, ifname, dst }) => `fdb ${ifname} ${mac} to ${dst}`);
}
