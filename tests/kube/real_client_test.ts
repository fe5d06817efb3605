/** The cases of the daemon's client against kube-apiserver and etcd. */
import { loadKube } from "../../daemon/kube/connect.ts";
import { allClientCases } from "../../daemon/kube/testing/cases.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { type RealServer, startRealServer } from "./real_server.ts";
import { renewableToken } from "./renewed_token.ts";

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);
const ignore = !probe.available;

let server: RealServer | undefined;
let renewToken: () => Promise<string>;

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  server = await startRealServer({
    binaries: probe.binaries,
    signal: AbortSignal.timeout(900_000),
  });
  renewToken = await renewableToken(server.kubectl);
});

Deno.test.afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

function running(): RealServer {
  if (server === undefined) throw new Error("The server did not come up");
  return server;
}

for (const { name, run } of allClientCases) {
  Deno.test({
    name: `on kube-apiserver ${name}`,
    ignore,
    fn: async () => {
      const { kubeconfigPath, authority, token, kubectl, ...server } = running();
      using connection = loadKube({ kubeconfigPath });
      try {
        await run({
          connection,
          authority,
          token,
          stop: server.killApiServer,
          restart: server.startApiServer,
          forgetHistory: async () => {
            await server.forgetHistory();
            // What it has in its own memory goes with it.
            await server.killApiServer();
            await server.startApiServer();
          },
          renewToken,
        });
      } finally {
        await kubectl(["delete", "vrfdomains", "--all"]);
      }
    },
  });
}
