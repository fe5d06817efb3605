/** IPBlock: a node's slice of a domain's prefix. */
import { z } from "zod";
import { ipv4Network, objectSchema, zodOf } from "./fields.ts";
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

/** What is in use. */
export interface IPBlockStatus {
  /** Addresses given, the gateway included. */
  readonly allocated?: number | undefined;
  /** Usable addresses, the gateway included. */
  readonly capacity?: number | undefined;
  /** Who has which address; the bridge's own is `gateway`. */
  readonly allocations?: Readonly<Record<string, string>> | undefined;
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
  cidr: zodOf(ipv4Network).describe("CIDR of the block, e.g. 10.244.1.0/26"),
  nodeName: z.string().min(1).max(253).describe("Owner node name"),
  vrfTable: z.int().min(1).max(2 ** 31 - 1).describe("VRF number of the domain"),
});

/** Validates {@linkcode IPBlockStatus}. */
export const ipBlockStatus: Schema<IPBlockStatus> = z.object({
  allocated: z.int().min(0).optional().describe("Allocated addresses"),
  capacity: z.int().min(0).optional().describe("Total block capacity"),
  allocations: z.record(z.string(), z.string()).optional().describe("map[ip] -> reference"),
});

/** The name of the IPBlock of a network, `vrf-<vrf>-<a-b-c-d>-<len>`: the name is the claim, so it must be one per network. */
export function ipBlockName(vrf: number, cidr: string): string {
  return `vrf-${vrf}-${cidr.replaceAll(/[./]/g, "-")}`;
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
  ],
  // The name says the network and the node counts on what it holds.
  immutable: ["spec.cidr", "spec.nodeName", "spec.vrfTable"],
  schema: objectSchema<IPBlock>({
    spec: ipBlockSpec,
    status: zodOf(ipBlockStatus).optional(),
  }),
  parts: { spec: ipBlockSpec, status: ipBlockStatus },
};
