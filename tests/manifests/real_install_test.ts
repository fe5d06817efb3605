/** The manifests as a real API server takes them. Nothing runs there: what they do on nodes is another matter. */
import assert from "node:assert/strict";
import { findKubeBinaries } from "../kube/apiserver_binary.ts";
import { startRealServer } from "../kube/real_server.ts";
import { permissions, serviceAccount } from "../../manifests/rbac.ts";

const manifests = new URL("../../manifests", import.meta.url).pathname;

/** Folders that kubectl takes with `-k`. */
async function kustomizations(): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(manifests)) {
    if (!isDirectory) continue;
    const file = `${manifests}/${name}/kustomization.yaml`;
    const text = await Deno.readTextFile(file).catch(() => "");
    // A component is taken with others only.
    if (/^kind: Kustomization$/m.test(text)) found.push(name);
  }
  assert.ok(found.length >= 4, `${found}`);
  return [...found, "../tests/manifests/confined"];
}

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);

Deno.test({
  name:
    "kube-apiserver takes the manifests, finds nothing to change the second time, and grants what the roles say",
  ignore: !probe.available,
  fn: async () => {
    if (!probe.available) return;
    await using server = await startRealServer({
      binaries: probe.binaries,
      signal: AbortSignal.timeout(300_000),
    });
    const home = await Deno.makeTempDir({ prefix: "pr2t-" });
    try {
      const kubectl = async (...args: readonly string[]) => {
        const { stdout, stderr } = await new Deno.Command("kubectl", {
          args: [...args],
          env: { HOME: home, KUBECONFIG: server.kubeconfigPath },
        }).output();
        return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      };
      const outcomes = async (...args: readonly string[]) => {
        const lines = (await kubectl(...args)).trim().split("\n");
        return [...new Set(lines.map((line) => line.replace(/^\S+ /, "")))];
      };
      // The definitions are there already; "configured" is for those.
      await kubectl("create", "namespace", serviceAccount.namespace);
      const first = await kubectl("apply", "--validate=strict", "-k", `${manifests}/base`);
      assert.doesNotMatch(first, /rror|nvalid|arning: unknown/, first);
      assert.deepEqual(await outcomes("apply", "-k", `${manifests}/base`), ["unchanged"]);
      assert.match(await kubectl("apply", "-k", `${manifests}/cni`), /created/);
      for (const name of await kustomizations()) {
        const taken = await kubectl(
          ...["apply", "--dry-run=server", "--validate=strict", "-k", `${manifests}/${name}`],
        );
        assert.doesNotMatch(taken, /rror|nvalid|arning: unknown/, `${name}: ${taken}`);
        assert.match(taken, /\(server dry run\)/, name);
      }
      const account = `system:serviceaccount:${serviceAccount.namespace}:${serviceAccount.name}`;
      const may = async (namespace: string, ...what: readonly string[]) =>
        (await kubectl("auth", "can-i", "-n", namespace, `--as=${account}`, ...what))
          // Behind the answer stand warnings, such as that nodes have no namespace.
          .split("\n")[0]?.trim();
      for (const { kind, status, names, verbs, namespace = "default" } of permissions) {
        const group = kind.group === "" ? "" : `.${kind.group}`;
        const resource = `${kind.plural}${group}${names === undefined ? "" : `/${names[0]}`}`;
        const part = status === true ? ["--subresource=status"] : [];
        for (const verb of verbs) {
          assert.equal(await may(namespace, verb, resource, ...part), "yes", `${verb} ${resource}`);
        }
      }
      for (
        const [verb, resource] of [
          ["get", "secrets"],
          ["create", "pods"],
          ["patch", "nodes"],
          ["delete", "vrfdomains.cni.pyroute2.org"],
          ["get", "leases.coordination.k8s.io/other"],
        ] as const
      ) {
        assert.equal(await may("kube-system", verb, resource), "no", `${verb} ${resource}`);
      }
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
});
