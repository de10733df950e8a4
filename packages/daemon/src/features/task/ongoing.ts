/** The creations under way: at which step each is, and the way to end one (WORKTREE-09). */
import { ArgusError } from "@argus/protocol";
import type { Caller } from "../../kernel/caller.ts";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";

export interface Ongoing {
  id: string;
  project: string;
  name: string;
  step: string;
  /** RFC 3339. */
  started_at: string;
  step_since: string;
}

interface Entry {
  view: Ongoing;
  by: Caller;
  controller: AbortController;
}

/** A creation is spoken of at least this often, so that nobody takes a long set-up for a hang. */
const REPORT_MS = 1000;

export class OngoingCreations {
  #clock: Clock;
  #entries = new Map<string, Entry>();
  #listeners = new Set<() => void>();
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `end` must be called whatever happens. */
  begin(project: string, name: string, by: Caller): { signal: AbortSignal; step: (step: string) => void; end: () => void } {
    const now = rfc3339(this.#clock.now());
    const id = String(++this.#last);
    const entry: Entry = {
      view: { id, project, name, step: "waiting", started_at: now, step_since: now },
      by,
      controller: new AbortController(),
    };
    this.#entries.set(id, entry);
    this.#tell();
    return {
      signal: entry.controller.signal,
      step: (step) => {
        entry.view = { ...entry.view, step, step_since: rfc3339(this.#clock.now()) };
        this.#tell();
      },
      end: () => {
        this.#entries.delete(id);
        this.#tell();
      },
    };
  }

  list(): Ongoing[] {
    return [...this.#entries.values()].map((entry) => entry.view);
  }

  /** Something is being made in this project, so a folder without a row may be a worktree that will get one. */
  isBusy(project: string): boolean {
    return this.list().some((view) => view.project === project);
  }

  /** Rejects for a creation that has ended; an agent ends only what it began. */
  cancel(id: string, caller: Caller): void {
    const entry = this.#entries.get(id);
    if (!entry) throw new ArgusError("NOT_FOUND", `No creation ${JSON.stringify(id.slice(0, 40))} is under way.`);
    if (caller.kind === "task" && entry.by.id !== caller.id)
      throw new ArgusError("PERMISSION_DENIED", "An agent can cancel only what it created itself.");
    entry.controller.abort(new ArgusError("UNAVAILABLE", `The creation was cancelled by ${caller.id}; nothing is left of it.`));
  }

  /** The list at once, at each change, and every second while anything is under way. */
  async *watch(signal: AbortSignal): AsyncGenerator<Ongoing[]> {
    let changed = true;
    let wake: (() => void) | undefined;
    const tell = () => {
      changed = true;
      wake?.();
    };
    const tick = () => {
      if (this.#entries.size > 0) tell();
    };
    this.#listeners.add(tell);
    signal.addEventListener("abort", tell);
    const stop = this.#clock.every(REPORT_MS, tick);
    try {
      while (!signal.aborted) {
        if (!changed)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        if (signal.aborted) return;
        changed = false;
        yield this.list();
      }
    } finally {
      stop();
      this.#listeners.delete(tell);
      signal.removeEventListener("abort", tell);
    }
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
