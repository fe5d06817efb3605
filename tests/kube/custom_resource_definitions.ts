/** The CustomResourceDefinitions that a real API server is given: those of manifests/. */
import { parseAllDocuments } from "yaml";

const directory = new URL("../../manifests/crds", import.meta.url).pathname;

/** All of them as one list object, in JSON. */
export async function customResourceDefinitions(): Promise<string> {
  const items: unknown[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!name.endsWith(".yaml") || name === "kustomization.yaml") continue;
    const text = await Deno.readTextFile(`${directory}/${name}`);
    for (const document of parseAllDocuments(text)) items.push(document.toJS());
  }
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}
