/** Cases of the kinds' own rules: CEL on a real server, predicates on the embedded one. */
import assert from "node:assert/strict";
import { ownKinds } from "../../daemon/resources/registry.ts";
import { type RuleSample, ruleSamples } from "../manifests/rule_samples.ts";
import { type Answer, type Json, listAt, textAt } from "./api_cases_client.ts";
import { type ApiCase, type CaseWorld, grant } from "./api_cases_world.ts";

/** Cases of rules. */
export const ruleCases: readonly ApiCase[] = [
  {
    name: "What a kind's rules forbid is refused by the field, and nothing else is",
    run: async (world) => {
      const wrong: string[] = [];
      for (const sample of ruleSamples) {
        const said = judge(sample, await send(world, sample));
        if (said !== "") wrong.push(`${sample.kind}, ${sample.what}: ${said}`);
      }
      assert.deepEqual(wrong, []);
    },
  },
];

/** Sends the object, or the change, as a dry run. */
async function send(world: CaseWorld, sample: RuleSample): Promise<Answer> {
  const kind = ownKinds.find((kind) => kind.kind === sample.kind);
  assert.ok(kind !== undefined, sample.kind);
  const collection = `/apis/${kind.group}/${kind.version}/${kind.plural}`;
  const name = `${world.tag}-rule`;
  const named = (object: Json, metadata: Json = {}) => ({
    ...object,
    metadata: { ...metadata, name },
  });
  if (sample.before === undefined) {
    return await world.api.ask("POST", `${collection}?dryRun=All`, { body: named(sample.object) });
  }
  const made = await grant(world, "POST", collection, { body: named(sample.before) });
  try {
    const resourceVersion = textAt(made, "metadata.resourceVersion");
    return await world.api.ask("PUT", `${collection}/${name}?dryRun=All`, {
      body: named(sample.object, { resourceVersion }),
    });
  } finally {
    await grant(world, "DELETE", `${collection}/${name}`);
  }
}

/** What is wrong with an answer; empty when nothing is. */
function judge({ refused }: RuleSample, { status, body }: Answer): string {
  if (refused.length === 0) return status < 300 ? "" : `refused: ${JSON.stringify(body)}`;
  if (status !== 422) return `expected 422, found ${status}`;
  const fields = listAt(body, "details.causes").map((cause) => textAt(cause, "field"));
  const missing = refused.filter((field) => !fields.includes(field));
  return missing.length === 0 ? "" : `expected ${missing}, found ${fields}`;
}
