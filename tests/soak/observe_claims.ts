/** Looks at what is written down: objects at the API, and the journals of the nodes. */
import { z } from "zod";
import { openJournal } from "../../daemon/ipam/journal.ts";
import type { Lab, RunningNode } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { jsonOf } from "./json_of.ts";
import type { ClaimedBlock } from "./world.ts";

const condition = z.object({ type: z.string(), status: z.string() });
const metadata = z.object({ name: z.string(), uid: z.string() });
const list = z.object({
  items: z.array(z.discriminatedUnion("kind", [
    z.object({
      kind: z.literal("IPBlock"),
      metadata,
      spec: z.object({ cidr: z.string(), nodeName: z.string(), vrfTable: z.number() }),
      status: z.object({
        allocated: z.number().optional(),
        allocations: z.record(z.string(), z.string()).optional(),
        kept: z.record(z.string(), z.unknown()).optional(),
        conditions: z.array(condition).optional(),
      }).optional(),
    }),
    z.object({
      kind: z.literal("VRFDomain"),
      metadata,
      status: z.object({ conditions: z.array(condition).optional() }).optional(),
    }),
    z.object({
      kind: z.literal("VRFNodeState"),
      metadata,
      status: z.object({
        ready: z.boolean().optional(),
        domains: z.array(z.object({ name: z.string(), phase: z.string() })).optional(),
      }).optional(),
    }),
  ])),
});

/** What the API says. */
export interface ApiFacts {
  /** All blocks. */
  readonly blocks: readonly ClaimedBlock[];
  /** What it says of blocks, domains and nodes. */
  readonly facts: readonly string[];
}

/** Reads the API's objects. @throws {CommandError} When it does not answer */
export async function observeApi(lab: Lab): Promise<ApiFacts> {
  const { items } = jsonOf(await kubectl(lab, ["get", "ipb,vrd,vrns", "-o", "json"]), list);
  const blocks = items.flatMap((item): ClaimedBlock[] =>
    item.kind !== "IPBlock" ? [] : [{
      name: item.metadata.name,
      uid: item.metadata.uid,
      vrf: item.spec.vrfTable,
      cidr: item.spec.cidr,
      node: item.spec.nodeName,
    }]
  );
  const facts = items.flatMap((item): string[] => {
    const { metadata: { name }, status } = item;
    switch (item.kind) {
      case "IPBlock":
        return [
          `block ${name} allocated ${item.status?.allocated}`,
          `block ${name} ${holds("Ready", item.status) ? "Ready" : "not Ready"}`,
          ...Object.entries(item.status?.allocations ?? {})
            .map(([address, reference]) => `block ${name} ${address} ${reference}`),
          ...Object.keys(item.status?.kept ?? {}).map((address) =>
            `block ${name} keeps ${address}`
          ),
        ];
      case "VRFDomain":
        return [`domain ${name} ${holds("Ready", item.status) ? "Ready" : "not Ready"}`];
      case "VRFNodeState":
        return [
          `node ${name} ${item.status?.ready === true ? "ready" : "not ready"}`,
          ...(item.status?.domains ?? [])
            .map((domain) => `node ${name} carries ${domain.name} ${domain.phase}`),
        ];
      default:
        return [String(status)];
    }
  });
  return { blocks, facts };
}

function holds(
  type: string,
  status: { readonly conditions?: readonly z.infer<typeof condition>[] | undefined } | undefined,
): boolean {
  return status?.conditions?.some((each) => each.type === type && each.status === "True") === true;
}

/**
 * Reads a node's journal from a copy, since the daemon has locked it. A copy that a write has torn gives other facts, or an error, and the next
 * one is right.
 */
export async function observeJournal(node: RunningNode): Promise<readonly string[]> {
  const directory = await Deno.makeTempDir({ prefix: "soak-journal-" });
  try {
    const from = `/proc/${node.holder.pid}/root/run/pyroute2/journal.db`;
    const path = `${directory}/journal.db`;
    for (const part of ["", "-wal"]) await Deno.copyFile(from + part, path + part);
    const { journal } = openJournal(path);
    using opened = journal;
    return [
      ...opened.list().map((row) =>
        `journal attachment ${row.containerId}/${row.ifname} ${row.domain} ${row.state} ${row.hostIfname} ${
          row.allocations.map(({ address }) => address).join(" ")
        }`
      ),
      ...opened.blocks().map(({ name, vrf, cidr, uid, releasing }) =>
        `journal block ${name} ${vrf} ${cidr} ${uid}${releasing ? " releasing" : ""}`
      ),
      ...opened.kept().map(({ address }) => `journal keeps ${address}`),
    ];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
