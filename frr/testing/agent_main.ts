/** An agent that starts and stops FRR itself, as in an image; ends on SIGTERM. Run it inside an instance's namespaces. */

import { DEFAULT_SOCKET_PATH } from "../protocol.ts";
import { runFrrAgent } from "../agent.ts";

const stop = new AbortController();
Deno.addSignalListener("SIGTERM", () => stop.abort());
await runFrrAgent({
  socketPath: DEFAULT_SOCKET_PATH,
  host: "127.0.0.1",
  port: 0,
  confDir: "/etc/frr",
  startDaemons: true,
  signal: stop.signal,
  log: (level, message, fields) => console.error(JSON.stringify({ level, message, ...fields })),
  onListen: () => console.log("listening"),
});
Deno.exit(0);
