/** Objects in the form that a client has asked for. */
import { apiVersionOf } from "../resources/kind.ts";
import type { ApiObject } from "./api_object.ts";
import { type Page, renderList } from "./collection.ts";
import type { JsonObject } from "./json.ts";
import type { AnswerForm } from "./negotiate.ts";
import type { ServedKind } from "./served_kinds.ts";
import { type IncludeObject, renderTable } from "./table.ts";

/** A form of answer, for one kind. */
export interface Presenter {
  /** One object. */
  object(object: ApiObject): JsonObject;
  /** A page of a collection. */
  page(page: Page): JsonObject;
  /** A bookmark of a watch. */
  bookmark(revision: number, annotations?: Record<string, string>): JsonObject;
}

/** Makes the presenter of a form. */
export function createPresenter(
  served: ServedKind,
  form: AnswerForm,
  include: IncludeObject,
  now: () => Date,
): Presenter {
  const { kind } = served;
  const bookmark = (revision: number, annotations?: Record<string, string>): JsonObject => ({
    kind: kind.kind,
    apiVersion: apiVersionOf(kind),
    metadata: {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(annotations === undefined ? {} : { annotations }),
    },
  });
  if (form === "table") {
    const table = (objects: readonly ApiObject[], metadata: JsonObject) =>
      renderTable(kind, objects, metadata, include, now());
    return {
      object: (object) => table([object], { resourceVersion: object.metadata.resourceVersion }),
      page: (page) => table(page.items, page.metadata),
      bookmark: (revision) => table([], { resourceVersion: String(revision) }),
    };
  }
  if (form === "metadata") {
    const partial = (object: ApiObject): JsonObject => ({
      kind: "PartialObjectMetadata",
      apiVersion: "meta.k8s.io/v1",
      metadata: object.metadata,
    });
    return {
      object: partial,
      page: (page) => ({
        kind: "PartialObjectMetadataList",
        apiVersion: "meta.k8s.io/v1",
        metadata: page.metadata,
        items: page.items.map(partial),
      }),
      bookmark: (revision, annotations) => ({
        ...bookmark(revision, annotations),
        kind: "PartialObjectMetadata",
        apiVersion: "meta.k8s.io/v1",
      }),
    };
  }
  return { object: (object) => object, page: (page) => renderList(served, page), bookmark };
}
