/** What the API says of itself: groups, versions, resources; classic and aggregated. */
import { apiVersionOf } from "../resources/kind.ts";
import { isJsonObject, type JsonObject } from "./json.ts";
import type { ServedKind } from "./served_kinds.ts";

/** A resource that has no objects: it only answers. */
const accessReview = {
  group: "authorization.k8s.io",
  version: "v1",
  plural: "selfsubjectaccessreviews",
  kind: "SelfSubjectAccessReview",
} as const;

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const statusVerbs = ["get", "patch", "update"];

interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

function groupVersions(kinds: readonly ServedKind[]): readonly GroupVersion[] {
  const all = [...kinds.map(({ kind }) => kind), accessReview];
  const byName = new Map(
    all.map(({ group, version }) => [apiVersionOf({ group, version }), { group, version }]),
  );
  return [...byName.values()];
}

/** `/api`: versions of the core group. */
export function coreVersions(): JsonObject {
  return {
    kind: "APIVersions",
    apiVersion: "v1",
    versions: ["v1"],
    serverAddressByClientCIDRs: [],
  };
}

/** `/apis`: all named groups. */
export function groupList(kinds: readonly ServedKind[]): JsonObject {
  const groups = groupVersions(kinds).filter(({ group }) => group !== "").map(describeGroup);
  return { kind: "APIGroupList", apiVersion: "v1", groups };
}

/** `/apis/<group>`; undefined for an unknown group. */
export function group(kinds: readonly ServedKind[], name: string): JsonObject | undefined {
  const found = groupVersions(kinds).find((entry) => entry.group === name && name !== "");
  return found === undefined
    ? undefined
    : { kind: "APIGroup", apiVersion: "v1", ...describeGroup(found) };
}

function describeGroup(entry: GroupVersion): JsonObject {
  const version = { groupVersion: apiVersionOf(entry), version: entry.version };
  return { name: entry.group, versions: [version], preferredVersion: version };
}

/** `/api/v1` and `/apis/<group>/<version>`; undefined for an unknown one. */
export function resourceList(
  kinds: readonly ServedKind[],
  apiVersion: string,
): JsonObject | undefined {
  const here = kinds.filter(({ kind }) => apiVersionOf(kind) === apiVersion);
  const resources = here.flatMap(({ kind }): JsonObject[] => {
    const base = { namespaced: kind.scope === "Namespaced", kind: kind.kind };
    return [
      {
        name: kind.plural,
        singularName: kind.singular,
        ...base,
        verbs,
        ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
      },
      ...(kind.status
        ? [{ name: `${kind.plural}/status`, singularName: "", ...base, verbs: statusVerbs }]
        : []),
    ];
  });
  if (apiVersion === apiVersionOf(accessReview)) {
    resources.push({
      name: accessReview.plural,
      singularName: "selfsubjectaccessreview",
      namespaced: false,
      kind: accessReview.kind,
      verbs: ["create"],
    });
  }
  if (resources.length === 0) return undefined;
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersion, resources };
}

/** `/api` or `/apis` in the aggregated form (apidiscovery.k8s.io/v2). */
export function aggregated(kinds: readonly ServedKind[], core: boolean): JsonObject {
  const items = groupVersions(kinds).filter(({ group }) => (group === "") === core).map((
    entry,
  ) => ({
    metadata: { name: entry.group },
    versions: [{
      version: entry.version,
      freshness: "Current",
      resources: aggregatedResources(kinds, entry),
    }],
  }));
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items,
  };
}

function aggregatedResources(kinds: readonly ServedKind[], entry: GroupVersion): JsonObject[] {
  const { group, version } = entry;
  const own = kinds.filter(({ kind }) => kind.group === group && kind.version === version)
    .map(({ kind }): JsonObject => {
      const responseKind = { group, version, kind: kind.kind };
      return {
        resource: kind.plural,
        responseKind,
        scope: kind.scope === "Namespaced" ? "Namespaced" : "Cluster",
        singularResource: kind.singular,
        verbs,
        ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
        ...(kind.status
          ? { subresources: [{ subresource: "status", responseKind, verbs: statusVerbs }] }
          : {}),
      };
    });
  if (group !== accessReview.group) return own;
  return [...own, {
    resource: accessReview.plural,
    responseKind: { group, version, kind: accessReview.kind },
    scope: "Cluster",
    singularResource: "selfsubjectaccessreview",
    verbs: ["create"],
  }];
}

/** Whether a path is that of access reviews. */
export function isAccessReviewPath(apiVersion: string, plural: string): boolean {
  return apiVersion === apiVersionOf(accessReview) && plural === accessReview.plural;
}

/** Answers an access review: whoever has the token may do everything. */
export function reviewAccess(sent: JsonObject): JsonObject {
  const spec = sent["spec"];
  return {
    kind: accessReview.kind,
    apiVersion: apiVersionOf(accessReview),
    metadata: {},
    spec: isJsonObject(spec) ? spec : {},
    status: { allowed: true, reason: "the bearer of the token may do everything" },
  };
}
