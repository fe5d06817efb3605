/** Which routes pass between a domain's VRF and the fabric: the part of VRFDomain that says it. */
import { z } from "zod";
import { networkOf, parsePrefix, type Prefix } from "../../lib/net/prefix.ts";
import { ipPrefix, zodOf } from "./fields.ts";
import type { Schema } from "./kind.ts";
import { withRules } from "./rules.ts";

/** An entry: the first that matches a route decides. */
export interface RouteFilterEntry {
  /** A prefix of either IP version. */
  readonly prefix: string;
  /** Least length of a route inside it. */
  readonly ge?: number | undefined;
  /** Greatest length of a route inside it. */
  readonly le?: number | undefined;
  /** Whether a route passes; `permit` when absent. */
  readonly action: "permit" | "deny";
}

/** Filters of a domain. Routes of its own prefixes pass in any case. */
export interface RouteFilters {
  /** Routes that the VRF takes from the fabric; all when absent. */
  readonly import?: readonly RouteFilterEntry[] | undefined;
  /** Routes of the VRF that are announced; those of its own prefixes alone when absent. */
  readonly export?: readonly RouteFilterEntry[] | undefined;
}

const length = z.int().min(1).max(128).optional();

const network = withRules(zodOf(ipPrefix), [{
  cel: "isCIDR(self) && cidr(self) == cidr(self).masked()",
  holds: (text) => {
    const prefix = prefixOf(text);
    return prefix !== undefined && networkOf(prefix).address === prefix.address;
  },
  message: 'Expected a network without host bits, such as "192.0.2.0/24"',
}]);

const fields: z.ZodType<RouteFilterEntry> = z.object({
  prefix: network.describe("A network of either IP version"),
  ge: length.describe("Least length of a route inside it"),
  le: length.describe("Greatest length of a route inside it"),
  action: z.enum(["permit", "deny"]).default("permit").describe("Whether a route passes"),
});

/** The length of a prefix in CEL, and the longest that its IP version has. */
const own = "cidr(self.prefix).prefixLength()";
const longest = "(cidr(self.prefix).ip().family() == 4 ? 32 : 128)";

const entry = withRules(fields, [
  {
    cel: `!isCIDR(self.prefix) || !has(self.ge) || (self.ge > ${own} && self.ge <= ${longest})`,
    holds: ({ prefix, ge }) => isInside(prefix, ge),
    message: "Expected ge to be greater than the prefix's own length, up to the longest",
    field: "ge",
  },
  {
    cel: `!isCIDR(self.prefix) || !has(self.le) || (self.le > ${own} && self.le <= ${longest} && ` +
      "(!has(self.ge) || self.le >= self.ge))",
    holds: ({ prefix, ge, le }) => isInside(prefix, le) && (le ?? 128) >= (ge ?? 0),
    message: "Expected le to be greater than the prefix's own length and no less than ge",
    field: "le",
  },
]);

const entries = z.array(entry).min(1).max(256);

/** Validates {@linkcode RouteFilters}. */
export const routeFilters: Schema<RouteFilters> = z.object({
  import: entries.optional().describe("Routes taken from the fabric; all when absent"),
  export: entries.optional()
    .describe("Routes announced besides those of the domain's own prefixes"),
});

function isInside(text: string, length: number | undefined): boolean {
  const prefix = prefixOf(text);
  if (prefix === undefined || length === undefined) return true;
  return length > prefix.length && length <= (prefix.family === 4 ? 32 : 128);
}

function prefixOf(text: string): Prefix | undefined {
  try {
    return parsePrefix(text);
  } catch {
    return undefined;
  }
}
