/** IPBlock: a node's slice of a domain's prefix. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { expandIpv6 } from "../../lib/net/address.ts";
import { ipNetwork, objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** What is claimed. */
export interface IPBlockSpec {
  /** The slice. */
  readonly cidr: string;
  /** The node that holds it. */
  readonly nodeName: string;
  /** The domain's VRF number (not its routing table, whatever the name says). */
  readonly vrfTable: number;
}

/** An address that stays a pod's over restarts. */
export interface KeptAddressStatus {
  /** The pod, `namespace/name`. */
  readonly pod: string;
  /** Its interface. */
  readonly interface: string;
  /** How long it is kept after the pod has gone, in seconds. */
  readonly seconds: number;
  /** When it is free again, RFC 3339; absent while the pod has it. */
  readonly until?: string | undefined;
}

/** What is in use. */
export interface IPBlockStatus {
  /** Addresses given, the gateway included. */
  readonly allocated?: number | undefined;
  /** Usable addresses, the gateway included; of more than 2^53 - 1 only so many. */
  readonly capacity?: number | undefined;
  /** Who has which address; the bridge's own is `gateway`. */
  readonly allocations?: Readonly<Record<string, string>> | undefined;
  /** Addresses that stay a pod's over restarts; one that the pod does not have now is `kept` in the allocations. */
  readonly kept?: Readonly<Record<string, KeptAddressStatus>> | undefined;
  /**
   * How often a node took the block up that did not know it as its own, as after a reboot. It gives the object a new version, so that
   * a deletion that is still on its way from before is refused.
   */
  readonly epoch?: number | undefined;
  /** `Ready` and `Unique` by the node that holds it; `Accepted` where it claims nothing. */
  readonly conditions?: readonly Condition[] | undefined;
}

/** A node's slice of a domain's prefix. */
export interface IPBlock extends ResourceObject {
  /** What is claimed. */
  readonly spec: IPBlockSpec;
  /** What is in use. */
  readonly status?: IPBlockStatus | undefined;
}

/** Validates {@linkcode IPBlockSpec}. */
export const ipBlockSpec: Schema<IPBlockSpec> = z.object({
  cidr: zodOf(ipNetwork).describe("CIDR of the block, e.g. 10.244.1.0/26 or fd00:244:0:1::/64"),
  nodeName: z.string().min(1).max(253).describe("Owner node name"),
  vrfTable: z.int().min(1).max(2 ** 31 - 1).describe("VRF number of the domain"),
});

const keptAddress: z.ZodType<KeptAddressStatus> = z.object({
  pod: z.string().max(317).describe("Pod, namespace/name"),
  interface: z.string().max(15).describe("Interface of the pod"),
  seconds: z.int().min(0).describe("How long it is kept after the pod has gone, in seconds"),
  until: z.string().max(64).optional().describe("When it is free again; absent while in use"),
});

/** Validates {@linkcode IPBlockStatus}. */
export const ipBlockStatus: Schema<IPBlockStatus> = z.object({
  allocated: z.int().min(0).optional().describe("Allocated addresses"),
  capacity: z.int().min(0).optional().describe("Total block capacity"),
  allocations: z.record(z.string(), z.string()).optional().describe("map[ip] -> reference"),
  kept: z.record(z.string(), keptAddress).optional().describe(
    "map[ip] -> pod that the address stays for over restarts",
  ),
  epoch: z.int().min(0).optional().describe(
    "How often the node took the block up without knowing it, as after a reboot; each time deletions from before are refused",
  ),
  conditions: zodOf(conditions).optional(),
});

/**
 * The name of the IPBlock of a network, `vrf-<vrf>-<a-b-c-d>-<len>`, or for IPv6 with eight groups of four digits,
 * `vrf-<vrf>-fd00-0150-0000-…-<len>`: the name is the claim, so it must be one per network.
 *
 * @throws {AddressError} `InvalidAddress` if the network is neither
 */
export function ipBlockName(vrf: number, cidr: string): string {
  const [address = "", length = ""] = cidr.split("/");
  const spelled = address.includes(":") ? expandIpv6(address) : address;
  return `vrf-${vrf}-${spelled.replaceAll(/[.:]/g, "-")}-${length}`;
}

/** The kind IPBlock. */
export const ipBlockKind: ResourceKind<IPBlock> = {
  group: "ipam.pyroute2.org",
  version: "v1alpha1",
  kind: "IPBlock",
  plural: "ipblocks",
  singular: "ipblock",
  shortNames: ["ipb"],
  description: "A node's slice of a domain's prefix. Nodes claim and release these by themselves.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "CIDR", type: "string", jsonPath: ".spec.cidr" },
    { name: "Node", type: "string", jsonPath: ".spec.nodeName" },
    { name: "VRF", type: "integer", jsonPath: ".spec.vrfTable" },
    { name: "Allocated", type: "integer", jsonPath: ".status.allocated" },
    { name: "Capacity", type: "integer", jsonPath: ".status.capacity" },
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  // The name says the network and the node counts on what it holds.
  immutable: ["spec.cidr", "spec.nodeName", "spec.vrfTable"],
  schema: objectSchema<IPBlock>({
    spec: ipBlockSpec,
    status: zodOf(ipBlockStatus).optional(),
  }),
  parts: { spec: ipBlockSpec, status: ipBlockStatus },
};
