/** Checks of every value that enters FRR configuration text, so that none can break out of FRR's syntax. */

import { CodedError } from "../lib/errors.ts";
import {
  ADDRESS_BITS,
  addressFamily,
  formatAddress,
  type IpFamily,
  parseAddress,
} from "../lib/net/address.ts";
import { formatPrefix, networkOf, parsePrefix, type Prefix } from "../lib/net/prefix.ts";
import { type ExtraContext, isExtraLine } from "./extra_lines.ts";
import type {
  FrrBfd,
  FrrFilterEntry,
  FrrModel,
  FrrNeighbor,
  FrrPeerFilterEntry,
  FrrRouteFilters,
  FrrVrf,
} from "./model.ts";

/** A model that cannot be rendered. Its code is `"FrrModelInvalid"`. */
export class FrrModelError extends CodedError {
  /** Where in the model the fault is, such as `vrfs[1].rd`. */
  readonly path: string;

  /**
   * A fault at one place of a model.
   *
   * @param path Where in the model the fault is
   * @param message What was expected, what was found
   */
  constructor(path: string, message: string) {
    super("FrrModelInvalid", `${path}: ${message}`);
    this.path = path;
  }
}

const MAX_ASN = 0xffff_fffe;
const MAX_VNI = 0xff_ffff;
/** A kernel name (IFNAMSIZ less the NUL) that needs no quoting in FRR. */
const VRF_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;
/** Words that FRR's grammar takes for something else in place of a VRF name. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(["all", "default"]);
/** Words that neither end a line nor begin a comment. */
const DESCRIPTION = /^(?=.{1,80}$)[A-Za-z0-9_.,:;()/+@-]+(?: [A-Za-z0-9_.,:;()/+@-]+)*$/;
const PASSWORD = /^[!->@-~]{1,80}$/;
const INTERFACE_NAME = /^[A-Za-z][A-Za-z0-9_.@-]{0,14}$/;
const RESTART = /^(?:restart|helper|disable)$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,9})$/;

/**
 * Checks a whole model.
 *
 * @throws {FrrModelError} On the first value that FRR would not take as it is
 */
export function validateModel(model: FrrModel): void {
  requireAsn(model.asn, "asn");
  requireIpv4(model.routerId, "routerId");
  if (model.nextHop !== undefined) {
    requireIpv4(model.nextHop, "nextHop");
    requireUnicast(model.nextHop, "nextHop");
  }
  model.neighbors.forEach((neighbor, i) => validateNeighbor(neighbor, `neighbors[${i}]`));
  model.vrfs.forEach((vrf, i) => validateVrf(vrf, `vrfs[${i}]`));
  validateExtra(model.extra?.bgp, "bgp", "extra.bgp");
  validateExtra(model.extra?.evpn, "evpn", "extra.evpn");
  requireUnique(model.neighbors.map((neighbor) => neighbor.address), "neighbors", "address");
  requireUnique(model.vrfs.map((vrf) => vrf.name), "vrfs", "name");
  requireUnique(model.vrfs.map((vrf) => vrf.rd), "vrfs", "rd");
  requireUnique(
    model.vrfs.flatMap((vrf) => vrf.l3vni === undefined ? [] : [`${vrf.l3vni}`]),
    "vrfs",
    "l3vni",
  );
}

/**
 * The address as a number, most significant byte first.
 *
 * @throws {FrrModelError} When it is not an IPv4 address in dotted decimal without leading zeros
 */
export function requireIpv4(address: string, path: string): number {
  const parts = typeof address === "string" ? address.split(".") : [];
  if (parts.length !== 4 || !parts.every((part) => isDecimal(part, 255))) {
    throw new FrrModelError(path, `Expected an IPv4 address, found ${JSON.stringify(address)}`);
  }
  return parts.reduce((value, part) => value * 256 + Number(part), 0);
}

/**
 * The length of a canonical prefix, one without bits set beyond its length and in its shortest form: FRR would write it so, and its
 * running configuration would never equal the rendered one.
 *
 * @throws {FrrModelError} When it is none, or of another IP version
 */
export function requirePrefix(prefix: string, path: string, family: IpFamily): number {
  const parsed = typeof prefix === "string" ? tryPrefix(prefix) : undefined;
  if (parsed === undefined || parsed.family !== family) {
    const example = family === 4 ? "10.150.0.0/16" : "fd00:150::/48";
    throw new FrrModelError(
      path,
      `Expected an IPv${family} prefix such as "${example}", found ${JSON.stringify(prefix)}`,
    );
  }
  if (formatPrefix(networkOf(parsed)) !== prefix) {
    throw new FrrModelError(
      path,
      `Expected no host bits after /${parsed.length} and the shortest form, found "${prefix}"`,
    );
  }
  return parsed.length;
}

function tryPrefix(text: string): Prefix | undefined {
  try {
    return parsePrefix(text);
  } catch {
    return undefined;
  }
}

