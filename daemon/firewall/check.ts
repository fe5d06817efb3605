/** Checks of every value that enters nft's JSON, so that none is taken for something else than it is. */
import { CodedError } from "../../lib/errors.ts";
import { addressFamily } from "../../lib/net/address.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";

/** A model that cannot be rendered. Its code is `FirewallModelInvalid`. */
export class FirewallModelError extends CodedError {
  /**
   * A fault at one place of a model.
   *
   * @param path Where in the model the fault is, such as `vrfs[1].blocks[0]`
   * @param message What was expected, what was found
   */
  constructor(path: string, message: string) {
    super("FirewallModelInvalid", `${path}: ${message}`);
  }
}

/** nft takes a text that begins with "@" for a set, and one that ends with "*" for all names that begin so. */
const linkName = /^(?![.]{1,2}$)(?!@)[^\s/:"\\*\p{C}]{1,15}$/u;

/**
 * Checks the model of the host's table.
 *
 * @throws {FirewallModelError} On the first value that nft would take for something else
 */
export function validateFirewall(model: FirewallModel): void {
  model.outward.forEach((name, at) => requireLink(name, `outward[${at}]`));
  requireBits(model.markMask, "markMask");
  model.vrfs.forEach((vrf, at) => validateVrf(vrf, `vrfs[${at}]`));
}

function validateVrf(vrf: FirewallVrf, path: string): void {
  requireBits(vrf.mark, `${path}.mark`);
  vrf.ingress.forEach((name, at) => requireLink(name, `${path}.ingress[${at}]`));
  for (const list of ["prefixes", "blocks", "neighbors"] as const) {
    vrf[list].forEach((cidr, at) => requirePrefix(cidr, `${path}.${list}[${at}]`));
  }
}

/**
 * Checks the model of a VRF's own table.
 *
 * @throws {FirewallModelError} On the first value that nft would take for something else
 */
export function validateVrfFirewall(
  { hostLink, hostPrefixes, gateways }: {
    readonly hostLink: string;
    readonly hostPrefixes: readonly string[];
    readonly gateways: readonly string[];
  },
): void {
  requireLink(hostLink, "hostLink");
  hostPrefixes.forEach((cidr, at) => requirePrefix(cidr, `hostPrefixes[${at}]`));
  gateways.forEach((address, at) => {
    if (typeof address === "string" && addressFamily(address) !== undefined) return;
    throw found(`gateways[${at}]`, "an IP address", address);
  });
}

function requireLink(name: string, path: string): void {
  if (typeof name === "string" && linkName.test(name)) return;
  throw found(
    path,
    'the name of a link without blanks, quotes, "\\", "*" and a leading "@"; give the link another name',
    name,
  );
}

function requirePrefix(cidr: string, path: string): void {
  try {
    parsePrefix(cidr);
  } catch {
    throw found(path, "a prefix such as 10.150.0.0/16", cidr);
  }
}

function requireBits(value: number, path: string): void {
  if (Number.isInteger(value) && value >= 1 && value <= 0xffff_ffff) return;
  throw found(path, "a whole number from 1 to 4294967295", value);
}

function found(path: string, expected: string, value: unknown): FirewallModelError {
  const text = JSON.stringify(value) ?? "nothing";
  return new FirewallModelError(path, `Expected ${expected}, found ${text.slice(0, 200)}`);
}
