/** Which form of an answer a client accepts. */
import { ApiError } from "./api_error.ts";

/** Form of an answer. */
export type AnswerForm = "json" | "table" | "aggregated-discovery" | "metadata";

interface MediaType {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

function parseAccept(header: string): readonly MediaType[] {
  return header.split(",").map((entry) => {
    const [type = "", ...parameters] = entry.split(";").map((part) => part.trim());
    return {
      type: type.toLowerCase(),
      parameters: new Map(parameters.map((parameter) => {
        const [name = "", value = ""] = parameter.split("=");
        return [name, value];
      })),
    };
  });
}

/**
 * The first form in an Accept header that can be given.
 *
 * @param header The header, if any
 * @throws {ApiError} 406 when there is none
 */
export function negotiate(header: string | undefined): AnswerForm {
  if (header === undefined || header.trim() === "") return "json";
  for (const { type, parameters } of parseAccept(header)) {
    if (!["application/json", "application/*", "*/*"].includes(type)) continue;
    const as = parameters.get("as");
    const version = parameters.get("v");
    if (as === undefined) return "json";
    if (as === "Table" && version === "v1") return "table";
    if (as.startsWith("PartialObjectMetadata") && version === "v1") return "metadata";
    if (as === "APIGroupDiscoveryList" && version === "v2") return "aggregated-discovery";
  }
  throw new ApiError(
    406,
    "NotAcceptable",
    "only the following media types are accepted: application/json",
  );
}
