/** What must hold after operations, as far as the operations alone determine it. Pure. */
import type { Operation } from "./operations.ts";
import { roaming } from "./tenants.ts";

/** What the operations so far have come to. */
export interface Model {
  /** Pods that are attached. */
  readonly attached: ReadonlySet<number>;
  /** Domains without pods that are there. */
  readonly passing: ReadonlySet<string>;
  /** Tenant of the namespace whose binding changes. */
  readonly bound: string;
  /** Whether the API server runs. */
  readonly apiRuns: boolean;
}

/** Before the first operation. */
export const emptyModel: Model = {
  attached: new Set(),
  passing: new Set(),
  bound: roaming.between[0],
  apiRuns: true,
};

/** The model after an operation; what heals by itself does not change it. */
export function step(model: Model, operation: Operation): Model {
  switch (operation.kind) {
    case "add":
      return { ...model, attached: new Set([...model.attached, operation.pod]) };
    case "del":
    case "del twice":
    case "vanish":
    case "unplug":
      return { ...model, attached: without(model.attached, [operation.pod]) };
    case "gc":
    case "reboot":
      return { ...model, attached: without(model.attached, operation.dropped) };
    case "create domain":
      return { ...model, passing: new Set([...model.passing, operation.domain]) };
    case "delete domain":
      return { ...model, passing: without(model.passing, [operation.domain]) };
    case "bind":
      return { ...model, bound: operation.tenant };
    case "cut api":
      return { ...model, apiRuns: false };
    case "start api":
      return { ...model, apiRuns: true };
    default:
      return model;
  }
}

function without<T>(items: ReadonlySet<T>, gone: readonly T[]): ReadonlySet<T> {
  return new Set([...items].filter((item) => !gone.includes(item)));
}
