/** The shared cases against kube-apiserver and etcd. */
import { randomBytes } from "node:crypto";
import { apiCases } from "./api_cases.ts";
import { type ApiClient, connectByKubeconfig } from "./api_cases_client.ts";
import { type CaseWorld, cleanUp } from "./api_cases_world.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { type RealServer, startRealServer } from "./real_server.ts";

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);
const ignore = !probe.available;

let server: RealServer | undefined;

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  server = await startRealServer({
    binaries: probe.binaries,
    signal: AbortSignal.timeout(300_000),
  });
});

Deno.test.afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

function running(): RealServer {
  if (server === undefined) throw new Error("The server did not come up");
  return server;
}

function worldOf(api: ApiClient): CaseWorld {
  return {
    api,
    tag: `pr2t-${randomBytes(4).toString("hex")}`,
    expiredVersion: async () => {
      await running().forgetHistory();
      return "1";
    },
  };
}

/** Whether the etcd at hand tells the progress of watches; kube-apiserver turns the feature off where it does not. */
async function tellsWatchProgress(etcd: string): Promise<boolean> {
  const { stdout } = await new Deno.Command(etcd, { args: ["--version"] }).output();
  const version = /etcd Version: (\d+)\.(\d+)\.(\d+)/.exec(new TextDecoder().decode(stdout));
  const [major = 0, minor = 0, patch = 0] = version?.slice(1).map(Number) ?? [];
  return major > 3 || minor > 5 || (minor === 5 && patch >= 8) || (minor === 4 && patch >= 25);
}

const watchProgress = probe.available && await tellsWatchProgress(probe.binaries.etcd);
if (probe.available && !watchProgress) {
  console.error("Skipped, this etcd does not tell the progress of watches: initial events");
}

for (const { name, run, needsWatchProgress } of apiCases) {
  Deno.test({
    name: `kube-apiserver: ${name}`,
    ignore: ignore || (needsWatchProgress === true && !watchProgress),
    fn: async () => {
      using api = await connectByKubeconfig(running().kubeconfigPath);
      const world = worldOf(api);
      try {
        await run(world);
      } finally {
        await cleanUp(world);
      }
    },
  });
}
