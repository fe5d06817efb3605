/** Tries one of the large inputs, on a thread that can be ended. */
import { messageOf } from "../../lib/errors.ts";
import { largeInputs } from "./large_inputs.ts";

globalThis.addEventListener("message", async (event) => {
  if (!(event instanceof MessageEvent)) return;
  try {
    const run = largeInputs[event.data];
    if (run === undefined) throw new Error(`Expected the name of a case, found "${event.data}"`);
    await run();
    Reflect.get(globalThis, "postMessage").call(globalThis, "");
  } catch (thrown) {
    Reflect.get(globalThis, "postMessage").call(globalThis, messageOf(thrown));
  }
});
