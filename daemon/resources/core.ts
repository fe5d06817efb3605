/** Kubernetes' own kinds, as far as this project reads them; all other content passes through. */
import { z } from "zod";
import { zodOf } from "./fields.ts";
import { objectMeta, type ResourceKind, type ResourceObject, type Schema } from "./kind.ts";

/** A namespace. */
export interface Namespace extends ResourceObject {
  /** Lifecycle. */
  readonly status?: { readonly phase?: string | undefined } | undefined;
}

/** A node. */
export interface Node extends ResourceObject {
  /** What is wanted. */
  readonly spec?: {
    readonly podCIDR?: string | undefined;
    readonly unschedulable?: boolean | undefined;
  } | undefined;
  /** What the kubelet says. */
  readonly status?: {
    readonly addresses?:
      | readonly { readonly type: string; readonly address: string }[]
      | undefined;
    readonly conditions?:
      | readonly { readonly type: string; readonly status: string }[]
      | undefined;
  } | undefined;
}

/** A pod. */
export interface Pod extends ResourceObject {
  /** What is wanted. */
  readonly spec?: {
    readonly nodeName?: string | undefined;
    readonly hostNetwork?: boolean | undefined;
  } | undefined;
  /** What the kubelet says. */
  readonly status?: {
    readonly phase?: string | undefined;
    readonly podIP?: string | undefined;
    readonly podIPs?: readonly { readonly ip: string }[] | undefined;
  } | undefined;
}

/** Reference to an object of any kind. */
export interface ObjectReference {
  /** API group and version. */
  readonly apiVersion?: string | undefined;
  /** Kind. */
  readonly kind?: string | undefined;
  /** Namespace. */
  readonly namespace?: string | undefined;
  /** Name. */
  readonly name?: string | undefined;
  /** UID. */
  readonly uid?: string | undefined;
}

/** An event of core/v1. */
export interface Event extends ResourceObject {
  /** What it is about. */
  readonly involvedObject: ObjectReference;
  /** Why, as one CamelCase word. */
  readonly reason?: string | undefined;
  /** For a person. */
  readonly message?: string | undefined;
  /** `Normal` or `Warning`. */
  readonly type?: string | undefined;
  /** How often it was seen. */
  readonly count?: number | undefined;
  /** When it was first seen, RFC 3339. */
  readonly firstTimestamp?: string | null | undefined;
  /** When it was last seen, RFC 3339. */
  readonly lastTimestamp?: string | null | undefined;
  /** Who says so. */
  readonly source?: {
    readonly component?: string | undefined;
    readonly host?: string | undefined;
  } | undefined;
}

/** A secret. */
export interface Secret extends ResourceObject {
  /** Values in base64, by key. */
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** A lease of coordination.k8s.io, for leader election and heartbeats. */
export interface Lease extends ResourceObject {
  /** Who holds it. */
  readonly spec?: {
    readonly holderIdentity?: string | null | undefined;
    readonly leaseDurationSeconds?: number | null | undefined;
    readonly acquireTime?: string | null | undefined;
    readonly renewTime?: string | null | undefined;
    readonly leaseTransitions?: number | null | undefined;
  } | undefined;
}

const text = z.string().optional();
const nullableText = z.string().nullish();
/** RFC 3339 with exactly six digits of a second (meta/v1, MicroTime): a kube-apiserver takes no other. */
const microTime = z.string().regex(
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/,
  "Expected an RFC 3339 time with microseconds",
).nullish();

function coreSchema<T extends ResourceObject>(shape: z.core.$ZodLooseShape): Schema<T> {
  return z.looseObject({
    apiVersion: text,
    kind: text,
    metadata: zodOf(objectMeta),
    ...shape,
  }) as unknown as Schema<T>;
}

/** The kind Namespace. */
export const namespaceKind: ResourceKind<Namespace> = {
  group: "",
  version: "v1",
  kind: "Namespace",
  plural: "namespaces",
  singular: "namespace",
  shortNames: ["ns"],
  scope: "Cluster",
  status: true,
  printerColumns: [{ name: "Status", type: "string", jsonPath: ".status.phase" }],
  schema: coreSchema<Namespace>({ status: z.looseObject({ phase: text }).optional() }),
};

/** The kind Node. */
export const nodeKind: ResourceKind<Node> = {
  group: "",
  version: "v1",
  kind: "Node",
  plural: "nodes",
  singular: "node",
  shortNames: ["no"],
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    {
      name: "Internal-IP",
      type: "string",
      jsonPath: '.status.addresses[?(@.type=="InternalIP")].address',
    },
  ],
  schema: coreSchema<Node>({
    spec: z.looseObject({ podCIDR: text, unschedulable: z.boolean().optional() }).optional(),
    status: z.looseObject({
      addresses: z.array(z.looseObject({ type: z.string(), address: z.string() })).optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).optional(),
    }).optional(),
  }),
};

