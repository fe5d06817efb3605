/** What the API holds of the conditions of all kinds. */
import { z } from "zod";
import type { LabWorld } from "./lab_case.ts";
import { kubectl } from "./machines.ts";

const conditioned = z.object({
  kind: z.string(),
  metadata: z.object({ name: z.string(), generation: z.number() }),
  status: z.object({
    conditions: z.array(z.object({
      type: z.string(),
      status: z.enum(["True", "False", "Unknown"]),
      reason: z.string().min(1),
      observedGeneration: z.number().optional(),
      lastTransitionTime: z.string(),
    })).min(1),
  }),
});
/** An object that carries conditions. */
export type Conditioned = z.infer<typeof conditioned>;

/** All objects of kinds that carry conditions, as the API has them. */
export async function conditionedObjects(world: LabWorld): Promise<Conditioned[]> {
  const kinds = "vrd,vrb,vrp,vrnc,vrns,ipb,cnic,cnics";
  const { items } = JSON.parse(await kubectl(world.lab, ["get", kinds, "-o", "json"]));
  return z.array(conditioned).parse(items);
}

/** Since when each condition has had its status. */
export async function transitions(world: LabWorld): Promise<Record<string, string>> {
  return Object.fromEntries(
    (await conditionedObjects(world)).flatMap(({ kind, metadata, status }) =>
      status.conditions.map(({ type, lastTransitionTime }) => [
        `${kind}/${metadata.name} ${type}`,
        lastTransitionTime,
      ])
    ),
  );
}
