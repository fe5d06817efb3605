/** Judges a kubeconfig that is to be copied. Pure. */
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { CodedError, messageOf } from "../../lib/errors.ts";

/** Keys whose value is the path of a file. */
const fileKeys = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];

const named = <T extends z.ZodType>(key: string, value: T) =>
  z.looseObject({ name: z.string(), [key]: value });
const entry = z.looseObject({});
const schema = z.looseObject({
  "current-context": z.string().min(1),
  clusters: z.array(named("cluster", z.looseObject({ server: z.string().min(1) }))).min(1),
  contexts: z.array(named("context", z.looseObject({ cluster: z.string() }))).min(1),
  users: z.array(named("user", entry.nullish())).nullish(),
});

/**
 * Checks that the text is a kubeconfig that works in another folder, too.
 *
 * @param path For the message
 * @throws {CodedError} `UsageInvalid`
 */
export function checkKubeconfig(text: string, path: string): void {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (cause) {
    throw invalid(path, messageOf(cause), cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const found = parsed.error.issues.map((issue) => `"${issue.path.join(".")}": ${issue.message}`);
    throw invalid(path, found.join("; "));
  }
  const relative = pathsIn(value).filter((each) => !each.startsWith("/"));
  if (relative.length > 0) {
    throw invalid(
      path,
      `the relative ${relative.map((each) => `"${each}"`).join(", ")}, which a copy would not find`,
    );
  }
}

/** Values of the keys that name files, wherever they stand. */
function pathsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(pathsIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) =>
    fileKeys.includes(key) && typeof each === "string" ? [each] : pathsIn(each)
  );
}

function invalid(path: string, found: string, cause?: unknown): CodedError {
  return new CodedError(
    "UsageInvalid",
    `Expected a whole kubeconfig in "${path}", found ${found}; make one with "kubectl config view --raw --flatten --minify"`,
    { cause },
  );
}
