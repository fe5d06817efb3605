/** What the daemon may do with the API, and why: the source of the roles and of their table in the documentation. Pure. */
import { cniConfigKind } from "../daemon/resources/cni_config.ts";
import { cniConfigSelectionKind } from "../daemon/resources/cni_config_selection.ts";
import { eventKind, leaseKind, nodeKind, podKind, secretKind } from "../daemon/resources/core.ts";
import { ipBlockKind } from "../daemon/resources/ip_block.ts";
import type { ResourceKind } from "../daemon/resources/kind.ts";
import { vrfDomainKind } from "../daemon/resources/vrf_domain.ts";
import { vrfDomainBindingKind } from "../daemon/resources/vrf_domain_binding.ts";
import { vrfNodeConfigKind } from "../daemon/resources/vrf_node_config.ts";
import { vrfNodeStateKind } from "../daemon/resources/vrf_node_state.ts";
import { vrfRoutingPolicyKind } from "../daemon/resources/vrf_routing_policy.ts";
import type { Manifest } from "./crd.ts";

/** A verb of the API's authorization. */
export type Verb = "get" | "list" | "watch" | "create" | "patch" | "delete";

/** What is allowed on one resource, with the reason. */
export interface Permission {
  /** Namespace it holds in; the whole cluster when absent. */
  readonly namespace?: string;
  /** The resource's kind. */
  readonly kind: Pick<ResourceKind, "group" | "plural">;
  /** Whether its status subresource is meant instead of the object. */
  readonly status?: true;
  /** Names it holds for; all when absent. "create" and "list" cannot be held to a name. */
  readonly names?: readonly string[];
  /** What is allowed. */
  readonly verbs: readonly Verb[];
  /** What for. */
  readonly why: string;
}

/** Name of the roles and their bindings. */
export const roleName = "pyroute2-cni";

/** The service account that the roles are bound to. */
export const serviceAccount = { name: "pyroute2-cni", namespace: "pyroute2-cni" } as const;

const follow = ["list", "watch"] as const;

/** All that the daemon may do. */
export const permissions: readonly Permission[] = [
  {
    kind: nodeKind,
    verbs: ["get", ...follow],
    why:
      "BGP peers are the other nodes' addresses; a deleted node's blocks go once the server itself confirms that it is gone",
  },
  {
    kind: podKind,
    verbs: ["get", ...follow],
    why:
      "annotations of the node's own pods, and whose they are; get: of a pod that starts before its node has heard of it",
  },
  {
    kind: vrfDomainKind,
    verbs: ["get", ...follow, "create", "patch"],
    why:
      "tenants to apply; create: the default domain, when there is none at all; get and patch: the finalizer that waits for every node",
  },
  {
    kind: vrfDomainKind,
    status: true,
    verbs: ["patch"],
    why: "the manager gathers conditions and node counts from the nodes' states",
  },
  {
    kind: vrfDomainBindingKind,
    verbs: follow,
    why: "which namespace's pods go to which tenant",
  },
  {
    kind: vrfDomainBindingKind,
    status: true,
    verbs: ["patch"],
    why: "the manager says whether a binding's domain exists and is accepted",
  },
  {
    kind: vrfNodeStateKind,
    verbs: ["get", ...follow, "create"],
    why: "each node keeps an object of its own; the manager reads them all",
  },
  {
    kind: vrfNodeStateKind,
    status: true,
    verbs: ["patch"],
    why: "a node says what it has applied",
  },
  {
    kind: ipBlockKind,
    verbs: ["get", ...follow, "create", "delete"],
    why: "a node claims a block by creating it and gives it back by deleting it",
  },
  {
    kind: ipBlockKind,
    status: true,
    verbs: ["patch"],
    why: "addresses in use, written behind",
  },
  {
    kind: vrfNodeConfigKind,
    verbs: follow,
    why: "BGP and VTEP settings of the nodes",
  },
  {
    kind: vrfNodeConfigKind,
    status: true,
    verbs: ["patch"],
    why: "a node says whether it takes the settings that name it, and has applied them",
  },
  {
    kind: vrfRoutingPolicyKind,
    verbs: follow,
    why: "policy-routing rules to apply",
  },
  {
    kind: vrfRoutingPolicyKind,
    status: true,
    verbs: ["patch"],
    why: "the manager says whether a policy's domain exists and is accepted",
  },
  {
    kind: cniConfigKind,
    verbs: follow,
    why: "CNI configuration lists to choose from and to write on the nodes",
  },
  {
    kind: cniConfigKind,
    status: true,
    verbs: ["patch"],
    why: "the manager says which one is active, and on how many nodes",
  },
  {
    kind: cniConfigSelectionKind,
    verbs: [...follow, "create", "patch", "delete"],
    why: "the manager's choice, for all nodes; gone when no CNIConfig is enabled",
  },
  {
    kind: cniConfigSelectionKind,
    status: true,
    verbs: ["patch"],
    why: "the generation that the manager has looked at",
  },
  {
    namespace: serviceAccount.namespace,
    kind: secretKind,
    verbs: follow,
    why:
      "passwords of BGP peers: each Secret that the node's settings name is followed by itself, and none while they name none",
  },
  {
    namespace: "kube-system",
    kind: leaseKind,
    verbs: ["create"],
    why: "the lease by which the manager is elected, the first time",
  },
  {
    namespace: "kube-system",
    kind: leaseKind,
    names: ["pyroute2-cni-manager"],
    verbs: ["get", "patch"],
    why: "to take, renew and give back that lease",
  },
  {
    namespace: "default",
    kind: eventKind,
    verbs: ["create", "patch"],
    why: "events on cluster-scoped objects live there; repeats are counted in the same event",
  },
];

