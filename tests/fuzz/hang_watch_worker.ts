/** The other thread of hang_watch.ts. */
import type { Watched } from "./hang_watch.ts";

globalThis.addEventListener("message", (event) => {
  if (event instanceof MessageEvent) watch(event.data);
});

Reflect.get(globalThis, "postMessage").call(globalThis, "ready");

function watch({ counter, patienceMs, message }: Watched): never {
  while (true) {
    const seen = Atomics.load(counter, 0);
    if (Atomics.wait(counter, 0, seen, patienceMs) !== "timed-out") continue;
    const text = `Expected each input to be answered, found one that takes longer than ${
      patienceMs / 1000
    } s; ${message}\n`;
    Deno.stderr.writeSync(new TextEncoder().encode(text));
    Deno.kill(Deno.pid, "SIGKILL");
  }
}
