/**
 * The daemon as `daemon/main.ts` runs it. Its effects are written to a file, and it kills itself with SIGKILL right after the one that
 * another file names at that time.
 *
 * Arguments: the files: server.ini, effects, and what to die after.
 */
import { parseConfig } from "../../daemon/config.ts";
import { runDaemon } from "../../daemon/daemon.ts";
import { createLogger, stderrSink } from "../../daemon/log.ts";
import { CodedError, messageOf } from "../../lib/errors.ts";
import { watchEffects } from "./effects.ts";

const [configPath = "", effectsPath = "", deathPath = ""] = Deno.args;

// Opened once: a test may leave this process no further descriptor.
const effects = Deno.openSync(effectsPath, { append: true });
const death = Deno.openSync(deathPath, { read: true, write: true });

watchEffects((effect) => {
  effects.writeSync(new TextEncoder().encode(`${effect}\n`));
  const [name, ...before] = readDeath().split("\n");
  if (effect !== name) return;
  // The effect may happen several times: each line more lets one pass.
  if (before.length === 0) Deno.kill(Deno.pid, "SIGKILL");
  death.truncateSync();
  death.seekSync(0, Deno.SeekMode.Start);
  death.writeSync(new TextEncoder().encode([name, ...before.slice(1)].join("\n")));
});

function readDeath(): string {
  const bytes = new Uint8Array(1024);
  death.seekSync(0, Deno.SeekMode.Start);
  return new TextDecoder().decode(bytes.subarray(0, death.readSync(bytes) ?? 0));
}

const config = parseConfig(await Deno.readTextFile(configPath));
const log = createLogger("info", stderrSink());
try {
  await runDaemon({
    config,
    nodeName: config.node.name ?? "",
    log,
    signal: new AbortController().signal,
  });
} catch (error) {
  // As the composition root does.
  const code = error instanceof CodedError ? error.code : "Unexpected";
  log.error("Ended by an error", { code, error: messageOf(error) });
}
Deno.exit(1);
