/** Which links are this project's. */
import type { LinkKind } from "../../lib/netlink/link_kinds/link_kind.ts";
import type { Link } from "../../lib/netlink/rtnl/link.ts";
import { KernelError } from "./errors.ts";
import { ownerAlias } from "./names.ts";

/** Whether the link carries our alias. Only such links, and what is inside a VRF of ours, may be deleted. */
export function isOurs(link: Link): boolean {
  return link.alias === ownerAlias || link.alias?.startsWith(`${ownerAlias} `) === true;
}

/** A link that is known to be of one kind. */
export type LinkOfKind<T extends LinkKind["type"]> = Link & {
  readonly kind: Extract<LinkKind, { readonly type: T }>;
};

/** Whether the link is of the kind. */
export function isOfKind<T extends LinkKind["type"]>(
  link: Link | undefined,
  type: T,
): link is LinkOfKind<T> {
  return link?.kind?.type === type;
}

/**
 * The link if it is of the kind, undefined if there is none.
 *
 * @throws {KernelError} `NameTaken` if a link of another kind has the name: it is somebody else's and stays
 */
export function expectKind<T extends LinkKind["type"]>(
  link: Link | undefined,
  type: T,
): LinkOfKind<T> | undefined {
  if (link === undefined || isOfKind(link, type)) return link;
  const found = link.kind?.type === "generic" ? link.kind.kind : link.kind?.type ?? "other";
  throw new KernelError(
    "NameTaken",
    `Expected the name "${link.name}" to be free or a link of kind "${type}", found one of kind "${found}"; rename or delete it`,
  );
}
