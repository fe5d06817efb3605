/** The soak's objects as they are applied. Pure. */
import { firstBindings, type SoakDomain, tenants } from "./tenants.ts";

const apiVersion = "cni.pyroute2.org/v1alpha1";

/** Namespaces, tenants and bindings. */
export function soakObjects(): readonly object[] {
  return [
    ...firstBindings.map(({ namespace }) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespace },
    })),
    ...tenants.map(domainOf),
    ...firstBindings.map(({ namespace, tenant }) => bindingOf(namespace, tenant)),
  ];
}

/** A VRFDomain. */
export function domainOf({ name, vrf, table, overlays, ranges, egress }: SoakDomain): object {
  const fields = ranges.map(({ cidr, blockLength }) => {
    const [prefix, length] = cidr.split("/");
    const suffix = cidr.includes(":") ? "6" : "";
    return {
      [`prefix${suffix}`]: prefix,
      [`prefixlen${suffix}`]: Number(length),
      [`ipblocklen${suffix}`]: blockLength,
    };
  });
  return {
    apiVersion,
    kind: "VRFDomain",
    metadata: { name },
    spec: { vrf, table, ...Object.assign({}, ...fields), attachments: overlays, egress },
  };
}

/** The VRFDomainBinding of a namespace. */
export function bindingOf(namespace: string, tenant: string): object {
  return {
    apiVersion,
    kind: "VRFDomainBinding",
    metadata: { name: namespace },
    spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name: tenant } },
  };
}
