/** The CustomResourceDefinitions that a real API server is given. */
import { parseAllDocuments } from "yaml";
import { openApiSchemaOf } from "../../daemon/resources/openapi_schema.ts";
import { ownKinds } from "../../daemon/resources/registry.ts";
import type { ResourceKind } from "../../daemon/resources/kind.ts";

const directory = new URL("../../manifests/crds", import.meta.url).pathname;

/** All of them as one list object, in JSON: those of manifests/, or, while there are none, made from the kinds. */
export async function customResourceDefinitions(): Promise<string> {
  const checkedIn = await readCheckedIn();
  const items = checkedIn.length > 0 ? checkedIn : ownKinds.map(definitionOf);
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

async function readCheckedIn(): Promise<object[]> {
  const found: object[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (!name.endsWith(".yaml") || name === "kustomization.yaml") continue;
      const text = await Deno.readTextFile(`${directory}/${name}`);
      for (const document of parseAllDocuments(text)) {
        const value: unknown = document.toJS();
        if (typeof value === "object" && value !== null) found.push(value);
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found;
}

function definitionOf(kind: ResourceKind): object {
  const { group, version, plural, singular, shortNames, scope } = kind;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope,
      names: { kind: kind.kind, listKind: `${kind.kind}List`, plural, singular, shortNames },
      versions: [{
        name: version,
        served: true,
        storage: true,
        schema: { openAPIV3Schema: openApiSchemaOf(kind) },
        ...(kind.status ? { subresources: { status: {} } } : {}),
        additionalPrinterColumns: [
          ...kind.printerColumns,
          { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
        ],
      }],
    },
  };
}
