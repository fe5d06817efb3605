/** The verbs of the API on objects, over a store; no HTTP here. */
import { rfc3339Seconds } from "../resources/conditions.ts";
import { namespaceKind } from "../resources/core.ts";
import { apiVersionOf } from "../resources/kind.ts";
import { alreadyExists, badRequest, forbidden, invalid, notFound } from "./api_error.ts";
import { type ApiMeta, type ApiObject, objectKey, resourceKey, withMeta } from "./api_object.ts";
import {
  checkIdentity,
  checkNamespace,
  checkPreconditions,
  checkTypeMeta,
  finalizerCauses,
} from "./checks.ts";
import { immutabilityCauses, judgeUnknownFields, validateContent } from "./content.ts";
import { equalJson, isJsonObject, type JsonObject } from "./json.ts";
import { decodeMeta, metaCauses, type SentMeta } from "./object_meta.ts";
import {
  asTerminating,
  dropsStatusOnCreate,
  isImmortalNamespace,
  isTerminating,
  type ServedKind,
  servedKinds,
} from "./served_kinds.ts";
import type { Store } from "./store.ts";
import type { ResourceService, Target, WriteOptions } from "./verbs.ts";

/** What {@linkcode createResourceService} needs. */
export interface ServiceParts {
  /** Where objects are kept. */
  readonly store: Store;
  /** The clock. */
  readonly now: () => Date;
  /** Makes UIDs, and the random part of generated names. */
  readonly randomUuid: () => string;
}

/** Makes the verbs. */
export function createResourceService(parts: ServiceParts): ResourceService {
  const { store, now, randomUuid } = parts;

  const find = (target: Omit<Target, "subresource">): ApiObject | undefined =>
    store.get({
      resource: target.served.resource,
      namespace: target.namespace,
      name: target.name,
    });

  const get = (target: Target): ApiObject => {
    const object = find(target);
    if (object === undefined) throw notFound(target.served.kind, target.name);
    return object;
  };

  const keep = (served: ServedKind, object: ApiObject, dryRun: boolean): ApiObject =>
    dryRun ? object : store.put(objectKey(served.kind, object), object);

  const removeNow = (served: ServedKind, object: ApiObject, dryRun: boolean): ApiObject => {
    if (dryRun) return object;
    const last = store.remove(objectKey(served.kind, object)) ?? object;
    if (object.metadata.namespace !== undefined) finishNamespace(object.metadata.namespace);
    return last;
  };

  const finishNamespace = (name: string): void => {
    const key = { resource: resourceKey(namespaceKind), namespace: "", name };
    const namespace = store.get(key);
    if (namespace === undefined || !isTerminating(namespace)) return;
    if ((namespace.metadata.finalizers ?? []).length > 0) return;
    const left = namespacedKinds().some(({ resource }) =>
      store.list(resource, name).items.length > 0
    );
    if (!left) store.remove(key);
  };

  const create: ResourceService["create"] = (target, sent, options) => {
    const { served, namespace } = target;
    const { kind } = served;
    checkTypeMeta(served, sent);
    const { meta, unknown } = decodeMeta(sent);
    checkNamespace(meta, namespace);
    const name = meta.name ??
      (meta.generateName === undefined ? "" : `${meta.generateName}${randomSuffix(randomUuid())}`);
    if ((meta.resourceVersion ?? "") !== "") {
      throw badRequest("resourceVersion should not be set on objects to be created");
    }
    const dropStatus = dropsStatusOnCreate(kind);
    const content = validateContent(kind, sent, (part) => !(dropStatus && part === "status"));
    const causes = [
      ...metaCauses(kind, { ...meta, name }),
      ...content.causes,
      ...served.objections(sent, namespace),
    ];
    if (causes.length > 0) throw invalid(kind, name, causes);
    for (
      const warning of judgeUnknownFields([...unknown, ...content.unknown], options.fieldValidation)
    ) {
      options.warn(warning);
    }
    if (find({ served, namespace, name }) !== undefined) throw alreadyExists(kind, name);
    refuseInTerminatingNamespace(target, name);
    const metadata: ApiMeta = {
      name,
      ...(meta.generateName === undefined ? {} : { generateName: meta.generateName }),
      ...(namespace === "" ? {} : { namespace }),
      uid: randomUuid(),
      resourceVersion: "",
      ...(served.custom ? { generation: 1 } : {}),
      creationTimestamp: rfc3339Seconds(now()),
      ...editableMeta(meta),
      ...(options.managedFields === undefined ? {} : { managedFields: options.managedFields }),
    };
    const object: ApiObject = {
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata,
      ...content.kept,
    };
    return keep(served, served.admit(object), options.dryRun);
  };

  const refuseInTerminatingNamespace = (
    target: Omit<Target, "name">,
    name: string,
  ): void => {
    if (target.namespace === "") return;
    const key = { resource: resourceKey(namespaceKind), namespace: "", name: target.namespace };
    if (!isTerminating(store.get(key))) return;
    throw forbidden(
      target.served.kind,
      name,
      `unable to create new content in namespace ${target.namespace} because it is being terminated`,
    );
  };

  const update: ResourceService["update"] = (target, sent, options) => {
    const { served, subresource } = target;
    const { kind } = served;
    const current = get(target);
    checkTypeMeta(served, sent);
    const { meta, unknown } = decodeMeta(sent);
    checkIdentity(target, current, meta, options);
    const isStatus = (part: string) => kind.status && part === "status";
    const changes = (part: string) =>
      subresource === "status" ? part === "status" : !isStatus(part);
    const content = validateContent(kind, sent, changes);
    const causes = subresource === "status" ? content.causes : [
      ...metaCauses(kind, { ...meta, name: target.name }),
      ...finalizerCauses(current, meta),
      ...content.causes,
      ...immutabilityCauses(kind, current, content.kept),
    ];
    if (causes.length > 0) throw invalid(kind, target.name, causes);
    for (
      const warning of judgeUnknownFields([...unknown, ...content.unknown], options.fieldValidation)
    ) {
      options.warn(warning);
    }
    const kept = Object.fromEntries(
      Object.entries(current).filter(([part]) => part !== "metadata" && !changes(part)),
    );
    const metadata = nextMeta(current, meta, subresource, options);
    const draft: ApiObject = {
      ...kept,
      ...content.kept,
      apiVersion: current.apiVersion,
      kind: current.kind,
      metadata,
    };
    const next = served.custom && !equalJson(desiredState(draft), desiredState(current))
      ? withMeta(draft, { generation: (current.metadata.generation ?? 0) + 1 })
      : draft;
    if (isReleased(next)) {
      removeNow(served, current, options.dryRun);
      return next;
    }
    if (sameButOwnership(next, current)) return current;
    const written = keep(served, next, options.dryRun);
    if (kind === namespaceKind && !options.dryRun) finishNamespace(target.name);
    return written;
  };

  const remove: ResourceService["delete"] = (target, options) => {
    const { served } = target;
    const current = get(target);
    checkPreconditions(target, current, options);
    if (served.kind === namespaceKind && isImmortalNamespace(target.name)) {
      throw forbidden(served.kind, target.name, "this namespace may not be deleted");
    }
    if (served.kind === namespaceKind && !options.dryRun) emptyNamespace(target.name);
    const held = (current.metadata.finalizers ?? []).length > 0 ||
      (served.kind === namespaceKind && !options.dryRun && holdsContent(target.name));
    if (!held) return { object: removeNow(served, current, options.dryRun), gone: true };
    if (current.metadata.deletionTimestamp !== undefined) return { object: current, gone: false };
    const marked = withMeta(current, {
      deletionTimestamp: rfc3339Seconds(now()),
      deletionGracePeriodSeconds: 0,
      ...(current.metadata.generation === undefined
        ? {}
        : { generation: current.metadata.generation + 1 }),
    });
    const object = served.kind === namespaceKind ? asTerminating(marked) : marked;
    return { object: keep(served, object, options.dryRun), gone: false };
  };

  const emptyNamespace = (namespace: string): void => {
    for (const served of namespacedKinds()) {
      for (const item of store.list(served.resource, namespace).items) {
        const name = item.metadata.name;
        remove({ served, namespace, name, subresource: "" }, { dryRun: false });
      }
    }
  };

  const holdsContent = (namespace: string): boolean =>
    namespacedKinds().some(({ resource }) => store.list(resource, namespace).items.length > 0);

  return { get, create, update, delete: remove };
}

