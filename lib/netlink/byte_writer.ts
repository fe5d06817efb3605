/**
 * Writes numbers and bytes one after the other into a buffer that grows and is used again and again.
 *
 * Numbers are little-endian (netlink's host order on every machine supported here), unless the name says big-endian.
 */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  /**
   * An empty writer.
   *
   * @param capacity Size of the first buffer in bytes
   */
  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(new ArrayBuffer(capacity));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Number of bytes written. */
  get length(): number {
    return this.#length;
  }

  /** Forgets all that was written. */
  clear(): void {
    this.#length = 0;
  }

  /** Forgets all that was written after the first `length` bytes. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  /** What was written, not copied: it holds until the next change. */
  written(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** Writes 8 bits. */
  u8(value: number): void {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  /** Writes 16 bits. */
  u16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
  }

  /** Writes 32 bits; negative values as their complement. */
  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  /** Writes 64 bits. */
  u64(value: bigint): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value, true);
  }

  /** Writes 16 bits big-endian. */
  be16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
  }

  /** Writes 32 bits big-endian. */
  be32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
  }

  /** Writes bytes as they are. */
  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  /** Writes zeros up to the next multiple of 4. */
  align4(): void {
    while ((this.#length & 3) !== 0) this.u8(0);
  }

  /** Overwrites 16 bits at an earlier place. */
  patchU16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  /** Overwrites 32 bits at an earlier place. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** Makes room and gives the place where it starts. */
  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(
        new ArrayBuffer(Math.max(this.#length, 2 * this.#bytes.length)),
      );
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
