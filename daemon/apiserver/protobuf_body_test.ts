import assert from "node:assert/strict";
import { ApiError } from "./api_error.ts";
import { decodeProtobuf } from "./protobuf_body.ts";

/** `kubectl create namespace tenant-a`, as kubectl 1.32 sends it. */
const namespace = Uint8Array.fromHex(
  "6b3873000a0f0a02763112094e616d65737061636512200a180a0874656e616e742d6112001a0022002a0032003800420012001a020a001a002200",
);

const refusedWith = (status: number) => (error: unknown) =>
  error instanceof ApiError && error.httpStatus === status;

Deno.test("A body that is cut off or of another form is refused, wherever the cut is", () => {
  // The last four bytes are empty fields of the envelope.
  for (let length = 0; length < namespace.length - 4; length++) {
    const cut = namespace.subarray(0, length);
    try {
      assert.notDeepEqual(decodeProtobuf(cut), decodeProtobuf(namespace));
    } catch (error) {
      assert.ok(error instanceof ApiError, String(error));
    }
  }
  assert.throws(() => decodeProtobuf(new TextEncoder().encode("{}")), refusedWith(400));
});

Deno.test("An object of any other kind is refused with 415", () => {
  const pod = Uint8Array.from(namespace);
  pod.set(new TextEncoder().encode("Podspaces"), 12);
  assert.throws(() => decodeProtobuf(pod), refusedWith(415));
});

Deno.test("A namespace is decoded with its name", () => {
  assert.deepEqual(decodeProtobuf(namespace), {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "tenant-a", labels: {}, annotations: {} },
  });
});
