/** The embedded Kubernetes API, behind its token. */
import fc from "fast-check";
import { join } from "node:path";
import { createApp } from "../../../daemon/apiserver/app.ts";
import { createResourceHandler } from "../../../daemon/apiserver/resource_handler.ts";
import { createResourceService } from "../../../daemon/apiserver/service.ts";
import { openStore } from "../../../daemon/apiserver/store.ts";
import { acceptedPatchTypes } from "../../../daemon/apiserver/patch_request.ts";
import { servedKinds } from "../../../daemon/apiserver/served_kinds.ts";
import { createLogger } from "../../../daemon/log.ts";
import { apiVersionOf } from "../../../daemon/resources/kind.ts";
import { exploring } from "../explore.ts";
import { changedJson, hostileText } from "../mutation.ts";
import type { FuzzTarget } from "../target.ts";
import { objectOf } from "../sample_objects.ts";

const token = "fuzz";
const names = ["a", "b", "default"];

const queries = [
  "labelSelector",
  "fieldSelector",
  "resourceVersion",
  "resourceVersionMatch",
  "limit",
  "continue",
  "watch",
  "sendInitialEvents",
  "timeoutSeconds",
  "fieldValidation",
  "dryRun",
  "includeObject",
  "propagationPolicy",
];

const queryValue = fc.oneof(
  fc.constantFrom(
    ...["app=web", "app in (web, b),!old", "metadata.name=a", "1", "0", "true", "All", "Strict"],
    ...["Exact", "NotOlderThan", "app notin (", "a>1", "spec.nodeName!=b", "eyJyIjoxfQ"],
  ),
  hostileText,
);

const accept = fc.oneof(
  fc.constantFrom(
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
  ),
  hostileText.map((text) => text.replaceAll(/[^\x20-\x7e]/g, "")),
);

const types = [
  "application/json",
  "application/yaml",
  "application/vnd.kubernetes.protobuf",
  "",
];

/** One request. */
interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: readonly (readonly [string, string])[];
  readonly type: string;
  readonly accept: string;
  readonly body: string;
}

const requests: fc.Arbitrary<ApiRequest> = fc.constantFrom(...servedKinds).chain((served) => {
  const { kind } = served;
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${apiVersionOf(kind)}`;
  const folder = kind.scope === "Namespaced" ? `${root}/namespaces/default` : root;
  const name = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...names) }, {
    weight: 1,
    arbitrary: hostileText.map((text) => encodeURIComponent(text.toWellFormed())),
  });
  const collection = fc.constant(`${folder}/${kind.plural}`);
  const object = fc.tuple(name, fc.constantFrom("", "", "/status", "/scale"))
    .map(([name, subresource]) => `${folder}/${kind.plural}/${name}${subresource}`);
  const sample = objectOf(kind);
  const patches = [
    sample,
    { metadata: { labels: { a: "b" } }, spec: null, $patch: "delete" },
    {
      metadata: { finalizers: ["a/b"] },
      $retainKeys: ["metadata"],
      "$setElementOrder/ports": [{}],
    },
    [
      { op: "add", path: "/metadata/labels/x", value: "y" },
      { op: "test", path: "/spec", value: 1 },
      { op: "move", from: "/metadata/labels", path: "/metadata/annotations" },
      { op: "copy", from: "/spec", path: "/status" },
      { op: "remove", path: "/metadata/finalizers/0" },
    ],
    { preconditions: { uid: "u" }, dryRun: ["All"], propagationPolicy: "Background" },
  ];
  const common = {
    query: fc.array(fc.tuple(fc.constantFrom(...queries, "fieldManager", "force"), queryValue), {
      maxLength: 2,
    }),
    accept,
    body: fc.oneof({ weight: 6, arbitrary: changedJson([sample, ...patches]) }, {
      weight: 1,
      arbitrary: hostileText,
    }),
  };
  const created = JSON.stringify(sample);
  return fc.oneof(
    fc.record({
      ...common,
      method: fc.constantFrom("GET", "POST", "POST", "DELETE"),
      path: collection,
      type: fc.constantFrom(...types, "application/json"),
    }),
    fc.record({
      ...common,
      method: fc.constantFrom("GET", "PUT", "DELETE", "HEAD", "OPTIONS"),
      path: object,
      type: fc.constantFrom(...types),
    }),
    fc.record({
      ...common,
      method: fc.constant("PATCH"),
      path: object,
      type: fc.constantFrom(...acceptedPatchTypes(served)),
    }),
    fc.record({
      ...common,
      method: fc.constantFrom("GET", "POST"),
      path: fc.oneof(hostileText.map((text) => `/apis/${text}`), fc.constant("/openapi/v3/x")),
      type: fc.constantFrom(...types),
    }),
    // Without objects there is nothing to patch.
    fc.constant({
      method: "POST",
      path: `${folder}/${kind.plural}`,
      query: [],
      type: "application/json",
      accept: "application/json",
      body: created,
    }),
  );
});

/** Requests of whoever holds the token. */
export const embeddedApi: FuzzTarget = {
  name: "embedded-api",
  share: 5,
  begin() {
    const directory = Deno.makeTempDirSync({ prefix: "pr2t-fuzz-" });
    const store = openStore(join(directory, "objects.sqlite"), { history: 100 });
    const now = () => new Date(0);
    let fault = "";
    const service = createResourceService({ store, now, randomUuid: () => crypto.randomUUID() });
    const app = createApp({
      token,
      resources: createResourceHandler({
        store,
        service,
        now,
        watch: () => new Response("{}"),
        bookmarkInterval: 60_000,
      }),
      log: createLogger("error", (line) => fault = line),
    });
    return Promise.resolve(exploring({
      inputs: requests,
      attempt: async ({ method, path, query, type, accept, body }) => {
        const url = new URL("http://localhost");
        url.pathname = path;
        for (const [name, value] of query) url.searchParams.append(name, value);
        const sends = method !== "GET" && method !== "HEAD";
        const response = await app(
          new Request(url, {
            method,
            headers: { authorization: `Bearer ${token}`, "content-type": type, accept },
            ...sends ? { body } : {},
          }),
        );
        const text = await response.text();
        if (response.status === 500) throw new Error(`Expected no fault, found ${fault}`);
        if (method !== "HEAD" && response.status !== 204 && text !== "") JSON.parse(text);
      },
      [Symbol.asyncDispose]: () => {
        store[Symbol.dispose]();
        Deno.removeSync(directory, { recursive: true });
        return Promise.resolve();
      },
    }));
  },
};
