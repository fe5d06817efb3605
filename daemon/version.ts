import denoJson from "../deno.json" with { type: "json" };

/** The project's version. */
export const version: string = denoJson.version;
