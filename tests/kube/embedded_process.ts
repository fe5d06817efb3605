/** The embedded API in a process of its own, whose limits can be set and whose use can be measured. Ends when its stdin does. Argument: data directory. */
import { startApiServer } from "../../daemon/apiserver/server.ts";
import { createLogger } from "../../daemon/log.ts";

const told = new Response(Deno.stdin.readable).text();
await using server = await startApiServer({
  dataDir: Deno.args[0] ?? "",
  host: "127.0.0.1",
  port: 0,
  log: createLogger("error", (line) => console.error(line)),
});
console.log(JSON.stringify({ url: server.url, kubeconfigPath: server.kubeconfigPath }));
await told;
