/** Router ids of nodes whose VTEP address is none. */
import { numberToIpv4 } from "../../lib/net/address.ts";
import { hashOf } from "../../lib/net/hash.ts";

/** The range of derived router ids, 100.64.0.0/10: shared address space (RFC 6598), which no host of a public network has. */
const first = 0x64400000;
const bits = 22n;

/**
 * A node's router id where its VTEP is IPv6: it follows from the name, so that every node knows it of every other one. Two names may give
 * the same, which {@linkcode reachOf} tells.
 */
export function derivedRouterId(node: string): string {
  return numberToIpv4(first + Number(BigInt.asUintN(Number(bits), hashOf(`router ${node}`))));
}
