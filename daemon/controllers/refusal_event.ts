import type { EventRecorder } from "../kube/events.ts";
import type { KubeObject } from "../kube/port.ts";
import { type Condition, findCondition } from "../resources/conditions.ts";

/**
 * Records that an object has been refused, when its condition `Accepted` says so for the first time or for another reason
 * than before. To say it at each look would bury what is new.
 *
 * @param events Where it is recorded; nowhere when absent
 * @param about The object
 * @param before Its conditions as last seen on the server
 * @param after Its conditions now
 */
export function recordRefusal(
  events: EventRecorder | undefined,
  about: KubeObject,
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): void {
  const now = findCondition(after, "Accepted");
  if (now?.status !== "False") return;
  const known = findCondition(before, "Accepted");
  if (known?.status === "False" && known.reason === now.reason && known.message === now.message) {
    return;
  }
  events?.record(about, { type: "Warning", reason: now.reason, message: now.message });
}

/** Reasons of `Ready` that last until somebody does something. */
const lasting: readonly (string | undefined)[] = [
  "ExtraConfigRefused",
  "MaxPrefixesExceeded",
  "PasswordMissing",
];

/** The same for the condition `Ready` of a node's settings: what is wrong with them for longer, and what it warns of. */
export function recordTrouble(
  events: EventRecorder | undefined,
  about: KubeObject,
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): void {
  const now = findCondition(after, "Ready");
  if (now === undefined || now.message === "") return;
  if (now.status !== "True" && !lasting.includes(now.reason)) return;
  const known = findCondition(before, "Ready");
  if (known?.reason === now.reason && known.message === now.message) return;
  const reason = now.status === "True" ? "MaxPrefixesExceeded" : now.reason;
  events?.record(about, { type: "Warning", reason, message: now.message });
}
