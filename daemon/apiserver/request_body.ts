/** Bodies of requests, decoded. */
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { isNestedTooDeep, mostLevels } from "../../lib/nesting.ts";
import { ApiError, badRequest, unsupportedMediaType } from "./api_error.ts";
import { concat } from "./bytes.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from "./json.ts";
import type { QueryReader } from "./collection.ts";
import { decodeProtobuf, protobufType } from "./protobuf_body.ts";
import type { DeleteOptions } from "./verbs.ts";

/** Largest body, in bytes, as a kube-apiserver takes it. */
export const maxBodyBytes = 3 * 1024 * 1024;

/** Media types of objects. */
const objectTypes: readonly string[] = ["application/json", "application/yaml"];

/** The media type of a header, without parameters. */
export function mediaType(header: string | undefined): string {
  return (header ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * Decodes a body.
 *
 * @throws {ApiError} 400 when it cannot be parsed, 413 when it is larger than {@linkcode maxBodyBytes}
 */
export async function readBody(request: Request, type: string): Promise<JsonValue> {
  return decode(await readText(request), type);
}

function decode(text: string, type: string): JsonValue {
  const value = parse(text, type);
  if (isNestedTooDeep(value)) {
    throw badRequest(
      `the body of the request cannot be parsed: it is nested deeper than ${mostLevels} levels`,
    );
  }
  return value;
}

function parse(text: string, type: string): JsonValue {
  try {
    return type.includes("yaml") ? parseYamlOrJson(text) : parseJson(text);
  } catch (error) {
    throw badRequest(`the body of the request cannot be parsed: ${messageOf(error)}`);
  }
}

/**
 * All JSON is YAML, and kubectl sends it under that name: it is read a hundred times faster as what it is. YAML's merge keys and custom
 * tags stay off: the result is plain JSON. Of a key given twice the last one counts, as in JSON: to look for it takes the square of the
 * number of keys.
 */
function parseYamlOrJson(text: string): JsonValue {
  try {
    return parseJson(text);
  } catch {
    return toJson(parseYaml(text, { maxAliasCount: 100, uniqueKeys: false }));
  }
}

async function readText(request: Request): Promise<string> {
  return new TextDecoder().decode(await readBytes(request));
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBodyBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return concat(...chunks);
}

function tooLarge(): ApiError {
  return new ApiError(
    413,
    "RequestEntityTooLarge",
    `Request entity too large: limit is ${maxBodyBytes}`,
  );
}

function toJson(value: unknown): JsonValue {
  return value === undefined ? null : parseJson(JSON.stringify(value));
}

/**
 * Decodes a body that is an object of the API.
 *
 * @throws {ApiError} 400 when it is no object, 415 for another media type
 */
export async function readObject(request: Request): Promise<JsonObject> {
  const type = mediaType(request.headers.get("content-type") ?? "application/json");
  if (type === protobufType) return decodeProtobuf(await readBytes(request));
  if (!objectTypes.includes(type)) throw unsupportedMediaType(objectTypes);
  const body = await readBody(request, type);
  if (!isJsonObject(body)) throw badRequest("Expected the body of the request to be an object");
  return body;
}

const deleteOptions = z.object({
  preconditions: z.object({
    uid: z.string().nullish(),
    resourceVersion: z.string().nullish(),
  }).nullish(),
  dryRun: z.array(z.string()).nullish(),
  propagationPolicy: z.enum(["Orphan", "Background", "Foreground"]).nullish(),
});

/**
 * Decodes the options of a deletion, from the body if there is one, and from the query. Policies are accepted and have no
 * effect: no object of this API owns another.
 *
 * @throws {ApiError} 400 when they cannot be understood
 */
export async function readDeleteOptions(
  request: Request,
  query: QueryReader,
): Promise<DeleteOptions> {
  const type = mediaType(request.headers.get("content-type") ?? undefined);
  const hasBody = request.body !== null && (type === "" || objectTypes.includes(type));
  const body = hasBody ? await readOptionalBody(request, type) : {};
  const parsed = deleteOptions.safeParse(body);
  if (!parsed.success) {
    throw badRequest(`the options of the deletion are invalid: ${messageOf(parsed.error)}`);
  }
  const { preconditions, dryRun } = parsed.data;
  return {
    dryRun: isDryRun(dryRun?.[0] ?? query("dryRun")),
    uid: preconditions?.uid ?? undefined,
    resourceVersion: preconditions?.resourceVersion ?? undefined,
  };
}

async function readOptionalBody(request: Request, type: string): Promise<JsonValue> {
  const text = await readText(request);
  return text.trim() === "" ? {} : decode(text, type);
}

/**
 * Parses `dryRun`.
 *
 * @throws {ApiError} 400 for another value than `All`
 */
export function isDryRun(text: string | undefined): boolean {
  if (text === undefined || text === "") return false;
  if (text === "All") return true;
  throw badRequest(`Expected dryRun to be "All", found ${JSON.stringify(text)}`);
}
