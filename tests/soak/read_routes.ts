/** From what `ip` prints of routes and rules to facts. Pure. */
import { z } from "zod";
import { jsonOf } from "./json_of.ts";
import { isLeg } from "./read_links.ts";

const routes = z.array(z.object({
  type: z.string().optional(),
  dst: z.string(),
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  dev: z.string().optional(),
  table: z.string().optional(),
  protocol: z.string().optional(),
  metric: z.number().optional(),
  flags: z.array(z.string()).optional(),
}));

/** Routes but the kernel's own: of local and multicast addresses, and of what a leg or the underlay is connected to. */
export function readRoutes(text: string, family: 4 | 6): readonly string[] {
  return jsonOf(text, routes).flatMap((route) => {
    const { type = "unicast", dst, dev = "", table = "main", protocol = "boot", metric } = route;
    const kernels = table === "local" || type === "multicast" || dst.startsWith("fe80::") ||
      protocol === "kernel" && (isLeg(dev) || dev === "eth0" || dev === "lo");
    if (kernels) return [];
    const gateway = route.gateway ?? route.via?.host;
    return [[
      `route ${table}`,
      ...type === "unicast" ? [] : [type],
      dst === "default" && family === 6 ? "default6" : dst,
      ...gateway === undefined ? [] : [`via ${isLeg(dev) ? "leg" : gateway}`],
      ...type === "unicast" ? [`dev ${dev}`] : [],
      ...protocol === "boot" ? [] : [`proto ${protocol}`],
      ...metric === undefined ? [] : [`metric ${metric}`],
      ...route.flags?.includes("onlink") === true ? ["onlink"] : [],
      ...route.flags?.includes("dead") === true ? ["dead"] : [],
    ].join(" ")];
  });
}

const rules = z.array(z.object({
  priority: z.number(),
  src: z.string().optional(),
  srclen: z.number().optional(),
  dst: z.string().optional(),
  dstlen: z.number().optional(),
  iif: z.string().optional(),
  oif: z.string().optional(),
  fwmark: z.string().optional(),
  fwmask: z.string().optional(),
  table: z.string().optional(),
  action: z.string().optional(),
  suppress_prefixlen: z.number().optional(),
}));

/** All RPDB rules. */
export function readRules(text: string, family: 4 | 6): readonly string[] {
  return jsonOf(text, rules).map((rule) => {
    const mask = rule.fwmask === undefined ? "" : `/${rule.fwmask}`;
    return [
      `rule ${family} ${rule.priority}`,
      ...rule.src === undefined || rule.src === "all" ? [] : [`from ${rule.src}/${rule.srclen}`],
      ...rule.dst === undefined ? [] : [`to ${rule.dst}/${rule.dstlen}`],
      ...rule.iif === undefined ? [] : [`iif ${rule.iif}`],
      ...rule.oif === undefined ? [] : [`oif ${rule.oif}`],
      ...rule.fwmark === undefined ? [] : [`fwmark ${rule.fwmark}${mask}`],
      ...rule.table === undefined ? [] : [`lookup ${rule.table}`],
      ...rule.action === undefined ? [] : [rule.action],
      ...rule.suppress_prefixlen === undefined
        ? []
        : [`suppress_prefixlen ${rule.suppress_prefixlen}`],
    ].join(" ");
  });
}
