/** Field types that several resources share. They stay inside this folder: others see whole objects. */
import { z } from "zod";
import { addressFamily, ipv4ToNumber } from "../../lib/net/address.ts";
import { networkOf, parsePrefix, type Prefix } from "../../lib/net/prefix.ts";
import type { ResourceObject, Schema } from "./kind.ts";
import { objectMeta } from "./kind.ts";
import { withRules } from "./rules.ts";

/** Reference to an object by its name. */
export interface NameRef {
  /** Name of the object. */
  readonly name: string;
}

/** Validates a reference by name. */
export const nameRef: Schema<NameRef> = z.object({
  name: z.string().min(1).max(253).describe("Name of the object"),
});

/** Validates an IPv4 address in dotted-quad form. */
export const ipv4Address: Schema<string> = z.ipv4().max(15).refine(
  (text) => addressFamily(text) === 4,
  {
    error: 'Expected an IPv4 address such as "192.0.2.1"',
  },
);

/** Validates an IPv4 or IPv6 address. */
export const ipAddress: Schema<string> = withRules(z.string().max(45), [{
  cel: "isIP(self)",
  holds: (text) => addressFamily(text) !== undefined,
  message: 'Expected an IP address such as "192.0.2.1" or "2001:db8::1"',
}]);

/** Validates an IPv4 or IPv6 prefix; host bits are allowed, as `ip rule` allows them. */
export const ipPrefix: Schema<string> = withRules(z.string().max(49), [{
  cel: "isCIDR(self)",
  holds: (text) => tryPrefix(text) !== undefined,
  message: 'Expected a prefix such as "192.0.2.0/24" or "2001:db8::/64"',
}]);

/** Validates an IPv4 network: a prefix without host bits. */
export const ipv4Network: Schema<string> = withRules(z.string().max(18), [{
  cel: "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()",
  holds: (text) => {
    const prefix = tryPrefix(text);
    return prefix?.family === 4 && networkOf(prefix).address === prefix.address;
  },
  message: 'Expected an IPv4 network without host bits, such as "10.244.1.0/26"',
}]);

/** Validates the name of a network interface (IFNAMSIZ and the rules of `dev_valid_name`). */
export const interfaceName: Schema<string> = withRules(
  z.string().min(1).max(15).regex(/^[^\s/:]+$/),
  [{
    cel: "self != '.' && self != '..'",
    holds: (text) => text !== "." && text !== "..",
    message: 'Expected the name of an interface such as "eth0"',
  }],
);

/** Whether an IPv4 address has no bits set beyond a prefix length. */
export function isNetworkAddress(address: string, length: number): boolean {
  if (addressFamily(address) !== 4) return false;
  return ipv4ToNumber(address) % 2 ** (32 - length) === 0;
}

/**
 * The zod schema behind the narrow {@linkcode Schema}, to compose it with others.
 *
 * @internal
 */
export function zodOf<T>(schema: Schema<T>): z.ZodType<T> {
  return schema as z.ZodType<T>;
}

/** The schema of a whole object, of its parts beside metadata. */
export function objectSchema<T extends ResourceObject>(
  parts: { [Part in Exclude<keyof T, keyof ResourceObject>]-?: Schema<T[Part]> },
): Schema<T> {
  const shape: Record<string, z.ZodType> = {
    apiVersion: z.string().optional(),
    kind: z.string().optional(),
    metadata: zodOf(objectMeta),
  };
  for (const [part, schema] of Object.entries<Schema<unknown>>(parts)) shape[part] = zodOf(schema);
  return z.object(shape) as unknown as Schema<T>;
}

function tryPrefix(text: string): Prefix | undefined {
  try {
    return parsePrefix(text);
  } catch {
    return undefined;
  }
}
