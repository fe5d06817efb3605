/** The daemon's client against the priority and fairness of a real kube-apiserver. */
import assert from "node:assert/strict";
import { loadKube } from "../../daemon/kube/connect.ts";
import { createResourceClient } from "../../daemon/kube/resource_client.ts";
import { refusal } from "../../daemon/kube/testing/case_api.ts";
import { eventually } from "../../daemon/kube/testing/eventually.ts";
import { KubeConfigFile, kubeconfigText } from "../../daemon/kube/testing/kubeconfig.ts";
import { vrfDomainKind } from "../../daemon/resources/vrf_domain.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { startRealServer } from "./real_server.ts";
import { account, namespace, renewableToken } from "./renewed_token.ts";
import { takeSeat } from "./single_seat.ts";

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);

Deno.test({
  name: "on kube-apiserver requests beyond an account's share wait as long as the server says",
  ignore: !probe.available,
  fn: async () => {
    if (!probe.available) return;
    const signal = AbortSignal.timeout(300_000);
    await using server = await startRealServer({ binaries: probe.binaries, signal });
    const { url, authority, kubectl } = server;
    const token = await (await renewableToken(kubectl))();
    using file = new KubeConfigFile(kubeconfigText({ server: url, authority, token }));
    const waits: number[] = [];
    let now = 0;
    using connection = loadKube({
      kubeconfigPath: file.path,
      wait: (ms) => {
        waits.push(ms);
        now += ms;
        return Promise.resolve();
      },
      now: () => now,
      random: () => 0,
    });
    const client = createResourceClient(connection, vrfDomainKind);
    await client.list();
    {
      await using seat = await takeSeat({
        kubectl,
        account: { name: account, namespace },
        kubeconfigPath: file.path,
      });
      const before = await seat.refused();
      const { code, retryAfterMs, message } = await refusal(client.list());
      assert.deepEqual([code, retryAfterMs], ["Throttled", 1_000]);
      assert.match(message, /Too many requests/);
      assert.deepEqual(waits, [1_000, 1_000, 1_000]);
      assert.equal(await seat.refused() - before, 4);
      // The first attempt of the next call comes too early, and never leaves.
      await refusal(client.list());
      assert.equal(await seat.refused() - before, 4 + 3);
    }
    now += 1_000;
    await eventually("requests to pass again", async () => {
      now += 1_000;
      return await client.list().then(() => true, () => false);
    });
  },
});
