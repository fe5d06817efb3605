/** Rows of the journal's tables, parsed into types. */
import { IpamError } from "./errors.ts";
import type { Attachment } from "./port.ts";

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
    address: text(row, "address"),
    prefixLength: integer(row, "prefix_length"),
    gateway: text(row, "gateway"),
    block: text(row, "block"),
    state,
    hostIfname: text(row, "host_ifname"),
    mac: text(row, "mac"),
    netnsPath: text(row, "netns_path"),
    createdAt: integer(row, "created_at"),
  };
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
