/** Whether an address that someone wishes for can be given in a domain at all. Pure: no I/O, no clock. */
import { formatAddress, type IpFamily, parseAddress } from "../../lib/net/address.ts";
import type { DomainRange } from "./block_candidates.ts";
import { type BlockRange, gatewayOf, lastUsable, rangeHolds } from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { KeptAddress } from "./held_blocks.ts";
import type { Allocation, Attachment, AttachmentWish, PoolDomain, WishedAddress } from "./port.ts";

/**
 * The wished addresses by IP version, in host order; without one of a version any free address of it will do.
 *
 * @param ranges The domain's ranges
 * @param wish What is wished
 * @throws {IpamError} `AddressInvalid` if one is of a family that the domain lacks or that is wished for twice, or lies outside the
 *   domain's prefix
 */
export function wishedAddresses(
  ranges: readonly DomainRange[],
  wish: AttachmentWish,
): ReadonlyMap<IpFamily, bigint> {
  const wished = new Map<IpFamily, bigint>();
  for (const { address: text } of wish.addresses) {
    const { range, value } = rangeOfWish(ranges, text);
    const { domain, prefix } = range;
    const earlier = wished.get(prefix.family);
    if (earlier !== undefined) {
      throw invalid(
        `Expected one IPv${prefix.family} address, found "${
          formatAddress(prefix.family, earlier)
        }" and "${text}"`,
      );
    }
    if (!rangeHolds(prefix, { family: prefix.family, value })) {
      throw invalid(
        `Expected an address in the prefix "${prefix.cidr}" of the VRFDomain "${domain.name}", found "${text}"; ` +
          "choose one in it, or another domain",
      );
    }
    wished.set(prefix.family, value);
  }
  return wished;
}

function rangeOfWish(
  ranges: readonly DomainRange[],
  text: string,
): { readonly range: DomainRange; readonly value: bigint } {
  const prefixes = ranges.map(({ prefix }) => `"${prefix.cidr}"`).join(" and ");
  const wrong = (cause?: unknown) =>
    new IpamError(
      "AddressInvalid",
      `Expected addresses of the VRFDomain "${
        ranges[0]?.domain.name ?? ""
      }", which has ${prefixes} only, found "${text}"`,
      { cause },
    );
  try {
    const { family, value } = parseAddress(text);
    const range = ranges.find(({ prefix }) => prefix.family === family);
    if (range !== undefined) return { range, value };
  } catch (cause) {
    throw wrong(cause);
  }
  throw wrong();
}

/**
 * Checks that a block gives an address to pods at all.
 *
 * @throws {IpamError} `AddressInvalid` for its network, gateway and broadcast address
 */
export function checkGivable(range: BlockRange, address: bigint): void {
  const what = address === range.first
    ? "network address"
    : address === range.first + 1n
    ? "gateway"
    : address > lastUsable(range)
    ? "broadcast address"
    : undefined;
  if (what === undefined) return;
  const { family } = range;
  throw invalid(
    `Expected an address for a pod, found "${
      formatAddress(family, address)
    }", the ${what} of the block "${range.cidr}", ` +
      `which is never given; choose one behind "${gatewayOf(range)}", up to "${
        formatAddress(family, lastUsable(range))
      }"`,
  );
}

/**
 * Checks that an address has the length on the interface that it was wished with.
 *
 * @throws {IpamError} `AddressInvalid`
 */
export function checkLength(
  { address, prefixLength }: WishedAddress,
  allocations: readonly Allocation[],
): void {
  const length = allocations.find((given) => given.address === address)?.prefixLength;
  if (prefixLength === undefined || length === undefined || prefixLength === length) return;
  throw invalid(
    `Expected "${address}" with the length ${length} that its domain gives it, found "/${prefixLength}"; leave the length away`,
  );
}

/** The error for an address that another attachment of the domain has. */
export function addressTaken(
  address: string,
  domain: PoolDomain,
  rows: readonly Attachment[],
): IpamError {
  const row = rows.find(({ vrf, allocations }) =>
    vrf === domain.vrf && allocations.some((given) => given.address === address)
  );
  const leaving = row?.state === "releasing";
  return new IpamError(
    leaving ? "AddressLeaving" : "AddressInUse",
    `Expected "${address}" of the VRFDomain "${domain.name}" to be free, found it given to ${
      row === undefined ? "another" : describeHolder(row)
    }; ${leaving ? "it is being deleted, try again" : "end that first, or choose another address"}`,
  );
}

/** The error for an address that stays another pod's. */
export function addressKept(
  address: string,
  domain: PoolDomain,
  { pod, ifname, until }: KeptAddress,
): IpamError {
  const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
  return new IpamError(
    "AddressInUse",
    `Expected "${address}" of the VRFDomain "${domain.name}" to be free, found it kept for "${ifname}" of the pod "${pod}"${end}; ` +
      "choose another address",
  );
}

/**
 * Checks that no attachment of the domain on this node has a MAC address.
 *
 * @throws {IpamError} `MacInUse`
 */
export function checkMacFree(mac: string, domain: PoolDomain, rows: readonly Attachment[]): void {
  const row = rows.find((row) => row.vrf === domain.vrf && row.mac === mac);
  if (row === undefined) return;
  throw new IpamError(
    "MacInUse",
    `Expected the MAC "${mac}" to be unused in the VRFDomain "${domain.name}" on this node, found it on ${
      describeHolder(row)
    }; choose another one`,
  );
}

/** Who an attachment is, for a person who must act on it. */
function describeHolder(row: Attachment): string {
  const container = `the container "${row.containerId}" with "${row.ifname}"`;
  return row.pod === "" ? container : `the pod "${row.namespace}/${row.pod}", ${container}`;
}

function invalid(message: string): IpamError {
  return new IpamError("AddressInvalid", message);
}
