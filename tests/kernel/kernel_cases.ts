/**
 * What a kernel adapter promises, whichever way it keeps VRFs. The same cases run for links of kind vrf and for network namespaces.
 *
 * @module
 */
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { registerDualStackCases } from "./dual_stack_cases.ts";
import { registerDefaultRouteCases } from "./default_route_cases.ts";
import { registerDualStackEgressCases } from "./dual_stack_egress_cases.ts";
import { registerEgressCases } from "./egress_cases.ts";
import { registerFirewallCases } from "./firewall_cases.ts";
import { registerIpv6UnderlayCases } from "./ipv6_underlay_cases.ts";
import { registerHealingCases } from "./healing_cases.ts";
import { registerNextHopCases } from "./next_hop_cases.ts";
import { registerPacketCases } from "./packet_cases.ts";
import { registerPolicyCases } from "./policy_cases.ts";
import { registerRelayCases } from "./relay_cases.ts";
import { registerRemovalCases } from "./removal_cases.ts";
import { registerServiceCases } from "./service_cases.ts";
import { registerStateCases } from "./state_cases.ts";
import { registerStretchedCases } from "./stretched_cases.ts";

/** Registers all cases for a backend. */
export function registerKernelCases(backend: VrfBackend): void {
  registerStateCases(backend);
  registerHealingCases(backend);
  registerRemovalCases(backend);
  registerPacketCases(backend);
  registerDualStackCases(backend);
  registerEgressCases(backend);
  registerDualStackEgressCases(backend);
  registerServiceCases(backend);
  registerPolicyCases(backend);
  registerDefaultRouteCases(backend);
  registerFirewallCases(backend);
  registerIpv6UnderlayCases(backend);
  registerStretchedCases(backend);
  registerNextHopCases(backend);
  registerRelayCases(backend);
}
