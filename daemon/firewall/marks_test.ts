import assert from "node:assert/strict";
import { assignMarks, bitsOf, defaultMarkMask, markOf, outsideMark, zoneOf } from "./marks.ts";

const kubeProxyBits = 0xc000;

Deno.test("VRFs below 16384 are marked by their own number", () => {
  for (const vrf of [1, 42, 200, 4094, 16383]) assert.equal(markOf(vrf, defaultMarkMask), vrf);
});

Deno.test("no mark has a bit of kube-proxy's, and no two VRFs of up to 30 bits share one", () => {
  const vrfs = [16384, 32768, 49152, 50200, 65535, 65536, 16384 + 2 ** 16, 2 ** 30 - 2];
  const marks = vrfs.map((vrf) => markOf(vrf, defaultMarkMask));
  for (const mark of marks) assert.equal(mark & kubeProxyBits, 0);
  assert.equal(new Set([...marks, 42]).size, vrfs.length + 1);
  assert.deepEqual(markOf(16384, defaultMarkMask), 0x10000);
  assert.deepEqual(markOf(50200, defaultMarkMask), 0x30418);
});

Deno.test("a mask of other bits moves all marks there", () => {
  assert.equal(markOf(0b101, 0x00ff0000), 0x00050000);
  assert.equal(markOf(300, 0x00ff0000), (300 % 256) * 0x10000);
  assert.equal(markOf(1, 0x80000000), 0x80000000);
  assert.equal(bitsOf(defaultMarkMask), 30);
  assert.equal(bitsOf(0x80000001), 2);
});

Deno.test("a mark that cannot be used, or that another VRF has, is refused", () => {
  const mask = 0xff;
  assert.deepEqual(assignMarks([200, 456, 256, 255, 7], mask), {
    marks: new Map([[7, 7], [200, 200]]),
    refused: new Map([[255, undefined], [256, undefined], [456, 200]]),
  });
  assert.equal(outsideMark(mask), 255);
});

Deno.test("VRFs with more bits than the default mask keep working while they share no mark", () => {
  const { marks, refused } = assignMarks([2 ** 30 + 7, 2 ** 31 - 2], defaultMarkMask);
  assert.equal(refused.size, 0);
  assert.equal(marks.get(2 ** 30 + 7), 7);
});

Deno.test("zones fit conntrack's 16 bits, and small VRF numbers have their own", () => {
  for (const mark of [1, 200, 0x30418, 0xffff3ffe, 0x10001, 0xffffffff]) {
    assert.ok(zoneOf(mark) >= 1 && zoneOf(mark) <= 0xffff);
  }
  assert.equal(zoneOf(200), 200);
});