/**
 * Requires a unicast address that other nodes can be reached at, in the form in which FRR writes it.
 *
 * @throws {FrrModelError} When it is none
 */
export function requireUnicast(address: string, path: string): void {
  const parsed = typeof address === "string" && addressFamily(address) !== undefined
    ? parseAddress(address)
    : undefined;
  if (parsed === undefined || formatAddress(parsed.family, parsed.value) !== address) {
    throw new FrrModelError(
      path,
      `Expected an IPv4 or IPv6 address in its shortest form, found ${JSON.stringify(address)}`,
    );
  }
  if (!isUnicast(parsed)) {
    throw new FrrModelError(path, `Expected a unicast address, found "${address}"`);
  }
}

/** Global or unique local: a link-local IPv6 address means nothing without its link, and no peer is this host or an IPv4 one. */
function isUnicast({ family, value }: { family: IpFamily; value: bigint }): boolean {
  if (family === 4) return value >= 1n << 24n && value < 224n << 24n;
  const linkLocal = value >> 118n === 0xfe80n >> 6n;
  return value >> 96n !== 0n && value >> 120n !== 0xffn && !linkLocal;
}

/**
 * Checks a peer.
 *
 * @throws {FrrModelError} On the first value that FRR would not take as it is
 */
export function validateNeighbor(neighbor: FrrNeighbor, path: string): void {
  requireUnicast(neighbor.address, `${path}.address`);
  if (neighbor.remoteAs !== "internal") requireAsn(neighbor.remoteAs, `${path}.remoteAs`);
  const { description, bfd, timers, connectRetry, ebgpMultihop, updateSource, allowAsIn } =
    neighbor;
  if (description !== undefined) {
    requirePattern(description, DESCRIPTION, `${path}.description`, "a line of plain words");
  }
  for (const direction of ["in", "out"] as const) {
    neighbor.filters?.[direction]?.forEach((entry, i) =>
      validatePeerEntry(entry, `${path}.filters.${direction}[${i}]`)
    );
  }
  if (neighbor.password !== undefined) validatePassword(neighbor.password, `${path}.password`);
  if (bfd !== undefined) validateBfd(bfd, `${path}.bfd`);
  if (timers !== undefined) {
    requireInteger(timers.hold, 3, 65_535, `${path}.timers.hold`);
    const most = Math.floor(timers.hold / 3);
    requireInteger(timers.keepalive, 1, most, `${path}.timers.keepalive`);
  }
  if (connectRetry !== undefined) requireInteger(connectRetry, 1, 65_535, `${path}.connectRetry`);
  if (ebgpMultihop !== undefined) requireInteger(ebgpMultihop, 2, 255, `${path}.ebgpMultihop`);
  if (updateSource !== undefined) validateSource(updateSource, `${path}.updateSource`);
  if (allowAsIn !== undefined) requireInteger(allowAsIn, 1, 10, `${path}.allowAsIn`);
  if (neighbor.gracefulRestart !== undefined) {
    const { gracefulRestart } = neighbor;
    const at = `${path}.gracefulRestart`;
    requirePattern(gracefulRestart, RESTART, at, '"restart", "helper" or "disable"');
  }
}

function validatePeerEntry({ routeType, vni, action }: FrrPeerFilterEntry, path: string): void {
  if (routeType !== undefined) {
    const types = '"macip", "multicast" or "prefix"';
    requirePattern(routeType, /^(?:macip|multicast|prefix)$/, `${path}.routeType`, types);
  }
  if (vni !== undefined) requireInteger(vni, 1, MAX_VNI, `${path}.vni`);
  requirePattern(action, /^(?:permit|deny)$/, `${path}.action`, '"permit" or "deny"');
}

/** Whether FRR and the kernel take a password: TCP_MD5SIG_MAXKEYLEN (include/uapi/linux/tcp.h), and no vtysh help. */
export function isPassword(text: string): boolean {
  return typeof text === "string" && PASSWORD.test(text);
}

/** The password itself is in no message. */
function validatePassword(password: string, path: string): void {
  if (isPassword(password)) return;
  throw new FrrModelError(
    path,
    'Expected 1 to 80 printable ASCII characters without blanks and "?", found another password',
  );
}

function validateBfd(bfd: FrrBfd, path: string): void {
  const { detectMultiplier, receiveInterval, transmitInterval } = bfd;
  if (detectMultiplier !== undefined) {
    requireInteger(detectMultiplier, 2, 255, `${path}.detectMultiplier`);
  }
  for (const [name, value] of Object.entries({ receiveInterval, transmitInterval })) {
    if (value !== undefined) requireInteger(value, 10, 60_000, `${path}.${name}`);
  }
}

/** FRR takes what is no address for the name of an interface. */
function validateSource(source: string, path: string): void {
  if (typeof source === "string" && addressFamily(source) !== undefined) {
    requireUnicast(source, path);
  } else requirePattern(source, INTERFACE_NAME, path, "an IP address or the name of an interface");
}

