/** The HTTP application: authentication, errors, and what answers which path. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, Hono } from "hono";
import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import { ApiError, noSuchResource } from "./api_error.ts";
import { aggregated, coreVersions, group, groupList, resourceList } from "./discovery.ts";
import type { JsonObject } from "./json.ts";
import { negotiate } from "./negotiate.ts";
import { openApiDocument, openApiIndex, openApiV2 } from "./openapi.ts";
import { createRequestCounter } from "./request_counter.ts";
import { servedKinds } from "./served_kinds.ts";

/** What {@linkcode createApp} needs. */
export interface AppParts {
  /** Bearer token that clients must show. */
  readonly token: string;
  /** Answers requests on resources; throws ApiError. */
  readonly resources: (request: Request) => Promise<Response>;
  /** Where unforeseen errors go. */
  readonly log: Logger;
}

/** The Kubernetes version whose behaviour is followed. */
const version = { major: "1", minor: "34", gitVersion: "v1.34.0-pyroute2-cni" };

const protobufOpenApi = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/** Makes the application. */
export function createApp(parts: AppParts): (request: Request) => Response | Promise<Response> {
  const app = new Hono({ strict: false });
  const expected = digest(`Bearer ${parts.token}`);

  for (const path of ["/livez", "/readyz", "/healthz"]) app.get(path, (c) => c.text("ok"));
  app.use(async (c, next) => {
    // Digests have one length, so that comparing them tells nothing of the token.
    if (!timingSafeEqual(digest(c.req.header("authorization") ?? ""), expected)) {
      throw new ApiError(401, "Unauthorized", "Unauthorized");
    }
    await next();
  });
  const requests = createRequestCounter();
  app.get(
    "/metrics",
    (c) => c.body(requests.render(), 200, { "content-type": "text/plain; version=0.0.4" }),
  );
  app.use(async (c, next) => {
    await next();
    requests.count(c.req.raw, c.res.status);
  });
  addDiscovery(app);
  for (const path of ["/api/*", "/apis/*"]) app.all(path, (c) => parts.resources(c.req.raw));
  app.notFound(() => statusResponse(noSuchResource()));
  app.onError((error, c) => {
    if (error instanceof ApiError) return statusResponse(error);
    parts.log.error("request failed", {
      method: c.req.method,
      path: c.req.path,
      error: messageOf(error),
    });
    return statusResponse(
      new ApiError(500, "InternalError", "Internal error occurred: see the server's log"),
    );
  });
  return (request) => app.fetch(request);
}

function addDiscovery(app: Hono): void {
  app.get(
    "/version",
    (c) => c.json({ ...version, platform: "linux", goVersion: "", compiler: "" }),
  );
  app.get("/api", (c) => discover(c, true, coreVersions()));
  app.get("/apis", (c) => discover(c, false, groupList(servedKinds)));
  app.get("/api/:version", (c) => found(c, resourceList(servedKinds, c.req.param("version"))));
  app.get("/apis/:group", (c) => found(c, group(servedKinds, c.req.param("group"))));
  app.get("/apis/:group/:version", (c) => {
    const { group, version } = c.req.param();
    return found(c, resourceList(servedKinds, `${group}/${version}`));
  });
  app.get("/openapi/v2", (c) => {
    const accepted = c.req.header("accept") ?? "";
    // kubectl before 1.27 takes protobuf alone here; an empty document, of no bytes, makes it leave validation to the server.
    if (!accepted.includes("json") && accepted.includes(protobufOpenApi)) {
      return c.body(new Uint8Array(0), 200, { "content-type": "application/octet-stream" });
    }
    return found(c, openApiV2(version.gitVersion));
  });
  app.get("/openapi/v3", (c) => found(c, openApiIndex(servedKinds)));
  app.get("/openapi/v3/:root{.+}", (c) => {
    return found(c, openApiDocument(servedKinds, c.req.param("root"), version.gitVersion));
  });
}

function discover(c: Context, core: boolean, classic: JsonObject): Response {
  if (negotiate(c.req.header("accept")) !== "aggregated-discovery") return found(c, classic);
  return new Response(JSON.stringify(aggregated(servedKinds, core)), {
    headers: {
      "content-type": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    },
  });
}

function found(c: Context, body: JsonObject | undefined): Response {
  if (body === undefined) throw noSuchResource();
  return c.body(JSON.stringify(body), 200, { "content-type": "application/json" });
}

function statusResponse(error: ApiError): Response {
  return new Response(JSON.stringify(error.toStatus()) + "\n", {
    status: error.httpStatus,
    headers: { "content-type": "application/json" },
  });
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
