/** Field types that several resources share. They stay inside this folder: others see whole objects. */
import { z } from "zod";
import { addressFamily, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { formatPrefix, networkOf, parsePrefix, type Prefix } from "../../lib/net/prefix.ts";
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

/**
 * Validates an IPv6 address in the form of RFC 5952, so that one address has one text. IPv4 addresses in IPv6 form are none (RFC 4291,
 * section 2.5.5): API servers refuse them.
 */
export const ipv6Address: Schema<string> = withRules(z.string().max(39), [{
  cel: "isIP(self) && ip(self).family() == 6 && string(ip(self)) == self",
  holds: (text) => addressFamily(text) === 6 && canonical(text) === text && !text.includes("."),
  message: 'Expected an IPv6 address in its shortest form, such as "2001:db8::1"',
}]);

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

/** Validates a network: a prefix without host bits, in the form of RFC 5952 where it is IPv6. */
export const ipNetwork: Schema<string> = withRules(z.string().max(43), [{
  cel: "isCIDR(self) && string(cidr(self).masked()) == self",
  holds: (text) => {
    const prefix = tryPrefix(text);
    return prefix !== undefined && formatPrefix(networkOf(prefix)) === text &&
      !(prefix.family === 6 && text.includes("."));
  },
  message: 'Expected a network without host bits, such as "10.244.1.0/26" or "fd00:244:0:1::/64"',
}]);

/**
 * Validates a route target in one of its three forms (RFC 4360, RFC 5668): the longer its administrator, the shorter its
 * number. Only the form that FRR shows is taken, else the running configuration would never equal the desired one.
 */
export const routeTarget: Schema<string> = withRules(
  z.string().max(26).regex(/^([1-9][0-9]{0,9}|[0-9]{1,3}([.][0-9]{1,3}){3}):(0|[1-9][0-9]{0,9})$/),
  [{
    cel: "self.contains('.') ? isIP(self.split(':')[0]) && int(self.split(':')[1]) <= 65535 : " +
      "int(self.split(':')[0]) <= 65535 ? int(self.split(':')[1]) <= 4294967295 : " +
      "int(self.split(':')[0]) <= 4294967294 && int(self.split(':')[1]) <= 65535",
    holds: isRouteTarget,
    message: 'Expected a route target such as "65000:200", "4200000000:200" or "192.0.2.1:200"',
  }],
);

/** Whether a route target's parts are within their bounds; its form is checked elsewhere. */
export function isRouteTarget(text: string): boolean {
  const [administrator = "", number = ""] = text.split(":");
  const isAddress = administrator.includes(".");
  if (isAddress && addressFamily(administrator) !== 4) return false;
  const long = isAddress || Number(administrator) > 0xffff;
  return (isAddress || Number(administrator) <= 0xffff_fffe) &&
    Number(number) <= (long ? 0xffff : 0xffff_ffff);
}

/** Validates the name of a network interface (IFNAMSIZ and the rules of `dev_valid_name`). */
export const interfaceName: Schema<string> = withRules(
  z.string().min(1).max(15).regex(/^[^\s/:]+$/),
  [{
    cel: "self != '.' && self != '..'",
    holds: (text) => text !== "." && text !== "..",
    message: 'Expected the name of an interface such as "eth0"',
  }],
);

/** Whether an address has no bits set beyond a prefix length. */
export function isNetworkAddress(address: string, length: number): boolean {
  const prefix = tryPrefix(`${address}/${length}`);
  return prefix !== undefined && networkOf(prefix).address === prefix.address;
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

function canonical(address: string): string {
  const { family, value } = parseAddress(address);
  return formatAddress(family, value);
}
