/** From what `nft -j` prints to facts. Pure. */
import { z } from "zod";
import { jsonOf } from "./json_of.ts";

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

const json: z.ZodType<Json> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(json),
    z.record(z.string(), json),
  ])
);
const named = z.object({ name: z.string(), elem: z.array(json).optional() });
const ruleset = z.object({
  nftables: z.array(z.object({
    table: z.object({ family: z.string(), name: z.string() }).optional(),
    set: named.optional(),
    map: named.optional(),
    rule: z.object({ chain: z.string(), expr: json }).optional(),
  })),
});

/** Tables, the elements of sets and maps, and how many rules each chain of the host's table has. */
export function readFirewall(text: string): readonly string[] {
  if (text.trim() === "") return [];
  return jsonOf(text, ruleset).nftables.flatMap(({ table, set, map, rule }): string[] => {
    if (table !== undefined) return [`nft table ${table.family} ${table.name}`];
    const elements = set ?? map;
    if (elements !== undefined) {
      const name = withoutNumber(elements.name);
      return (elements.elem ?? []).map((each) => `nft ${name} ${element(each)}`);
    }
    if (rule === undefined) return [];
    const chain = withoutNumber(rule.chain);
    const zones = chain === "zones" ? anonymous(rule.expr) : [];
    return [
      `nft rule in ${chain}`,
      ...zones.map((each) => `nft zones ${element(each)}`),
    ];
  });
}

/** What is made anew has the next number behind its name. */
function withoutNumber(name: string): string {
  return name.replace(/-\d+$/, "");
}

/** The elements of the map within an expression. */
function anonymous(expression: Json): readonly Json[] {
  const found = /"data":\{"set":(\[.*?\])\}\}/.exec(JSON.stringify(expression))?.[1];
  return found === undefined ? [] : jsonOf(found, z.array(json));
}

function element(value: Json): string {
  if (Array.isArray(value)) return value.map(element).join(" : ");
  if (typeof value !== "object" || value === null) return String(value);
  const { concat, prefix, elem } = value as Record<string, Json>;
  if (Array.isArray(concat)) return concat.map(element).join(" . ");
  if (elem !== undefined) return element(elem);
  const parsed = z.object({ addr: z.string(), len: z.number() }).safeParse(prefix);
  return parsed.success ? `${parsed.data.addr}/${parsed.data.len}` : JSON.stringify(value);
}
