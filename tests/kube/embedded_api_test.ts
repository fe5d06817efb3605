import { randomBytes } from "node:crypto";
import { startApiServer } from "../../daemon/apiserver/server.ts";
import { createLogger } from "../../daemon/log.ts";
import { apiCases } from "./api_cases.ts";
import { connectByKubeconfig } from "./api_cases_client.ts";
import { type CaseWorld, cleanUp, createDomain } from "./api_cases_world.ts";

const quiet = createLogger("error", (line) => console.error(line));

for (const { name, run } of apiCases) {
  Deno.test(`embedded API: ${name}`, async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "pr2t-" });
    try {
      await using server = await startApiServer({
        dataDir,
        host: "127.0.0.1",
        port: 0,
        log: quiet,
        history: 20,
      });
      using api = await connectByKubeconfig(server.kubeconfigPath);
      const tag = `pr2t-${randomBytes(4).toString("hex")}`;
      const world: CaseWorld = { api, tag, expiredVersion: () => writeBeyondHistory(world) };
      await run(world);
      await cleanUp(world);
    } finally {
      await Deno.remove(dataDir, { recursive: true });
    }
  });
}

/** The history of these servers is 20 changes long, and at most a quarter more. */
async function writeBeyondHistory(world: CaseWorld): Promise<string> {
  for (let count = 0; count < 30; count++) await createDomain(world, `filler${count}`);
  return "1";
}
