/** Lines of FRR that no field covers: the parts of VRFNodeConfig and VRFDomain that say them. */
import { z } from "zod";
import { type ExtraContext, extraPattern } from "../../frr/extra_lines.ts";
import type { Schema } from "./kind.ts";

/** Extra lines of a node. */
export interface NodeExtraConfig {
  /** In `router bgp <asn>`. */
  readonly bgp?: readonly string[] | undefined;
  /** In its `address-family l2vpn evpn`. */
  readonly evpn?: readonly string[] | undefined;
}

/** Extra lines of a domain, on every node. */
export interface DomainExtraConfig extends NodeExtraConfig {
  /** In `address-family ipv4 unicast`. */
  readonly ipv4?: readonly string[] | undefined;
  /** In `address-family ipv6 unicast`. */
  readonly ipv6?: readonly string[] | undefined;
}

function lines(context: ExtraContext, where: string) {
  const line = z.string().max(120).regex(
    new RegExp(extraPattern(context)),
    `Expected a line that docs/bgp.md lists for "${where}", without indentation`,
  );
  return z.array(line).min(1).max(64).optional().describe(`Lines in "${where}"`);
}

/** Validates {@linkcode NodeExtraConfig}. */
export const nodeExtraConfig: Schema<NodeExtraConfig> = z.object({
  bgp: lines("bgp", "router bgp"),
  evpn: lines("evpn", "address-family l2vpn evpn"),
});

/** Validates {@linkcode DomainExtraConfig}. */
export const domainExtraConfig: Schema<DomainExtraConfig> = z.object({
  bgp: lines("vrfBgp", "router bgp vrf"),
  ipv4: lines("vrfIpv4", "address-family ipv4 unicast"),
  ipv6: lines("vrfIpv6", "address-family ipv6 unicast"),
  evpn: lines("vrfEvpn", "address-family l2vpn evpn"),
});
