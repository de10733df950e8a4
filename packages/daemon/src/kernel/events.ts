/** The numbered log of facts: committed together with the rows they tell of, then announced. */
import type { ArgusEvent, EventPayloads, EventType } from "@argus/protocol";
import type { Generated, Transaction } from "kysely";
import type { Clock } from "./clock.ts";
import { rfc3339 } from "./clock.ts";
import type { Store, Tables } from "./database.ts";

declare module "./database.ts" {
  interface Tables {
    events: { id: Generated<number>; type: string; at: number; task_id: string | null; payload: string };
  }
}

/** REST-90: the newest events that are kept. */
export const KEPT_EVENTS = 10_000;
/** A subscriber further behind is told to resync; more would only delay the moment it learns the truth. */
const SUBSCRIBER_BACKLOG = 256;
const TRIM_EVERY = 100;

export type Emit = <T extends EventType>(type: T, taskId: string | null, payload: EventPayloads[T]) => void;
export type Change = Transaction<Tables>;
type Listener = (event: ArgusEvent) => void;

export class Events {
  #store: Store;
  #clock: Clock;
  #listeners = new Set<Listener>();
  #tail: Promise<unknown> = Promise.resolve();
  #sinceTrim = 0;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Runs `work` in one transaction together with the facts it emits; they are announced in order after the commit. Changes run one after another, so ids follow commit order. */
  async change<T>(work: (tx: Change, emit: Emit) => Promise<T>): Promise<T> {
    const mine = this.#tail.then(() => this.#change(work));
    this.#tail = mine.catch(() => {});
    return mine;
  }

  async #change<T>(work: (tx: Change, emit: Emit) => Promise<T>): Promise<T> {
    const facts: { type: EventType; at: number; task_id: string | null; payload: string }[] = [];
    const committed: ArgusEvent[] = [];
    const result = await this.#store.db.transaction().execute(async (tx) => {
      const value = await work(tx, (type, taskId, payload) => {
        facts.push({ type, at: this.#clock.now(), task_id: taskId, payload: JSON.stringify(payload) });
      });
      for (const fact of facts) {
        const { id } = await tx.insertInto("events").values(fact).returning("id").executeTakeFirstOrThrow();
        committed.push({ id: Number(id), type: fact.type, at: rfc3339(fact.at), task_id: fact.task_id, payload: JSON.parse(fact.payload) });
      }
      this.#sinceTrim += facts.length;
      const newest = committed.at(-1);
      if (newest && this.#sinceTrim >= TRIM_EVERY) {
        this.#sinceTrim = 0;
        await tx
          .deleteFrom("events")
          .where("id", "<=", newest.id - KEPT_EVENTS)
          .execute();
      }
      return value;
    });
    for (const event of committed) for (const listener of this.#listeners) listener(event);
    return result;
  }

  /** Calls `listener` for each new event. For showing, never for work that must happen. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everything after `since` (exclusive), then what comes; a cursor older than the log, or a reader too far behind, gets one `resync`. */
  async *stream(since: number | undefined, signal: AbortSignal): AsyncGenerator<ArgusEvent> {
    let queue: ArgusEvent[] = [];
    let overflowed = false;
    let wake: (() => void) | undefined;
    const unsubscribe = this.subscribe((event) => {
      if (queue.length >= SUBSCRIBER_BACKLOG) overflowed = true;
      else queue.push(event);
      wake?.();
    });
    const stop = () => wake?.();
    signal.addEventListener("abort", stop);
    try {
      let last = since ?? 0;
      if (since !== undefined) {
        const { oldest, newest } = await this.#bounds();
        if (oldest !== null && since < oldest - 1) {
          yield this.#resync("cursor_older_than_ring", since, oldest);
          last = newest ?? 0; // what the client fetches now holds everything up to here
        } else
          for (const event of await this.#after(since)) {
            last = event.id;
            yield event;
          }
      }
      while (!signal.aborted) {
        if (overflowed) {
          overflowed = false;
          queue = [];
          const { oldest, newest } = await this.#bounds();
          yield this.#resync("slow_subscriber", last, oldest ?? 0);
          last = newest ?? last;
        }
        const event = queue.shift();
        if (!event) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (queue.length > 0 || overflowed || signal.aborted) resolve();
          });
          continue;
        }
        if (event.id <= last) continue; // already replayed
        last = event.id;
        yield event;
      }
    } finally {
      unsubscribe();
      signal.removeEventListener("abort", stop);
    }
  }

  async #after(since: number): Promise<ArgusEvent[]> {
    const rows = await this.#store.db.selectFrom("events").selectAll().where("id", ">", since).orderBy("id").execute();
    return rows.map((row) => ({
      id: Number(row.id),
      type: row.type as EventType,
      at: rfc3339(Number(row.at)),
      task_id: row.task_id,
      payload: JSON.parse(row.payload),
    }));
  }

  async #bounds(): Promise<{ oldest: number | null; newest: number | null }> {
    const row = await this.#store.db
      .selectFrom("events")
      .select((of) => [of.fn.min("id").as("oldest"), of.fn.max("id").as("newest")])
      .executeTakeFirstOrThrow();
    const newest = row.newest === null ? null : Number(row.newest);
    // Trimming happens in steps; what counts as kept is exactly the newest 10,000.
    return { oldest: row.oldest === null ? null : Math.max(Number(row.oldest), (newest ?? 0) - KEPT_EVENTS + 1), newest };
  }

  #resync(reason: string, cursor: number, oldest: number): ArgusEvent {
    return { id: 0, type: "resync", at: rfc3339(this.#clock.now()), task_id: null, payload: { reason, cursor, oldest } };
  }
}
