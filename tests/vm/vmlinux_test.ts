import assert from "node:assert/strict";
import { decodeLz4Legacy, extractVmlinux } from "./vmlinux.ts";

/** `printf 'abcabcabcabcabcabcabcabcabcabc!!!!!' | lz4 -l`: literals, then a match that overlaps itself. */
const FRAME = Uint8Array.of(
  ...[0x02, 0x21, 0x4c, 0x18],
  ...[0x0d, 0x00, 0x00, 0x00],
  ...[0x3f, 0x61, 0x62, 0x63, 0x03, 0x00, 0x08],
  ...[0x50, 0x21, 0x21, 0x21, 0x21, 0x21],
);
const TEXT = "abcabcabcabcabcabcabcabcabcabc!!!!!";

Deno.test("A damaged frame is refused", () => {
  for (let length = 4; length < FRAME.length; length++) {
    assert.throws(() => decodeLz4Legacy(FRAME.subarray(0, length), TEXT.length), RangeError);
  }
  assert.throws(() => decodeLz4Legacy(FRAME, TEXT.length - 1), RangeError);
  assert.throws(() => decodeLz4Legacy(FRAME, TEXT.length + 1), RangeError);
  assert.throws(() => decodeLz4Legacy(FRAME.with(12, 4), TEXT.length), RangeError);
});

Deno.test("A frame with an overlapping match is decoded", () => {
  assert.equal(new TextDecoder().decode(decodeLz4Legacy(FRAME, TEXT.length)), TEXT);
});

Deno.test("A file that is no bzImage, or whose payload is not LZ4, has no kernel to extract", () => {
  assert.equal(extractVmlinux(new Uint8Array()), undefined);
  assert.equal(extractVmlinux(new Uint8Array(4096)), undefined);
  assert.equal(extractVmlinux(bzImage(new Uint8Array(64))), undefined);
  assert.equal(extractVmlinux(bzImage(FRAME).subarray(0, -1)), undefined);
});

Deno.test("The kernel in a bzImage is found and decoded", () => {
  const kernel = extractVmlinux(bzImage(FRAME));
  assert.equal(new TextDecoder().decode(kernel), TEXT);
});

/** A bzImage with one setup sector after the boot sector, and the payload 16 bytes into what follows. */
function bzImage(payload: Uint8Array): Uint8Array {
  const start = 2 * 512 + 16;
  const image = new Uint8Array(start + payload.length + 4);
  const view = new DataView(image.buffer);
  image[0x1f1] = 1;
  view.setUint32(0x202, 0x53726448, true);
  view.setUint32(0x248, 16, true);
  view.setUint32(0x24c, payload.length + 4, true);
  image.set(payload, start);
  view.setUint32(start + payload.length, TEXT.length, true);
  return image;
}
