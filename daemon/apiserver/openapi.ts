/** OpenAPI documents, as far as kubectl reads them: to learn that fields are validated here, and for `kubectl explain`. */
import { apiVersionOf } from "../resources/kind.ts";
import { openApiSchemaOf } from "../resources/openapi_schema.ts";
import { type JsonObject, parseJson } from "./json.ts";
import { acceptedPatchTypes } from "./patch_request.ts";
import type { ServedKind } from "./served_kinds.ts";

/** Where a group version's resources are, below the server's root. */
function rootOf(apiVersion: string): string {
  return apiVersion.includes("/") ? `apis/${apiVersion}` : `api/${apiVersion}`;
}

/** `/openapi/v3`: where the documents of each group version are. */
export function openApiIndex(kinds: readonly ServedKind[]): JsonObject {
  const roots = new Set(kinds.map(({ kind }) => rootOf(apiVersionOf(kind))));
  const paths = [...roots].map((root) => [root, { serverRelativeURL: `/openapi/v3/${root}` }]);
  return { paths: Object.fromEntries(paths) };
}

/** `/openapi/v3/<root>`; undefined for an unknown one. */
export function openApiDocument(
  kinds: readonly ServedKind[],
  root: string,
  version: string,
): JsonObject | undefined {
  const here = kinds.filter(({ kind }) => rootOf(apiVersionOf(kind)) === root);
  if (here.length === 0) return undefined;
  return {
    openapi: "3.0.0",
    info: { title: "Embedded Kubernetes API", version },
    paths: Object.fromEntries(here.map((served) => [objectPath(served, root), operations(served)])),
    components: {
      schemas: Object.fromEntries(here.map((served) => [schemaName(served), component(served)])),
    },
  };
}

/** `/openapi/v2`: kubectl asks for it only where v3 says nothing. */
export function openApiV2(version: string): JsonObject {
  return {
    swagger: "2.0",
    info: { title: "Embedded Kubernetes API", version },
    paths: {},
    definitions: {},
  };
}

function objectPath({ kind }: ServedKind, root: string): string {
  const namespace = kind.scope === "Namespaced" ? "/namespaces/{namespace}" : "";
  return `/${root}${namespace}/${kind.plural}/{name}`;
}

function operations(served: ServedKind): JsonObject {
  const query = (name: string): JsonObject => ({
    name,
    in: "query",
    schema: { type: "string", uniqueItems: true },
  });
  const { group, version, kind } = served.kind;
  const responses = {
    "200": {
      description: "OK",
      content: {
        "application/json": { schema: { $ref: `#/components/schemas/${schemaName(served)}` } },
      },
    },
  };
  const patchBody = { schema: { type: "object" } };
  const gvk = { "x-kubernetes-group-version-kind": { group, version, kind } };
  return {
    get: { responses, "x-kubernetes-action": "get", ...gvk },
    patch: {
      parameters: ["dryRun", "fieldManager", "fieldValidation", "force"].map(query),
      requestBody: {
        content: Object.fromEntries(acceptedPatchTypes(served).map((type) => [type, patchBody])),
      },
      responses,
      "x-kubernetes-action": "patch",
      ...gvk,
    },
  };
}

function schemaName({ kind }: ServedKind): string {
  const reversed = kind.group === ""
    ? "io.k8s.api.core"
    : kind.group.split(".").toReversed().join(".");
  return `${reversed}.${kind.version}.${kind.kind}`;
}

function component({ kind: resource }: ServedKind): JsonObject {
  const { group, version, kind } = resource;
  const schema = parseJson(JSON.stringify(openApiSchemaOf(resource)));
  return {
    ...(typeof schema === "object" && schema !== null && !Array.isArray(schema)
      ? schema as JsonObject
      : {}),
    "x-kubernetes-group-version-kind": [{ group, version, kind }],
  };
}
