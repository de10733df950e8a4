/** Text that agents stage for the person to copy: one slot per task, in memory, for a few minutes. */
import { ArgusError } from "@argus/protocol";
import type { Clock } from "../../kernel/clock.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    clipboard: Clipboard;
  }
}

/** SESSION-43: longer than a walk to the phone, shorter than anybody remembers what was staged. */
const KEPT_MS = 5 * 60_000;
const MAX_BYTES = 1024 * 1024;
/** A viewer's button disappears at most this long after the text has expired. */
const SWEEP_MS = 5_000;

type Listener = (taskId: number, text: string | null) => void;

export class Clipboard implements Disposable {
  #clock: Clock;
  #slots = new Map<number, { text: string; until: number }>();
  #listeners = new Set<Listener>();
  #end: () => void;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#end = clock.every(SWEEP_MS, () => {
      for (const taskId of [...this.#slots.keys()]) this.get(taskId);
    });
  }

  /** The last write wins. */
  set(taskId: number, text: string): void {
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_BYTES)
      throw new ArgusError("TOO_LARGE", `Staged text holds at most ${MAX_BYTES} bytes; this has ${bytes}. Use a file.`);
    this.#slots.set(taskId, { text, until: this.#clock.now() + KEPT_MS });
    this.#tell(taskId, text);
  }

  get(taskId: number): string | null {
    const slot = this.#slots.get(taskId);
    if (!slot) return null;
    if (this.#clock.now() < slot.until) return slot.text;
    this.clear(taskId);
    return null;
  }

  clear(taskId: number): void {
    if (this.#slots.delete(taskId)) this.#tell(taskId, null);
  }

  /** Calls `listener` with what is staged for a task, or null when it is gone. */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(taskId: number, text: string | null): void {
    for (const listener of this.#listeners) listener(taskId, text);
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}
