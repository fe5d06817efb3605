/** Rows of the journal's tables, parsed into types. */
import { addressFamily } from "../../lib/net/address.ts";
import { IpamError } from "./errors.ts";
import type { KeptAddress } from "./held_blocks.ts";
import type { Allocation, Attachment } from "./port.ts";

/** A block that this node holds, as the journal knows it. */
export interface BlockRecord {
  /** Name of the IPBlock object. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** CIDR. */
  readonly cidr: string;
  /** UID of the IPBlock object. */
  readonly uid: string;
  /** Whether its deletion has begun: nothing is given from it any more. */
  readonly releasing: boolean;
}

/** An address that is kept, as the journal knows it. */
export interface KeptRecord extends KeptAddress {
  /** VRF number. */
  readonly vrf: number;
  /** The address. */
  readonly address: string;
}

/** A row as SQLite gives it. */
export type Row = Readonly<Record<string, unknown>>;

const states: readonly Attachment["state"][] = ["reserved", "attached", "releasing"];

/**
 * Parses a row of the table `attachments`.
 *
 * @throws {IpamError} `JournalCorrupt` if a column is missing or of another type
 */
export function parseAttachmentRow(row: Row): Attachment {
  const state = states.find((known) => known === row["state"]);
  if (state === undefined) throw badColumn("state", row["state"]);
  return {
    network: text(row, "network"),
    containerId: text(row, "container_id"),
    ifname: text(row, "ifname"),
    namespace: text(row, "namespace"),
    pod: text(row, "pod"),
    podUid: text(row, "pod_uid"),
    domain: text(row, "domain"),
    vrf: integer(row, "vrf"),
    allocations: ["", "6"].flatMap((suffix) => allocationOf(row, suffix)),
    state,
    hostIfname: text(row, "host_ifname"),
    mac: text(row, "mac"),
    netnsPath: text(row, "netns_path"),
    createdAt: integer(row, "created_at"),
  };
}

/** An attachment as columns of the table `attachments`. */
export function columnsOf(row: Attachment): Readonly<Record<string, string | number>> {
  const addresses = row.allocations.flatMap((allocation): [string, string | number][] => {
    const suffix = addressFamily(allocation.address) === 6 ? "6" : "";
    return [
      [`address${suffix}`, allocation.address],
      [`prefix_length${suffix}`, allocation.prefixLength],
      [`gateway${suffix}`, allocation.gateway],
      [`block${suffix}`, allocation.block],
    ];
  });
  return {
    network: row.network,
    container_id: row.containerId,
    ifname: row.ifname,
    namespace: row.namespace,
    pod: row.pod,
    pod_uid: row.podUid,
    domain: row.domain,
    vrf: row.vrf,
    ...Object.fromEntries(addresses),
    state: row.state,
    host_ifname: row.hostIfname,
    mac: row.mac,
    netns_path: row.netnsPath,
    created_at: row.createdAt,
  };
}

/** The address of one IP version, if the row has one. */
function allocationOf(row: Row, suffix: string): Allocation[] {
  if (row[`address${suffix}`] === null) return [];
  return [{
    address: text(row, `address${suffix}`),
    prefixLength: integer(row, `prefix_length${suffix}`),
    gateway: text(row, `gateway${suffix}`),
    block: text(row, `block${suffix}`),
  }];
}

/**
 * Parses a row of the table `blocks`.
 *
 * @throws {IpamError} `JournalCorrupt` if a column is missing or of another type
 */
export function parseBlockRow(row: Row): BlockRecord {
  return {
    name: text(row, "name"),
    vrf: integer(row, "vrf"),
    cidr: text(row, "cidr"),
    uid: text(row, "uid"),
    releasing: integer(row, "releasing") === 1,
  };
}

/**
 * Parses a row of the table `kept`.
 *
 * @throws {IpamError} `JournalCorrupt` if a column is missing or of another type
 */
export function parseKeptRow(row: Row): KeptRecord {
  return {
    vrf: integer(row, "vrf"),
    address: text(row, "address"),
    pod: text(row, "pod"),
    ifname: text(row, "ifname"),
    seconds: integer(row, "seconds"),
    until: row["until"] === null ? undefined : integer(row, "until"),
  };
}

function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw badColumn(column, value);
  return value;
}

function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw badColumn(column, value);
  return value;
}

function badColumn(column: string, value: unknown): IpamError {
  return new IpamError(
    "JournalCorrupt",
    `Expected a value for the journal's column "${column}", found "${value}"; move the journal aside`,
  );
}
