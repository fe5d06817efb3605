/** Tests that run once for each VRF backend, on one lab. */

/** The backend, which PYROUTE2_LAB_BACKEND names: network namespaces unless it is `device`. */
export const backend: "device" | "netns" = Deno.env.get("PYROUTE2_LAB_BACKEND") === "device"
  ? "device"
  : "netns";

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
export function labTest(name: string, fn: () => Promise<void>, ignore = false): void {
  const outlives = { sanitizeOps: false, sanitizeResources: false };
  Deno.test({ name: `${backend}: ${name}`, ignore, fn, ...outlives });
}