/** The kind Pod. */
export const podKind: ResourceKind<Pod> = {
  group: "",
  version: "v1",
  kind: "Pod",
  plural: "pods",
  singular: "pod",
  shortNames: ["po"],
  scope: "Namespaced",
  status: true,
  printerColumns: [
    { name: "Status", type: "string", jsonPath: ".status.phase" },
    { name: "IP", type: "string", jsonPath: ".status.podIP" },
    { name: "Node", type: "string", jsonPath: ".spec.nodeName" },
  ],
  schema: coreSchema<Pod>({
    spec: z.looseObject({ nodeName: text, hostNetwork: z.boolean().optional() }).optional(),
    status: z.looseObject({
      phase: text,
      podIP: text,
      podIPs: z.array(z.looseObject({ ip: z.string() })).optional(),
    }).optional(),
  }),
};

/** The kind Secret. What is written as `stringData` becomes `data`, as on a real server. */
export const secretKind: ResourceKind<Secret> = {
  group: "",
  version: "v1",
  kind: "Secret",
  plural: "secrets",
  singular: "secret",
  shortNames: [],
  scope: "Namespaced",
  status: false,
  printerColumns: [{ name: "Type", type: "string", jsonPath: ".type" }],
  schema: coreSchema<Secret>({
    type: text,
    data: z.record(z.string(), z.base64()).optional(),
    stringData: z.record(z.string(), z.string()).optional(),
  }),
};

/** The kind Event of core/v1. */
export const eventKind: ResourceKind<Event> = {
  group: "",
  version: "v1",
  kind: "Event",
  plural: "events",
  singular: "event",
  shortNames: ["ev"],
  scope: "Namespaced",
  status: false,
  printerColumns: [
    { name: "Type", type: "string", jsonPath: ".type" },
    { name: "Reason", type: "string", jsonPath: ".reason" },
    { name: "Object", type: "string", jsonPath: ".involvedObject.name" },
    { name: "Message", type: "string", jsonPath: ".message" },
  ],
  schema: coreSchema<Event>({
    involvedObject: z.looseObject({
      apiVersion: text,
      kind: text,
      namespace: text,
      name: text,
      uid: text,
    }),
    reason: text,
    message: text,
    type: text,
    count: z.int().optional(),
    firstTimestamp: nullableText,
    lastTimestamp: nullableText,
    source: z.looseObject({ component: text, host: text }).optional(),
  }),
};

/** The kind Lease. */
export const leaseKind: ResourceKind<Lease> = {
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  plural: "leases",
  singular: "lease",
  shortNames: [],
  scope: "Namespaced",
  status: false,
  printerColumns: [{ name: "Holder", type: "string", jsonPath: ".spec.holderIdentity" }],
  schema: coreSchema<Lease>({
    spec: z.looseObject({
      holderIdentity: nullableText,
      leaseDurationSeconds: z.int().min(1).nullish(),
      acquireTime: microTime,
      renewTime: microTime,
      leaseTransitions: z.int().min(0).nullish(),
    }).optional(),
  }),
};

/** Kubernetes' own kinds that this project uses. */
export const coreKinds: readonly ResourceKind[] = [
  namespaceKind,
  nodeKind,
  podKind,
  secretKind,
  eventKind,
  leaseKind,
];
