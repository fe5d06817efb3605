/** What a node knows of its containers' attachments: in the daemon's journal, in the kernel and in the API. */
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import type { Lab, RunningNode } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { ipJson } from "../lab/pods.ts";
import { podNamespaceDirectory } from "./containerd.ts";

/** A row of the daemon's journal. */
export interface AttachmentRow {
  /** The container's id as the plugin was told. */
  readonly container_id: string;
  /** Name of the domain. */
  readonly domain: string;
  /** Kubernetes namespace; empty for a container that is no pod. */
  readonly namespace: string;
  /** Name of the pod. */
  readonly pod: string;
  /** The address, without a length. */
  readonly address: string;
  /** Gateway of its block. */
  readonly gateway: string;
  /** CIDR of its block. */
  readonly block: string;
  /** `reserved`, `attached` or `releasing`. */
  readonly state: string;
  /** Name of the veth's end on the node. */
  readonly host_ifname: string;
}

const rowSchema: z.ZodType<AttachmentRow> = z.object({
  container_id: z.string(),
  domain: z.string(),
  namespace: z.string(),
  pod: z.string(),
  address: z.string(),
  gateway: z.string(),
  block: z.string(),
  state: z.string(),
  host_ifname: z.string(),
});

/** The rows of the daemon's journal. The daemon has it for itself alone, so what is read is a copy. */
export function attachmentRows(lab: Lab, node: RunningNode): AttachmentRow[] {
  const original = `/proc/${node.holder.pid}/root/run/pyroute2/journal.db`;
  const copy = `${lab.directory}/journal.db`;
  for (const suffix of ["-wal", ""]) Deno.copyFileSync(original + suffix, copy + suffix);
  using database = new DatabaseSync(copy);
  return z.array(rowSchema).parse(
    database.prepare("SELECT * FROM attachments ORDER BY container_id").all(),
  );
}

const blocksSchema = z.object({
  items: z.array(z.object({
    spec: z.object({ nodeName: z.string() }),
    status: z.object({ allocations: z.record(z.string(), z.string()).default({}) }).prefault({}),
  })),
});

/** The addresses that the API shows as given on a node, apart from the gateways: address → reference. */
export async function allocations(lab: Lab, node: RunningNode): Promise<Record<string, string>> {
  const { items } = blocksSchema.parse(
    JSON.parse(await kubectl(lab, ["get", "ipblocks", "-o", "json"])),
  );
  const all = items.filter(({ spec }) => spec.nodeName === node.name).flatMap(({ status }) =>
    Object.entries(status.allocations)
  );
  return Object.fromEntries(all.filter(([, reference]) => reference !== "gateway"));
}

const linksSchema = z.array(z.object({ ifname: z.string().optional() }));

/** Names of the pods' veths that stand on a node, in whatever namespace its VRFs are. */
export async function podVeths(node: RunningNode): Promise<string[]> {
  const listed = await node.holder.run(["ip", "netns", "list"]);
  const names = listed.split("\n").filter(Boolean).map((line) => line.split(" ")[0] ?? "");
  const found: string[] = [];
  for (const place of [[], ...names.map((name) => ["-n", name])]) {
    const links = linksSchema.parse(await ipJson(node, [...place, "link"]));
    found.push(...links.map(({ ifname }) => ifname ?? ""));
  }
  return found.filter((name) => /^veth[0-9a-f]{11}$/.test(name));
}

/** Network namespaces that the CRI has made on a node. */
export async function podNamespaces(node: RunningNode): Promise<string[]> {
  const list = `if [ -e ${podNamespaceDirectory} ]; then ls ${podNamespaceDirectory}; fi`;
  return (await node.holder.run(["sh", "-ec", list])).split("\n").filter(Boolean);
}
