/** What a server makes of a Secret's write-only field. Pure. */
import { isJsonObject, type JsonObject, type JsonValue, own } from "./json.ts";

/**
 * A Secret's content with `stringData` folded into `data`, as a kube-apiserver keeps it: values in base64, `stringData` before what `data`
 * says of the same key.
 *
 * @param content What is beside metadata; valid
 */
export function foldStringData(content: JsonObject): JsonObject {
  const { stringData: _, ...rest } = content;
  const plain = own(content, "stringData");
  if (!isJsonObject(plain)) return rest;
  const data = own(content, "data");
  const folded: Record<string, JsonValue | undefined> = { ...isJsonObject(data) ? data : {} };
  for (const [key, value] of Object.entries(plain)) folded[key] = toBase64(String(value));
  return { ...rest, data: folded };
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
