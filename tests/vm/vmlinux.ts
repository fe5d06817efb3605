/**
 * The uncompressed kernel inside a bzImage: decompressing it here takes a fraction of what the guest's own
 * decompressor takes under emulation.
 */

const LZ4_LEGACY_MAGIC = 0x184c2102;
const HEADER_MAGIC = 0x53726448; // "HdrS"
/** Uncompressed size of every block but the last in the legacy LZ4 format. */
const LZ4_BLOCK_BYTES = 8 << 20;

/**
 * The ELF kernel in a bzImage whose payload is LZ4, as in Debian's cloud kernels.
 *
 * @param image The bzImage, little-endian
 * @returns The kernel, or `undefined` if the image is of another kind: it can still be booted as it is
 * @see https://docs.kernel.org/arch/x86/boot.html (setup_sects, payload_offset, payload_length)
 */
export function extractVmlinux(image: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.byteLength < 0x250 || view.getUint32(0x202, true) !== HEADER_MAGIC) return undefined;
  const protectedMode = (view.getUint8(0x1f1) + 1) * 512;
  const start = protectedMode + view.getUint32(0x248, true);
  const length = view.getUint32(0x24c, true);
  // The payload's last four bytes are the size of the kernel.
  const end = start + length - 4;
  if (length < 8 || end + 4 > image.byteLength) return undefined;
  if (view.getUint32(start, true) !== LZ4_LEGACY_MAGIC) return undefined;
  return decodeLz4Legacy(image.subarray(start, end), view.getUint32(end, true));
}

/**
 * Decodes the legacy LZ4 frame format.
 *
 * @param source The frame, from its magic number
 * @param size Bytes in the decoded data
 * @throws {RangeError} if the frame is damaged
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md (legacy frame)
 */
export function decodeLz4Legacy(source: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const target = new Uint8Array(size);
  let written = 0;
  for (let at = 4; at + 4 <= source.byteLength;) {
    const blockEnd = at + 4 + view.getUint32(at, true);
    if (blockEnd > source.byteLength) throw new RangeError("LZ4 block ends after the data");
    const limit = Math.min(size, written + LZ4_BLOCK_BYTES);
    written = decodeBlock(source.subarray(at + 4, blockEnd), target, written, limit);
    at = blockEnd;
  }
  if (written !== size) {
    throw new RangeError(`Expected ${size} bytes of LZ4 data, found ${written}`);
  }
  return target;
}

/** Decodes one block to `target` from `out`; returns where its data end. */
function decodeBlock(
  block: Uint8Array,
  target: Uint8Array,
  out: number,
  limit: number,
): number {
  const blockStart = out;
  let at = 0;
  const byte = (): number => {
    const value = block[at++];
    if (value === undefined) throw new RangeError("LZ4 block is truncated");
    return value;
  };
  const extend = (length: number): number => {
    if (length !== 15) return length;
    for (let more = 255; more === 255;) {
      more = byte();
      length += more;
    }
    return length;
  };
  while (at < block.length) {
    const token = byte();
    const literals = extend(token >> 4);
    if (at + literals > block.length || out + literals > limit) {
      throw new RangeError("LZ4 literals exceed the data");
    }
    target.set(block.subarray(at, at + literals), out);
    at += literals;
    out += literals;
    if (at === block.length) break;
    const offset = byte() | (byte() << 8);
    const length = extend(token & 15) + 4;
    if (offset === 0 || out - offset < blockStart || out + length > limit) {
      throw new RangeError("LZ4 match is outside the data");
    }
    copyMatch(target, out, offset, length);
    out += length;
  }
  return out;
}

/** Copies `length` bytes from `offset` bytes before; the two may overlap, which repeats them. */
function copyMatch(target: Uint8Array, out: number, offset: number, length: number): void {
  if (offset >= length) {
    target.copyWithin(out, out - offset, out - offset + length);
    return;
  }
  for (let index = 0; index < length; index++) {
    target[out + index] = target[out + index - offset] ?? 0;
  }
}
