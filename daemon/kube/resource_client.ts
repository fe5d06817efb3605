import { z } from "zod";
import { errorOfAnswer, isKubeError } from "./kube_error.ts";
import { apiVersionOf, type ResourceKind, type SchemaIssue } from "../resources/kind.ts";
import type { KubeObject, ResourceClient } from "./port.ts";
import type { KubeConnection } from "./transport.ts";

/** What the path of a resource is made of. */
export type ResourcePath = Pick<ResourceKind, "group" | "version" | "kind" | "plural">;

const mergePatch = "application/merge-patch+json";
const pageSize = "500";

const listSchema = z.object({
  items: z.array(z.unknown()).nullable(),
  metadata: z.object({
    resourceVersion: z.string().optional(),
    continue: z.string().optional(),
  }).optional(),
});

/** The path of a resource's collection: all of it, or one namespace's. */
export function collectionPath(resource: ResourcePath, namespace?: string): string {
  const root = resource.group === ""
    ? `/api/${resource.version}`
    : `/apis/${resource.group}/${resource.version}`;
  const scope = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${root}${scope}/${resource.plural}`;
}

/** Splits a key, `name` or `namespace/name`. */
export function splitKey(key: string): { readonly namespace?: string; readonly name: string } {
  const slash = key.indexOf("/");
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The key of an object: `name`, or `namespace/name`. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function objectPath(resource: ResourcePath, key: string): string {
  const { namespace, name } = splitKey(key);
  return `${collectionPath(resource, namespace)}/${encodeURIComponent(name)}`;
}

/** Items of a list name neither kind nor version on a real API server. */
export function withType(resource: ResourcePath, item: unknown): unknown {
  return typeof item === "object" && item !== null
    ? { apiVersion: apiVersionOf(resource), kind: resource.kind, ...item }
    : item;
}

/** What is wrong with an object, on one line. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  return issues.map(({ path, message }) => `${path.map(String).join(".")}: ${message}`).join("; ");
}

/** A list as the server gave it, items not yet validated. */
export interface RawList {
  /** Items. */
  readonly items: readonly unknown[];
  /** From where to watch. */
  readonly resourceVersion: string;
}

/** What a list is limited to. */
export interface ListScope {
  /** Namespace; all when absent. */
  readonly namespace?: string;
  /** Label selector. */
  readonly labelSelector?: string;
  /** Field selector, such as `spec.nodeName=a`. */
  readonly fieldSelector?: string;
}

/**
 * Lists a resource page by page.
 *
 * @throws {KubeError} `Gone` when the list changed too much between two pages
 */
export async function listRaw(
  connection: KubeConnection,
  resource: ResourcePath,
  scope: ListScope = {},
  signal?: AbortSignal,
): Promise<RawList> {
  const about = `list ${resource.plural}`;
  const items: unknown[] = [];
  let next: string | undefined;
  for (;;) {
    const answer = await connection.json({
      path: collectionPath(resource, scope.namespace),
      query: {
        labelSelector: scope.labelSelector,
        fieldSelector: scope.fieldSelector,
        limit: pageSize,
        continue: next,
      },
      about,
      signal,
    });
    const list = listSchema.safeParse(answer);
    if (!list.success) throw errorOfAnswer(about, describeIssues(list.error.issues));
    for (const item of list.data.items ?? []) items.push(withType(resource, item));
    next = list.data.metadata?.continue;
    if (next === undefined || next === "") {
      return { items, resourceVersion: list.data.metadata?.resourceVersion ?? "" };
    }
  }
}

/**
 * Makes the client of one resource. Answers are validated; an object that fails is a {@linkcode KubeError} `Invalid`
 * (in `list` it is left out: one bad object must not hide the others).
 *
 * @param connection The way to the server
 * @param resource Which resource, and what its objects look like
 */
export function createResourceClient<T extends KubeObject>(
  connection: KubeConnection,
  resource: ResourceKind<T>,
): ResourceClient<T> {
  const parse = (answer: unknown, about: string): T => {
    const parsed = resource.schema.safeParse(withType(resource, answer));
    if (parsed.success) return parsed.data;
    throw errorOfAnswer(about, describeIssues(parsed.error.issues));
  };
  const about = (verb: string, key: string) => `${verb} ${resource.plural} "${key}"`;

  const patch = async (
    path: string,
    what: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T> => {
    const contentType = mergePatch;
    return parse(
      await connection.json({ method: "PATCH", path, body, contentType, about: what, signal }),
      what,
    );
  };

  return {
    async get(key, signal) {
      const what = about("get", key);
      try {
        return parse(
          await connection.json({ path: objectPath(resource, key), about: what, signal }),
          what,
        );
      } catch (thrown) {
        if (isKubeError(thrown, "NotFound")) return undefined;
        throw thrown;
      }
    },
    async list(signal) {
      const { items } = await listRaw(connection, resource, {}, signal);
      return items.flatMap((item) => {
        const parsed = resource.schema.safeParse(item);
        return parsed.success ? [parsed.data] : [];
      });
    },
    async create(object, signal) {
      const what = about("create", keyOf(object));
      const path = collectionPath(resource, object.metadata.namespace);
      const body = withType(resource, object);
      return parse(
        await connection.json({ method: "POST", path, body, about: what, signal }),
        what,
      );
    },
    async replace(object, signal) {
      const what = about("replace", keyOf(object));
      const path = objectPath(resource, keyOf(object));
      const body = withType(resource, object);
      return parse(
        await connection.json({ method: "PUT", path, body, about: what, signal }),
        what,
      );
    },
    patch: (key, body, signal) =>
      patch(objectPath(resource, key), about("patch", key), body, signal),
    patchStatus: (key, body, signal) =>
      patch(`${objectPath(resource, key)}/status`, about("patch the status of", key), body, signal),
    async delete(key, preconditions, signal) {
      try {
        await connection.json({
          method: "DELETE",
          path: objectPath(resource, key),
          ...(preconditions === undefined
            ? {}
            : { body: { apiVersion: "v1", kind: "DeleteOptions", preconditions } }),
          about: about("delete", key),
          signal,
        });
      } catch (thrown) {
        if (!isKubeError(thrown, "NotFound")) throw thrown;
      }
    },
  };
}
