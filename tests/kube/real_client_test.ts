/** The cases of the daemon's client against kube-apiserver and etcd. */
import { loadKube } from "../../daemon/kube/connect.ts";
import { clientCases } from "../../daemon/kube/testing/client_cases.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { type RealServer, startRealServer } from "./real_server.ts";

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);

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

for (const { name, run } of clientCases) {
  Deno.test({
    name: `on kube-apiserver ${name}`,
    ignore: !probe.available,
    fn: async () => {
      if (server === undefined) throw new Error("The server did not come up");
      const { kubeconfigPath, killApiServer, startApiServer } = server;
      using connection = loadKube({ kubeconfigPath });
      try {
        await run({ connection, stop: killApiServer, restart: startApiServer });
      } finally {
        await server.kubectl(["delete", "vrfdomains", "--all"]);
      }
    },
  });
}
