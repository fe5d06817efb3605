import { bind, type BoundRequest, type NetlinkRequest } from "../connection.ts";
import { encodeKind, type LinkKind } from "../link_kinds/link_kind.ts";
import { NLM_F, type Payload } from "../message.ts";
import { type BridgePort, encodeBridgePort } from "./bridge_port.ts";
import {
  type AddrGenMode,
  afSpecOf,
  type LinkAttributes,
  type LinkHeader,
  linkHeaderOf,
  linkPayload,
  upFlags,
} from "./link_message.ts";
import { RTM } from "./types.ts";

/** A link to be created; what is left out gets the kernel's default. */
export interface LinkSpec {
  /** Name, at most 15 bytes. */
  readonly name: string;
  /** What it is. */
  readonly kind: LinkKind;
  /** Maximum transmission unit in bytes. */
  readonly mtu?: number | undefined;
  /** MAC address. */
  readonly address?: string | undefined;
  /** Index of the bridge or VRF it belongs to. */
  readonly master?: number | undefined;
  /** Settings as a port of the bridge `master`. */
  readonly bridgePort?: BridgePort | undefined;
  /** Whether it is up from the start. */
  readonly up?: boolean | undefined;
  /** The network namespace it is put into; the connection's own by default. */
  readonly netnsFd?: number | undefined;
  /** Link group. */
  readonly group?: number | undefined;
  /** Alias, a free text of at most 255 bytes. */
  readonly alias?: string | undefined;
  /** How its IPv6 link-local address is made; set before the link comes up. */
  readonly addrGenMode?: AddrGenMode | undefined;
}

/**
 * The requests that create a link and set it up, to be sent in one datagram. The kernel echoes the first with the link's index.
 *
 * @param operation What they do, as a phrase for error messages
 * @throws {NetlinkEncodeError | AddressError} If a value does not fit
 * @throws {TypeError} If settings are asked for that can only be made in the namespace that the link goes to
 */
export function creationRequests(spec: LinkSpec, operation: string): BoundRequest[] {
  const settings = settingsAfterCreation(spec, operation);
  const upAtOnce = spec.up === true && settings.length === 0;
  const create = bind({
    operation,
    type: RTM.NEWLINK,
    flags: NLM_F.CREATE | NLM_F.EXCL | NLM_F.ECHO,
    codec: linkPayload,
    value: creation(spec, upAtOnce),
  });
  return [create, ...settings];
}

function creation(spec: LinkSpec, up: boolean): Payload<LinkHeader, LinkAttributes> {
  const { name, address, master, netnsFd, group } = spec;
  // A bridge whose MTU is given here, not changed later, follows the smallest of its ports instead of keeping it.
  const mtu = hasLateMtu(spec) ? undefined : spec.mtu;
  return {
    header: linkHeaderOf(upFlags(up || undefined)),
    attributes: {
      name,
      address,
      mtu,
      master,
      group,
      netnsFd,
      linkInfo: encodeKind(spec.kind),
    },
  };
}

/**
 * What the kernel ignores while it creates a link goes into messages of its own behind it, in the same datagram. They name the link,
 * since its index is not known yet, and the one that brings it up comes last.
 */
function settingsAfterCreation(spec: LinkSpec, operation: string): BoundRequest[] {
  const { name, bridgePort, addrGenMode, alias, up } = spec;
  const mtu = hasLateMtu(spec) ? spec.mtu : undefined;
  if ([bridgePort, addrGenMode, alias, mtu].every((value) => value === undefined)) return [];
  if (spec.netnsFd !== undefined) {
    throw new TypeError(
      `Expected none of "bridgePort", "addrGenMode" and "alias" for the link "${name}", which is created in another namespace; set them there`,
    );
  }
  const change = (
    attributes: LinkAttributes,
    header: Partial<LinkHeader> = {},
  ): NetlinkRequest<Payload<LinkHeader, LinkAttributes>> => ({
    operation,
    type: RTM.NEWLINK,
    codec: linkPayload,
    value: { header: linkHeaderOf(header), attributes: { name, ...attributes } },
  });
  const linkInfo = bridgePort === undefined ? undefined : {
    slaveKind: "bridge",
    slaveData: encodeBridgePort(bridgePort),
  };
  const requests = [bind(change({ mtu, alias, linkInfo, afSpec: afSpecOf({ addrGenMode }) }))];
  if (up === true) requests.push(bind(change({}, upFlags(true))));
  return requests;
}

function hasLateMtu(spec: LinkSpec): boolean {
  return spec.kind.type === "bridge" && spec.netnsFd === undefined;
}
