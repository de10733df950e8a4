/** Keeps the newest output of a session in memory, addressed by absolute offset, without copying it. */

/** Neighbouring pieces of one read buffer are joined up to this size, so that a flood does not make thousands of slices. */
const JOIN_BYTES = 64 * 1024;

export class Ring {
  #pieces: Buffer[] = [];
  /** Offset of the first byte of each piece. */
  #starts: number[] = [];
  #floor: number;
  #head: number;

  constructor(offset: number) {
    this.#floor = offset;
    this.#head = offset;
  }

  /** Lowest offset that can be read. */
  get floor(): number {
    return this.#floor;
  }

  /** Offset after the newest byte. */
  get head(): number {
    return this.#head;
  }

  /** Takes the bytes over; the caller must not change them afterwards. */
  push(bytes: Buffer): void {
    if (!bytes.length) return;
    const last = this.#pieces.at(-1);
    const joins =
      last &&
      last.buffer === bytes.buffer &&
      last.byteOffset + last.length === bytes.byteOffset &&
      last.length + bytes.length <= JOIN_BYTES;
    if (joins) this.#pieces[this.#pieces.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length);
    else {
      this.#pieces.push(bytes);
      this.#starts.push(this.#head);
    }
    this.#head += bytes.length;
  }

  /** The bytes of `from` up to `to`, as they lie in memory. Both must be held. */
  read(from: number, to: number): Buffer[] {
    const found: Buffer[] = [];
    for (let i = this.#find(from); i < this.#pieces.length; i++) {
      const start = this.#starts[i] as number;
      if (start >= to) break;
      const piece = this.#pieces[i] as Buffer;
      found.push(piece.subarray(Math.max(0, from - start), Math.min(piece.length, to - start)));
    }
    return found;
  }

  /** Forgets what lies below `offset`. */
  forget(offset: number): void {
    const target = Math.min(offset, this.#head);
    if (target <= this.#floor) return;
    this.#floor = target;
    let gone = 0;
    while (gone < this.#pieces.length && (this.#starts[gone] as number) + (this.#pieces[gone] as Buffer).length <= target) gone++;
    // Removing from the front costs the length of the rest, so it is done in batches; all below `floor` is never read again.
    if (gone >= 16 || gone === this.#pieces.length) {
      this.#pieces.splice(0, gone);
      this.#starts.splice(0, gone);
    }
  }

  #find(offset: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}
