/** The client's side of one watched session: hands bytes to a viewer at the viewer's own speed and acknowledges what it has taken. */

import type { ExitRecord, Snapshot, WatchHandlers } from "./contract.ts";

/** Below the supervisor's window of 1 MiB by far, and enough bytes that acknowledgements cost nothing. */
const ACKNOWLEDGE_BYTES = 64 * 1024;

/** A trickle is acknowledged this late, so that an echoed key does not cost a second frame; far below the 5 s after which a viewer counts as stuck. */
const ACKNOWLEDGE_MS = 200;

type Step =
  | { kind: "output"; offset: number; bytes: Buffer }
  | { kind: "snapshot"; generation: number; snapshot: Snapshot }
  | { kind: "call"; call(): void };

export class Watching {
  #handlers: WatchHandlers;
  #acknowledge: (generation: number, offset: number) => void;
  #queue: Step[] = [];
  #busy = false;
  #generation = 0;
  #taken = 0;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | null = null;
  #open = true;

  constructor(handlers: WatchHandlers, acknowledge: (generation: number, offset: number) => void) {
    this.#handlers = handlers;
    this.#acknowledge = acknowledge;
  }

  output(offset: number, bytes: Buffer): void {
    this.#add({ kind: "output", offset, bytes });
  }

  snapshot(generation: number, snapshot: Snapshot): void {
    // What still waits would be wiped by the redraw anyway.
    this.#queue = this.#queue.filter((step) => step.kind === "call");
    this.#add({ kind: "snapshot", generation, snapshot });
  }

  resize(cols: number, rows: number): void {
    this.#add({ kind: "call", call: () => this.#handlers.onResize?.(cols, rows) });
  }

  exit(exit: ExitRecord): void {
    this.#add({ kind: "call", call: () => this.#handlers.onExit(exit) });
  }

  close(): void {
    this.#open = false;
    this.#queue = [];
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #add(step: Step): void {
    this.#queue.push(step);
    if (!this.#busy) this.#work();
  }

  #work(): void {
    while (this.#open) {
      const step = this.#queue.shift();
      if (!step) return;
      if (step.kind === "call") step.call();
      else if (step.kind === "snapshot") {
        this.#generation = step.generation;
        this.#acknowledged = -1;
        this.#handlers.onSnapshot(step.snapshot);
        this.#take(step.snapshot.offset);
      } else {
        const wait = this.#handlers.onOutput(step.offset, step.bytes);
        const end = step.offset + step.bytes.length;
        if (wait instanceof Promise) {
          this.#busy = true;
          const go = () => {
            this.#busy = false;
            this.#take(end);
            this.#work();
          };
          wait.then(go, go);
          return;
        }
        this.#take(end);
      }
    }
  }

  #take(offset: number): void {
    if (!this.#open) return;
    this.#taken = offset;
    if (this.#acknowledged < 0 || offset - this.#acknowledged >= ACKNOWLEDGE_BYTES) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), ACKNOWLEDGE_MS);
  }

  #send(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#acknowledged = this.#taken;
    this.#acknowledge(this.#generation, this.#taken);
  }
}
