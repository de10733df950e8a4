/** Hands out blocks of ten TCP ports to worktrees, so that their development servers do not meet (WORKTREE-14). */
import { ArgusError } from "@argus/protocol";
import type { Node } from "@argus/runner";
import type { Store } from "../../kernel/database.ts";

const FIRST = 42_000;
const LAST = 45_999;
const BLOCK = 10;

export class Ports {
  #store: Store;
  #node: Node;
  /** Given out but not yet in a row. */
  #pending = new Set<number>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: Store, node: Node) {
    this.#store = store;
    this.#node = node;
  }

  /** One after the other: what a slower look found free may have been given out meanwhile. */
  take(): Promise<number> {
    const mine = this.#tail.then(() => this.#take());
    this.#tail = mine.catch(() => {});
    return mine;
  }

  async #take(): Promise<number> {
    const rows = await this.#store.db.selectFrom("tasks").select("port_base").where("port_base", "is not", null).execute();
    const used = new Set(rows.map((row) => row.port_base as number));
    for (const base of this.#pending) if (used.has(base)) this.#pending.delete(base);
    for (let base = FIRST; base + BLOCK - 1 <= LAST; base += BLOCK) {
      if (used.has(base) || this.#pending.has(base)) continue;
      this.#pending.add(base);
      if (await this.#node.ports.free(base, BLOCK)) return base;
      this.#pending.delete(base);
    }
    throw new ArgusError("UNAVAILABLE", `All ${(LAST - FIRST + 1) / BLOCK} port blocks are taken. Delete tasks that are no longer needed.`);
  }

  giveBack(base: number): void {
    this.#pending.delete(base);
  }
}
