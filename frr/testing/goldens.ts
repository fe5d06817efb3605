/** The goldens: models, and the configuration text that each must give. */

import type { FrrModel } from "../model.ts";

const FOLDER = new URL("../goldens/", import.meta.url);

/** Names of all goldens, sorted. */
export async function goldenNames(): Promise<string[]> {
  const files = await Array.fromAsync(Deno.readDir(FOLDER));
  return files.filter((file) => file.name.endsWith(".json"))
    .map((file) => file.name.slice(0, -".json".length)).toSorted();
}

/** The configuration text of a golden. */
export async function readGolden(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`${name}.conf`, FOLDER));
}

/** The model of a golden. The goldens are this project's own files, so that their form is taken as given. */
export async function readGoldenModel(name: string): Promise<FrrModel> {
  return JSON.parse(await Deno.readTextFile(new URL(`${name}.json`, FOLDER)));
}
