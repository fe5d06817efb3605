import {
  bind,
  type BoundRequest,
  type NetlinkConnection,
  type NetlinkRequest,
} from "../connection.ts";
import { NetlinkError } from "../errors.ts";
import { decodeKind, type LinkKind } from "../link_kinds/link_kind.ts";
import type { MessageView, Payload } from "../message.ts";
import { type BridgePort, decodeBridgePort } from "./bridge_port.ts";
import { creationRequests, type LinkSpec } from "./link_creation.ts";
import {
  type AddrGenMode,
  addrGenModeOf,
  afSpecOf,
  IFF_RUNNING,
  IFF_UP,
  type LinkAttributes,
  type LinkHeader,
  linkHeaderOf,
  linkPayload,
  RTEXT_FILTER_SKIP_STATS,
  upFlags,
} from "./link_message.ts";
import { RTM } from "./types.ts";

/** Changes to a link; what is left out stays as it is. */
export interface LinkChanges {
  /** Administrative state. */
  readonly up?: boolean | undefined;
  /** Maximum transmission unit in bytes. */
  readonly mtu?: number | undefined;
  /** Index of the bridge or VRF it belongs to; 0 for none. */
  readonly master?: number | undefined;
  /** MAC address. */
  readonly address?: string | undefined;
  /** New name, at most 15 bytes; older kernels demand that the link is down. */
  readonly name?: string | undefined;
  /** The network namespace to move it to. */
  readonly netnsFd?: number | undefined;
  /** Link group. */
  readonly group?: number | undefined;
  /** Alias, a free text; an empty one removes it. */
  readonly alias?: string | undefined;
  /** How its IPv6 link-local address is made. */
  readonly addrGenMode?: AddrGenMode | undefined;
  /** Whether a later change of its MAC is told to IPv4's neighbours, as the sysctl `arp_notify` says it. */
  readonly arpNotify?: boolean | undefined;
  /** Whether a protocol holds it down. */
  readonly protoDown?: boolean | undefined;
}

/** A link as the kernel tells it. */
export interface Link {
  /** Index, unique in its network namespace. */
  readonly index: number;
  /** Name. */
  readonly name: string;
  /** IFF_* flags. */
  readonly flags: number;
  /** Administratively up. */
  readonly up: boolean;
  /** Up in fact: administratively up with carrier. */
  readonly running: boolean;
  /** Maximum transmission unit in bytes. */
  readonly mtu: number;
  /** Link-layer address in lower case; `""` for a link without. */
  readonly mac: string;
  /** Index of the bridge or VRF it belongs to. */
  readonly master?: number | undefined;
  /** What it is; absent for loopback and hardware. */
  readonly kind?: LinkKind | undefined;
  /** Index of the link below, or of a veth's peer, in the namespace of `linkNetnsId` if that is given. */
  readonly linkIndex?: number | undefined;
  /** The local number of the namespace that `linkIndex` counts in; absent if it is this one. */
  readonly linkNetnsId?: number | undefined;
  /** Alias. */
  readonly alias?: string | undefined;
  /** Link group, 0 by default. */
  readonly group?: number | undefined;
  /** Whether a protocol holds it down. */
  readonly protoDown?: boolean | undefined;
  /** Settings as a bridge's port. */
  readonly bridgePort?: BridgePort | undefined;
  /** How its IPv6 link-local address is made. */
  readonly addrGenMode?: AddrGenMode | undefined;
}

/** Which link: by its index or its name. */
export type LinkRef = { readonly index: number } | { readonly name: string };

/**
 * Creates a link and all that belongs to it in one exchange with the kernel.
 *
 * @returns Its index, or 0 if it was created in another namespace
 * @throws {NetlinkError} If the kernel refuses; `EEXIST` if the name is taken. A link that was created but could not be set up is deleted
 *   again
 */
export function createLink(c: NetlinkConnection, spec: LinkSpec): number {
  return createToldLink(c, spec)?.index ?? 0;
}

/**
 * The same, with the link as the kernel tells it.
 *
 * @returns `undefined` if it was created in another namespace
 * @throws {NetlinkError} As {@linkcode createLink}
 */
export function createToldLink(c: NetlinkConnection, spec: LinkSpec): Link | undefined {
  const operation = `to create the link "${spec.name}"`;
  let told: Link | undefined;
  try {
    c.batch(creationRequests(spec, operation), (message) => {
      if (message.type === RTM.NEWLINK) told ??= readLink(message);
    });
  } catch (thrown) {
    if (told !== undefined) deleteLink(c, { index: told.index });
    throw thrown;
  }
  if (told !== undefined || spec.netnsFd !== undefined) return told;
  // Kernels before 6.2 do not echo links.
  return getLink(c, { name: spec.name });
}

/**
 * Changes a link.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENODEV` if there is none of that index
 */
export function setLink(c: NetlinkConnection, index: number, changes: LinkChanges): void {
  c.request(changeOf(index, changes));
}

/** The same as a request among others, see `NetlinkConnection.batch`. */
export function linkChange(index: number, changes: LinkChanges): BoundRequest {
  return bind(changeOf(index, changes));
}

function changeOf(
  index: number,
  changes: LinkChanges,
): NetlinkRequest<Payload<LinkHeader, LinkAttributes>> {
  const { up, mtu, master, address, name, netnsFd, group, alias, protoDown } = changes;
  return {
    operation: `to change the link "${index}"`,
    type: RTM.NEWLINK,
    codec: linkPayload,
    value: {
      header: linkHeaderOf({ index, ...upFlags(up) }),
      attributes: {
        address,
        name,
        mtu,
        master,
        alias,
        afSpec: afSpecOf(changes),
        group,
        netnsFd,
        protoDown: protoDown === undefined ? undefined : Number(protoDown),
      },
    },
  };
}

