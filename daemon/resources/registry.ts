/** The resource kinds of this project. */
import { cniConfigKind } from "./cni_config.ts";
import { cniConfigSelectionKind } from "./cni_config_selection.ts";
import { ipBlockKind } from "./ip_block.ts";
import type { ResourceKind } from "./kind.ts";
import { vrfDomainKind } from "./vrf_domain.ts";
import { vrfDomainBindingKind } from "./vrf_domain_binding.ts";
import { vrfNodeConfigKind } from "./vrf_node_config.ts";
import { vrfNodeStateKind } from "./vrf_node_state.ts";
import { vrfRoutingPolicyKind } from "./vrf_routing_policy.ts";

/** All kinds that this project defines, each of which has a CRD. */
export const ownKinds: readonly ResourceKind[] = [
  vrfDomainKind,
  vrfDomainBindingKind,
  vrfNodeConfigKind,
  vrfRoutingPolicyKind,
  vrfNodeStateKind,
  cniConfigKind,
  cniConfigSelectionKind,
  ipBlockKind,
];
