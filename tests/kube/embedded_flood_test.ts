import assert from "node:assert/strict";
import { join } from "node:path";
import { connectByKubeconfig } from "./api_cases_client.ts";

Deno.test("embedded API: it outlives more connections than there are descriptors, and serves once they are gone", async () => {
  const parent = await Deno.makeTempDir({ prefix: "pr2t-" });
  const dataDir = join(parent, "data");
  const child = new Deno.Command("prlimit", {
    args: [
      ...["--nofile=128", Deno.execPath(), "run", "-A", "--quiet", "--no-check"],
      ...[join(import.meta.dirname ?? "", "embedded_process.ts"), dataDir],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const flood: Deno.Conn[] = [];
  try {
    const reader = child.stdout.getReader();
    const url = new URL(JSON.parse(new TextDecoder().decode((await reader.read()).value)).url);
    await reader.cancel();
    // They never begin to speak TLS.
    for (let count = 0; count < 400; count++) {
      const connecting = Deno.connect({ hostname: url.hostname, port: Number(url.port) });
      const connection = await connecting.catch(() => undefined);
      if (connection !== undefined) flood.push(connection);
    }
    for (const connection of flood.splice(0)) connection.close();
    using api = await connectByKubeconfig(join(dataDir, "kubeconfig"));
    const deadline = performance.now() + 30_000;
    const status = () => api.ask("GET", "/api/v1/namespaces").then(({ status }) => status, () => 0);
    while (await status() !== 200) {
      assert.ok(performance.now() < deadline, "Expected to be served within 30 s");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    for (const connection of flood) connection.close();
    await child.stdin.close().catch(() => {});
    const { code } = await child.status;
    await Deno.remove(parent, { recursive: true });
    const said = await errors;
    assert.equal(code, 0, said);
    assert.match(said, /embedded API is opened anew/);
  }
});
