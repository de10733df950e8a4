/** Finds the size that every attached viewer can show: the smallest columns and the smallest rows among them. */

export interface Size {
  cols: number;
  rows: number;
}

/** The kernel keeps sizes in 16 bits; beyond 1,000 no screen exists and each cell costs memory. */
export const SIZE_LIMIT = 1_000;

export class Sizes {
  #wanted = new Map<string, Size>();
  #inForce: Size;
  #next: Size;

  constructor(cols: number, rows: number) {
    this.#inForce = this.#next = { cols, rows };
  }

  get inForce(): Size {
    return this.#inForce;
  }

  /** A viewer says what it can show. With nobody attached it simply holds. */
  want(viewer: string, size: Size, attached: boolean): void {
    if (attached) this.#wanted.set(viewer, size);
    else if (this.#wanted.size === 0) this.#next = size;
  }

  /** A viewer is gone; the size stays when it was the last. */
  forget(viewer: string): void {
    this.#wanted.delete(viewer);
  }

  /** All viewers whose name begins so are gone. */
  forgetAll(prefix: string): void {
    for (const viewer of [...this.#wanted.keys()]) if (viewer.startsWith(prefix)) this.#wanted.delete(viewer);
  }

  /** The size to apply, or null when it is in force already: an unchanged size must not signal the program. */
  decide(): Size | null {
    const all = [...this.#wanted.values()];
    if (all.length) this.#next = { cols: Math.min(...all.map((size) => size.cols)), rows: Math.min(...all.map((size) => size.rows)) };
    if (this.#next.cols === this.#inForce.cols && this.#next.rows === this.#inForce.rows) return null;
    this.#inForce = this.#next;
    return this.#inForce;
  }
}