/**
 * Deletes a link, waiting for the kernel (milliseconds) on this thread.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENODEV` if there is none
 */
export function deleteLink(c: NetlinkConnection, link: LinkRef): void {
  c.request(deletion(link));
}

/**
 * Deletes a link while the event loop goes on.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENODEV` if there is none
 */
export async function deleteLinkAsync(c: NetlinkConnection, link: LinkRef): Promise<void> {
  await c.requestAsync(deletion(link));
}

/**
 * Deletes all links of a group at once, which waits once for all of them, while the event loop goes on.
 *
 * @param group A link group other than 0, the default of every link
 * @throws {NetlinkError} If the kernel refuses; `ENODEV` if the group is empty
 */
export async function deleteLinkGroupAsync(c: NetlinkConnection, group: number): Promise<void> {
  if (group === 0) {
    throw new TypeError('Expected a link group to delete, found "0", to which every link belongs');
  }
  await c.requestAsync({
    operation: `to delete the links of the group "${group}"`,
    type: RTM.DELLINK,
    codec: linkPayload,
    value: { header: linkHeaderOf({}), attributes: { group } },
  });
}

/**
 * Finds a link.
 *
 * @param link Which one; `netnsId` is the number that another namespace has in the connection's, see {@linkcode Link.linkNetnsId}
 * @returns `undefined` if there is none
 * @throws {NetlinkError} If the kernel refuses for another reason
 */
export function getLink(
  c: NetlinkConnection,
  link: LinkRef & { readonly netnsId?: number },
): Link | undefined {
  try {
    return c.query(lookFor(link), readLink);
  } catch (thrown) {
    if (isNoDevice(thrown)) return undefined;
    throw thrown;
  }
}

/**
 * Finds several links in one exchange.
 *
 * @returns Those that there are, in the order in which they were asked for
 * @throws {NetlinkError} If the kernel refuses for another reason than that there is none
 */
export function getLinks(c: NetlinkConnection, links: readonly LinkRef[]): Link[] {
  const found: Link[] = [];
  try {
    c.batch(links.map((link) => bind(lookFor(link))), (message) => {
      const link = readLink(message);
      if (link !== undefined) found.push(link);
    });
  } catch (thrown) {
    // The others are looked for all the same.
    if (!isNoDevice(thrown)) throw thrown;
  }
  return found;
}

function lookFor(
  link: LinkRef & { readonly netnsId?: number },
): NetlinkRequest<Payload<LinkHeader, LinkAttributes>> {
  const byName = "name" in link;
  return {
    operation: `to find the link "${byName ? link.name : link.index}"`,
    type: RTM.GETLINK,
    codec: linkPayload,
    value: {
      header: linkHeaderOf(byName ? {} : { index: link.index }),
      attributes: {
        ...byName ? { name: link.name } : {},
        extMask: RTEXT_FILTER_SKIP_STATS,
        targetNetnsId: link.netnsId,
      },
    },
  };
}

function isNoDevice(thrown: unknown): boolean {
  return thrown instanceof NetlinkError && thrown.errnoName === "ENODEV";
}

/** What links to list. */
export interface LinkFilter {
  /** Only those that belong to the bridge or VRF of this index. */
  readonly master?: number | undefined;
  /** Only those of this kind, by the kernel's name. */
  readonly kind?: string | undefined;
}

/**
 * Lists the links of the connection's network namespace.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function listLinks(c: NetlinkConnection, filter: LinkFilter = {}): Link[] {
  return c.dump({
    operation: "to list the links",
    type: RTM.GETLINK,
    codec: linkPayload,
    value: {
      header: linkHeaderOf({}),
      attributes: {
        extMask: RTEXT_FILTER_SKIP_STATS,
        master: filter.master,
        linkInfo: filter.kind === undefined ? undefined : { kind: filter.kind },
      },
    },
  }, readLink);
}

/**
 * Reads a link from an RTM_NEWLINK or RTM_DELLINK message; `undefined` for any other.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readLink(message: MessageView): Link | undefined {
  if (message.type !== RTM.NEWLINK && message.type !== RTM.DELLINK) return undefined;
  const { header, attributes } = linkPayload.read(message.view, message.start, message.end);
  const { linkInfo = {} } = attributes;
  return {
    index: header.index,
    name: attributes.name ?? "",
    flags: header.flags,
    up: (header.flags & IFF_UP) !== 0,
    running: (header.flags & IFF_RUNNING) !== 0,
    mtu: attributes.mtu ?? 0,
    mac: attributes.address ?? "",
    master: attributes.master,
    kind: decodeKind(linkInfo),
    linkIndex: attributes.link,
    linkNetnsId: attributes.linkNetnsId,
    alias: attributes.alias,
    group: attributes.group,
    protoDown: attributes.protoDown === undefined ? undefined : attributes.protoDown !== 0,
    bridgePort: linkInfo.slaveKind === "bridge" && linkInfo.slaveData !== undefined
      ? decodeBridgePort(linkInfo.slaveData)
      : undefined,
    addrGenMode: addrGenModeOf(attributes),
  };
}

function deletion(link: LinkRef): NetlinkRequest<Payload<LinkHeader, LinkAttributes>> {
  return {
    operation: `to delete the link "${"name" in link ? link.name : link.index}"`,
    type: RTM.DELLINK,
    codec: linkPayload,
    value: {
      header: linkHeaderOf("name" in link ? {} : { index: link.index }),
      attributes: "name" in link ? { name: link.name } : {},
    },
  };
}
