/** Tests that run once for each VRF backend, on one lab. */
import { emulated } from "./patience.ts";

/** The backend, which PYROUTE2_LAB_BACKEND names: network namespaces unless it is `device`. */
export const backend: "device" | "netns" = Deno.env.get("PYROUTE2_LAB_BACKEND") === "device"
  ? "device"
  : "netns";

/** Whether PYROUTE2_LAB_WHOLE asks an emulated guest for all tests. */
const whole = Deno.env.get("PYROUTE2_LAB_WHOLE") === "1";

/** What a test says of itself. */
export interface LabTestOptions {
  /** Whether it cannot run. */
  readonly ignore?: boolean;
  /** Whether what it is about does not know the backend: then an emulated guest leaves it out, where it would take minutes. */
  readonly anyBackend?: boolean;
}

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
export function labTest(
  name: string,
  fn: () => Promise<void>,
  { ignore = false, anyBackend = false }: LabTestOptions = {},
): void {
  if (anyBackend && backend === "device" && emulated && !whole) return;
  const outlives = { sanitizeOps: false, sanitizeResources: false };
  Deno.test({ name: `${backend}: ${name}`, ignore, fn, ...outlives });
}
