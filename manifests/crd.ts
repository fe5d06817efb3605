/** Custom resource definitions, made of the resource kinds. Pure. */
import type { ResourceKind } from "../daemon/resources/kind.ts";
import { openApiSchemaOf } from "../daemon/resources/openapi_schema.ts";

/** A manifest as plain data. */
export type Manifest = Readonly<Record<string, unknown>>;

/** The CustomResourceDefinition (apiextensions.k8s.io/v1) of a kind. */
export function crdOf(kind: ResourceKind): Manifest {
  const { group, version, plural, singular, shortNames, scope } = kind;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural,
        singular,
        ...(shortNames.length === 0 ? {} : { shortNames: [...shortNames] }),
      },
      versions: [{
        name: version,
        served: true,
        storage: true,
        ...(kind.status ? { subresources: { status: {} } } : {}),
        additionalPrinterColumns: [
          ...kind.printerColumns.map((column) => ({ ...column })),
          // With columns of its own a kind loses the usual one.
          { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
        ],
        schema: { openAPIV3Schema: openApiSchemaOf(kind) },
      }],
    },
  };
}

/** The file name of a kind's definition, such as `cni.pyroute2.org_vrfdomains.yaml`. */
export function crdFileName(kind: Pick<ResourceKind, "group" | "plural">): string {
  return `${kind.group}_${kind.plural}.yaml`;
}