/** A rule of a role, as a manifest has it. */
export function ruleOf({ kind, status, names, verbs }: Permission): Manifest {
  return {
    apiGroups: [kind.group],
    resources: [status === true ? `${kind.plural}/status` : kind.plural],
    ...(names === undefined ? {} : { resourceNames: [...names] }),
    verbs: [...verbs],
  };
}

/** The roles with their bindings: one for the cluster, one for each namespace. */
export function roleManifests(): readonly Manifest[] {
  const namespaces = [...new Set(permissions.map(({ namespace }) => namespace))];
  return namespaces.flatMap((namespace) => {
    const scope = namespace === undefined ? "Cluster" : "";
    const metadata = namespace === undefined ? { name: roleName } : { name: roleName, namespace };
    const apiVersion = "rbac.authorization.k8s.io/v1";
    return [
      {
        apiVersion,
        kind: `${scope}Role`,
        metadata,
        rules: permissions.filter((entry) => entry.namespace === namespace).map(ruleOf),
      },
      {
        apiVersion,
        kind: `${scope}RoleBinding`,
        metadata,
        roleRef: {
          apiGroup: "rbac.authorization.k8s.io",
          kind: `${scope}Role`,
          name: roleName,
        },
        subjects: [{ kind: "ServiceAccount", ...serviceAccount }],
      },
    ];
  });
}

/** The page that says which rule there is, and what for. */
export function rbacPage(): string {
  const rows = permissions.map(({ namespace, kind, status, names, verbs, why }) => {
    const resource = `${kind.plural}${status === true ? "/status" : ""}`;
    const group = kind.group === "" ? "core" : kind.group;
    const only = names === undefined
      ? ""
      : ` named ${names.map((name) => `\`${name}\``).join(", ")}`;
    const where = namespace === undefined ? "cluster" : `\`${namespace}\``;
    return `| \`${resource}\` (${group})${only} | ${where} | ${verbs.join(", ")} | ${why} |`;
  });
  return `<!-- deno-fmt-ignore-file -->
<!-- Generated from manifests/rbac.ts by \`deno run -A manifests/generate.ts\`: do not edit. -->

# What the daemon may do with the API

One service account, \`${serviceAccount.namespace}/${serviceAccount.name}\`, for the daemon of every node. Nodes share it: RBAC cannot tell one node's objects from
another's, so a node can write the objects of others. The FRR container of the same pod gets no token.

| resource | where | verbs | why |
| --- | --- | --- | --- |
${rows.join("\n")}

Not allowed, on purpose: secrets of other namespaces, namespaces, writing pods or nodes, deleting VRFDomains, and any wildcard.
`;
}
