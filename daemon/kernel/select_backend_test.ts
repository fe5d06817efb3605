import assert from "node:assert/strict";
import { kernelHasVrfLinks, selectBackend } from "./select_backend.ts";

Deno.test("a backend that is named is taken as it is", () => {
  assert.equal(selectBackend("device"), "device");
  assert.equal(selectBackend("netns"), "netns");
});

Deno.test("without a name, namespaces are taken only where the kernel has no link of kind vrf", () => {
  assert.equal(selectBackend("auto"), kernelHasVrfLinks() ? "device" : "netns");
  assert.equal(selectBackend("auto"), selectBackend("auto"));
});
