/** What a request's path means (Kubernetes, "API concepts", resource URIs). */
import { apiVersionOf } from "../resources/kind.ts";
import type { ServedKind } from "./served_kinds.ts";

/** A path of the form of resources. */
export interface ResourcePath {
  /** API group and version, such as `v1` or `cni.pyroute2.org/v1alpha1`. */
  readonly apiVersion: string;
  /** Namespace, or empty. */
  readonly namespace: string;
  /** Plural. */
  readonly plural: string;
  /** Name, or empty for the collection. */
  readonly name: string;
  /** Subresource, or empty. */
  readonly subresource: string;
}

/**
 * Parses `/api/v1/...` or `/apis/<group>/<version>/...`.
 *
 * @returns Undefined for any other path
 */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const parts = decodeParts(pathname);
  if (parts === undefined) return undefined;
  const core = parts[0] === "api";
  if (!core && parts[0] !== "apis") return undefined;
  const versionParts = core ? parts.slice(1, 2) : parts.slice(1, 3);
  const rest = parts.slice(core ? 2 : 3);
  if (versionParts.length !== (core ? 1 : 2) || rest.length === 0) return undefined;
  const apiVersion = versionParts.join("/");
  // `namespaces/<name>` and its subresources are the namespace itself; one more part is something in it.
  const inNamespace = rest[0] === "namespaces" && rest.length >= 3 &&
    !["status", "finalize"].includes(rest[2] ?? "");
  const namespace = inNamespace ? rest[1] ?? "" : "";
  const [plural = "", name = "", subresource = "", ...more] = inNamespace ? rest.slice(2) : rest;
  if (more.length > 0) return undefined;
  return { apiVersion, namespace, plural, name, subresource };
}

function decodeParts(pathname: string): string[] | undefined {
  try {
    const parts = pathname.split("/").slice(1).map(decodeURIComponent);
    if (parts.at(-1) === "") parts.pop();
    return parts.some((part) => part === "" || part.includes("/")) ? undefined : parts;
  } catch {
    return undefined;
  }
}

/** The kind that a path means, if it is served there. */
export function findServedKind(
  kinds: readonly ServedKind[],
  path: ResourcePath,
): ServedKind | undefined {
  const found = kinds.find(({ kind }) =>
    apiVersionOf(kind) === path.apiVersion && kind.plural === path.plural
  );
  if (found === undefined) return undefined;
  const namespaced = found.kind.scope === "Namespaced";
  if (path.namespace !== "" && !namespaced) return undefined;
  if (path.namespace === "" && namespaced && path.name !== "") return undefined;
  return found;
}
