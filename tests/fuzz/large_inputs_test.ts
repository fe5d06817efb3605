import { largeInputs } from "./large_inputs.ts";

/** Milliseconds after which a case counts as one that never ends; the machine may be slow. */
const patienceMs = 60_000;

/** What a case found wrong; empty when nothing is. */
function tryCase(name: string): Promise<string> {
  const worker = new Worker(new URL("large_inputs_worker.ts", import.meta.url), { type: "module" });
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(
    () => resolve(`Expected an end, found none within ${patienceMs} ms`),
    patienceMs,
  );
  worker.addEventListener("message", ({ data }) => resolve(String(data)));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    resolve(event.message);
  });
  worker.postMessage(name);
  return promise.finally(() => {
    clearTimeout(timer);
    worker.terminate();
  });
}

for (const name of Object.keys(largeInputs)) {
  Deno.test(`it comes to an end with ${name}`, async () => {
    const fault = await tryCase(name);
    if (fault !== "") throw new Error(fault);
  });
}
