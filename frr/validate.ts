/** Checks of every value that enters FRR configuration text, so that none can break out of FRR's syntax. */

import { CodedError } from "../lib/errors.ts";
import type { FrrModel, FrrNeighbor, FrrVrf } from "./model.ts";

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
const DECIMAL = /^(?:0|[1-9][0-9]{0,9})$/;

/**
 * Checks a whole model.
 *
 * @throws {FrrModelError} On the first value that FRR would not take as it is
 */
export function validateModel(model: FrrModel): void {
  requireAsn(model.asn, "asn");
  requireIpv4(model.routerId, "routerId");
  model.neighbors.forEach((neighbor, i) => validateNeighbor(neighbor, `neighbors[${i}]`));
  model.vrfs.forEach((vrf, i) => validateVrf(vrf, `vrfs[${i}]`));
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
 * The length of a canonical IPv4 prefix, one without bits set beyond its length: FRR would clear them and its
 * running configuration would never equal the rendered one.
 *
 * @throws {FrrModelError} When it is none
 */
export function requirePrefix(prefix: string, path: string): number {
  const [address, length, ...rest] = typeof prefix === "string" ? prefix.split("/") : [];
  if (address === undefined || length === undefined || rest.length > 0 || !isDecimal(length, 32)) {
    throw new FrrModelError(
      path,
      `Expected an IPv4 prefix such as "10.150.0.0/16", found ${JSON.stringify(prefix)}`,
    );
  }
  const size = 2 ** (32 - Number(length));
  if (requireIpv4(address, path) % size !== 0) {
    throw new FrrModelError(path, `Expected no host bits after /${length}, found "${prefix}"`);
  }
  return Number(length);
}

function validateNeighbor(neighbor: FrrNeighbor, path: string): void {
  const value = requireIpv4(neighbor.address, `${path}.address`);
  const firstByte = Math.floor(value / 2 ** 24);
  if (firstByte === 0 || firstByte >= 224) {
    throw new FrrModelError(
      `${path}.address`,
      `Expected a unicast address, found "${neighbor.address}"`,
    );
  }
  if (neighbor.remoteAs !== "internal") requireAsn(neighbor.remoteAs, `${path}.remoteAs`);
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
  requirePrefix(vrf.prefix, `${path}.prefix`);
  for (const direction of ["import", "export"] as const) {
    vrf.routeTargets[direction].forEach((target, i) =>
      requireAdministered(target, `${path}.routeTargets.${direction}[${i}]`)
    );
    requireUnique(vrf.routeTargets[direction], `${path}.routeTargets`, direction);
  }
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
