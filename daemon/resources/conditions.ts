/** Conditions in an object's status (Kubernetes API conventions, "Typical status properties"). */
import { z } from "zod";
import type { Schema } from "./kind.ts";

/** Whether a condition holds. */
export type ConditionStatus = "True" | "False" | "Unknown";

/** One aspect of an object's state. */
export interface Condition {
  /** Aspect, such as `Ready`. */
  readonly type: string;
  /** Whether it holds. */
  readonly status: ConditionStatus;
  /** The generation that was looked at. */
  readonly observedGeneration?: number | undefined;
  /** Why, as one CamelCase word. */
  readonly reason: string;
  /** Why, for a person. */
  readonly message: string;
  /** When the status last changed, RFC 3339. */
  readonly lastTransitionTime: string;
}

/** Validates a condition. */
export const condition: Schema<Condition> = z.object({
  type: z.string().min(1).max(316).describe("Aspect, such as Ready"),
  status: z.enum(["True", "False", "Unknown"]).describe("Whether it holds"),
  observedGeneration: z.int().min(0).optional().describe("Generation that was looked at"),
  reason: z.string().min(1).max(1024).regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .describe("Why, as one CamelCase word"),
  message: z.string().max(32768).describe("Why, for a person"),
  lastTransitionTime: z.iso.datetime({ offset: true }).describe("When the status last changed"),
});

/** Validates a list of conditions. */
export const conditions: Schema<readonly Condition[]> = z.array(
  condition as z.ZodType<Condition>,
).superRefine((list, context) => {
  for (const [index, { type }] of list.entries()) {
    if (list.findIndex((entry) => entry.type === type) === index) continue;
    context.addIssue({
      code: "custom",
      path: [index],
      message: `Expected one condition of each type, found "${type}" again`,
    });
  }
}).describe("Aspects of the state, by type");

/**
 * Sets one condition among others, by type.
 *
 * `lastTransitionTime` becomes `now` only where the status differs from before, so that writing the same again is no change.
 *
 * @param conditions The conditions so far; not modified
 * @param next The condition to set
 * @param now The present time
 */
export function setCondition(
  conditions: readonly Condition[],
  next: Omit<Condition, "lastTransitionTime">,
  now: Date,
): readonly Condition[] {
  const before = conditions.find((entry) => entry.type === next.type);
  const lastTransitionTime = before?.status === next.status
    ? before.lastTransitionTime
    : rfc3339Seconds(now);
  const set: Condition = { ...next, lastTransitionTime };
  return before === undefined
    ? [...conditions, set]
    : conditions.map((entry) => entry === before ? set : entry);
}

/** The condition of a type. */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((entry) => entry.type === type);
}

/** RFC 3339 in UTC with whole seconds, as Kubernetes writes `metav1.Time`. */
export function rfc3339Seconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, "Z");
}