function namespacedKinds(): readonly ServedKind[] {
  return servedKinds.filter(({ kind }) => kind.scope === "Namespaced");
}

/** What a client may set; empty collections are left out, as Kubernetes does. */
function editableMeta(meta: SentMeta): Partial<ApiMeta> {
  const isEmpty = (value: object | undefined) =>
    value === undefined || Object.keys(value).length === 0;
  return {
    ...(isEmpty(meta.labels) ? {} : { labels: meta.labels }),
    ...(isEmpty(meta.annotations) ? {} : { annotations: meta.annotations }),
    ...(isEmpty(meta.finalizers) ? {} : { finalizers: meta.finalizers }),
    ...(isEmpty(meta.ownerReferences) ? {} : { ownerReferences: meta.ownerReferences }),
  };
}

function nextMeta(
  current: ApiObject,
  sent: SentMeta,
  subresource: Target["subresource"],
  options: WriteOptions,
): ApiMeta {
  const { labels, annotations, finalizers, ownerReferences, ...fixed } = current.metadata;
  const editable = subresource === "status"
    ? editableMeta({
      labels,
      annotations,
      finalizers,
      ownerReferences: ownerReferences?.filter(isJsonObject),
    })
    : editableMeta(sent);
  const owned = options.managedFields === undefined ? {} : { managedFields: options.managedFields };
  return { ...fixed, ...editable, ...owned } as ApiMeta;
}

/** What `generation` counts the changes of: all but metadata and status. */
function desiredState(object: ApiObject): JsonObject {
  const { metadata: _metadata, status: _status, ...desired } = object;
  return desired;
}

/** Whether an object marked for deletion has no finalizer left. */
function isReleased(object: ApiObject): boolean {
  return object.metadata.deletionTimestamp !== undefined &&
    (object.metadata.finalizers ?? []).length === 0 &&
    object.kind !== namespaceKind.kind;
}

/** Whether nothing changes but the times in managedFields: writing the same again must be no change. */
function sameButOwnership(next: ApiObject, current: ApiObject): boolean {
  const timeless = (object: ApiObject) =>
    withMeta(object, {
      managedFields: (object.metadata.managedFields ?? []).map((entry) =>
        isJsonObject(entry) ? { ...entry, time: "" } : entry
      ),
    });
  return equalJson(timeless(next), timeless(current));
}

function randomSuffix(uuid: string): string {
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  return uuid.replaceAll("-", "").match(/../g)?.slice(0, 5)
    .map((byte) => alphabet[Number.parseInt(byte, 16) % alphabet.length]).join("") ?? "";
}
