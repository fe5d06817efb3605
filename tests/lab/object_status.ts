/** What objects of the API say of themselves. */
import { z } from "zod";
import type { ApiReader } from "./api_reader.ts";

const conditions = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({
    conditions: z.array(
      z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() }),
    ).default([]),
  }).default({ conditions: [] }),
});

/** A condition of an object. */
export interface Condition {
  /** The object's name. */
  readonly name: string;
  /** `True`, `False` or `Unknown`. */
  readonly status: string;
  /** One word. */
  readonly reason: string;
  /** In words. */
  readonly message: string;
}

/** The condition of a type, such as `Ready`, of each object of a kind that has it. */
export async function readConditions(
  api: ApiReader,
  plural: string,
  type: string,
): Promise<Condition[]> {
  return z.array(conditions).parse(await api.list(plural)).flatMap(({ metadata, status }) =>
    status.conditions.filter((each) => each.type === type)
      .map(({ status, reason, message }) => ({ name: metadata.name, status, reason, message }))
  );
}

const nodeState = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({
    peers: z.array(z.object({
      address: z.string(),
      established: z.boolean(),
      bfd: z.string().optional(),
      lastError: z.string().optional(),
    })).default([]),
  }).default({ peers: [] }),
});

/** A BGP peer, as the node's state has it. */
export type PeerStatus = z.infer<typeof nodeState>["status"]["peers"][number];

/** The peers of each node that has told of itself, by the node's name. */
export async function readPeers(api: ApiReader): Promise<ReadonlyMap<string, PeerStatus[]>> {
  const states = z.array(nodeState).parse(await api.list("vrfnodestates"));
  return new Map(states.map(({ metadata, status }) => [metadata.name, status.peers]));
}
