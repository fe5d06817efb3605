import { allClientCases } from "./testing/cases.ts";
import { EmbeddedApi } from "./testing/embedded_api.ts";

for (const { name, run } of allClientCases) {
  Deno.test(`on the embedded API ${name}`, async () => {
    await using api = await EmbeddedApi.start();
    await run(api);
  });
}