function requirePattern(text: string, pattern: RegExp, path: string, what: string): void {
  if (typeof text === "string" && pattern.test(text)) return;
  throw new FrrModelError(path, `Expected ${what}, found ${JSON.stringify(text)}`);
}

function validateVrf(vrf: FrrVrf, path: string): void {
  if (typeof vrf.name !== "string" || !VRF_NAME.test(vrf.name) || RESERVED_NAMES.has(vrf.name)) {
    throw new FrrModelError(
      `${path}.name`,
      `Expected a VRF name of at most 15 letters, digits, "-", "_" or ".", found ${
        JSON.stringify(vrf.name)
      }`,
    );
  }
  if (vrf.l3vni !== undefined) requireInteger(vrf.l3vni, 1, MAX_VNI, `${path}.l3vni`);
  requireAdministered(vrf.rd, `${path}.rd`);
  requireIpv4(vrf.routerId, `${path}.routerId`);
  if (vrf.prefix === undefined && vrf.prefix6 === undefined) {
    throw new FrrModelError(`${path}.prefix`, "Expected an IPv4 or IPv6 prefix, found none");
  }
  if (vrf.prefix !== undefined) requirePrefix(vrf.prefix, `${path}.prefix`, 4);
  if (vrf.prefix6 !== undefined) requirePrefix(vrf.prefix6, `${path}.prefix6`, 6);
  if (vrf.filters !== undefined) validateFilters(vrf.filters, `${path}.filters`);
  validateExtra(vrf.extra?.bgp, "vrfBgp", `${path}.extra.bgp`);
  validateExtra(vrf.extra?.ipv4, "vrfIpv4", `${path}.extra.ipv4`);
  validateExtra(vrf.extra?.ipv6, "vrfIpv6", `${path}.extra.ipv6`);
  validateExtra(vrf.extra?.evpn, "vrfEvpn", `${path}.extra.evpn`);
  for (const direction of ["import", "export"] as const) {
    vrf.routeTargets[direction].forEach((target, i) =>
      requireAdministered(target, `${path}.routeTargets.${direction}[${i}]`)
    );
    requireUnique(vrf.routeTargets[direction], `${path}.routeTargets`, direction);
  }
}

function validateExtra(
  lines: readonly string[] | undefined,
  context: ExtraContext,
  path: string,
): void {
  lines?.forEach((line, i) => {
    if (typeof line === "string" && isExtraLine(context, line)) return;
    throw new FrrModelError(
      `${path}[${i}]`,
      `Expected one of the lines that may be added there, found ${JSON.stringify(line)}`,
    );
  });
}

function validateFilters(filters: FrrRouteFilters, path: string): void {
  for (const direction of ["import", "export"] as const) {
    filters[direction]?.forEach((entry, i) => validateEntry(entry, `${path}.${direction}[${i}]`));
  }
}

function validateEntry({ prefix, ge, le, action }: FrrFilterEntry, path: string): void {
  const family = typeof prefix === "string" && prefix.includes(":") ? 6 : 4;
  const length = requirePrefix(prefix, `${path}.prefix`, family);
  const longest = ADDRESS_BITS[family];
  if (ge !== undefined) requireInteger(ge, length + 1, longest, `${path}.ge`);
  if (le !== undefined) requireInteger(le, ge ?? length + 1, longest, `${path}.le`);
  requirePattern(action, /^(?:permit|deny)$/, `${path}.action`, '"permit" or "deny"');
}

/** A route distinguisher or target (RFC 4364, RFC 5668): the wider its administrator, the narrower its number. */
function requireAdministered(value: string, path: string): void {
  const [administrator, number, ...rest] = typeof value === "string" ? value.split(":") : [];
  if (administrator === undefined || number === undefined || rest.length > 0) {
    throw new FrrModelError(
      path,
      `Expected "<ASN or IPv4 address>:<number>", found ${JSON.stringify(value)}`,
    );
  }
  const isAddress = administrator.includes(".");
  if (isAddress) requireIpv4(administrator, path);
  else if (!isDecimal(administrator, MAX_ASN)) {
    throw new FrrModelError(path, `Expected an autonomous system number, found "${administrator}"`);
  }
  const limit = isAddress || Number(administrator) > 0xffff ? 0xffff : 0xffff_ffff;
  if (!isDecimal(number, limit)) {
    throw new FrrModelError(path, `Expected a number up to ${limit} after ":", found "${number}"`);
  }
}

function requireAsn(asn: number, path: string): void {
  requireInteger(asn, 1, MAX_ASN, path);
}

function requireInteger(value: number, least: number, most: number, path: string): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new FrrModelError(
      path,
      `Expected a whole number from ${least} to ${most}, found ${JSON.stringify(value)}`,
    );
  }
}

function requireUnique(values: readonly string[], path: string, what: string): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) {
      throw new FrrModelError(path, `Expected each ${what} once, found "${value}" twice`);
    }
    seen.add(value);
  }
}

function isDecimal(text: string, most: number): boolean {
  return DECIMAL.test(text) && Number(text) <= most;
}
