/**
 * What a kernel adapter promises, whichever way it keeps VRFs. The same cases run for links of kind vrf and for network namespaces.
 *
 * @module
 */
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { registerHealingCases } from "./healing_cases.ts";
import { registerPacketCases } from "./packet_cases.ts";
import { registerRemovalCases } from "./removal_cases.ts";
import { registerStateCases } from "./state_cases.ts";

/** Registers all cases for a backend. */
export function registerKernelCases(backend: VrfBackend): void {
  registerStateCases(backend);
  registerHealingCases(backend);
  registerRemovalCases(backend);
  registerPacketCases(backend);
}
