/** Delivers text to an agent the way a considerate person would: when it is idle, on an empty prompt line, and looking whether it went off. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Node } from "@argus/runner";
import type { Clock } from "../../kernel/clock.ts";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import type { TaskRow } from "../task/index.ts";
import type { Live } from "./live.ts";
import { typeable, typedOn } from "./prompt.ts";
import type { TaskSessions } from "./sessions.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    deliveries: Deliveries;
  }
}

/** `typed` stays when nothing confirmed that it was sent; `expired` means that it was never typed. */
export type DeliveryStatus = "queued" | "typed" | "submitted" | "expired";

export interface Delivery {
  id: string;
  taskId: number;
  status: DeliveryStatus;
  /** Settles with the last status; never rejects. */
  done: Promise<DeliveryStatus>;
}

export const DEFAULT_DEADLINE_MS = 300_000; // SESSION-39
/** A program that draws slowly has shown what was typed by then; one that shows nothing is not waited for longer. */
const SHOWN_MS = 1_000;
/** A carriage return that came too early is swallowed; the next one is sent after this. */
const CONFIRM_MS = 1_500;
const CARRIAGE_RETURNS = 9;
const LOOK_MS = 50;
/** How often an agent that is busy is looked at again when no fact arrives. */
const WAIT_MS = 1_000;
/** Enough to ask after, few enough to hold. */
const REMEMBERED = 1_000;

export interface DeliveryParts {
  node: Node;
  sessions: TaskSessions;
  events: Events;
  clock: Clock;
  log: Log;
}

export class Deliveries {
  #parts: DeliveryParts;
  #byId = new Map<string, Delivery>();
  /** One at a time per task, in order. */
  #last = new Map<number, Promise<unknown>>();
  #stopping = new AbortController();

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
  }

  stop(): void {
    this.#stopping.abort();
  }

  find(id: string): Delivery | undefined {
    return this.#byId.get(id);
  }

  /** Queues the text. Give an id to have the same delivery only once; an abort cancels what is not typed yet. */
  deliver(row: TaskRow, text: string, options: { id?: string; deadlineMs?: number; signal?: AbortSignal } = {}): Delivery {
    const known = options.id === undefined ? undefined : this.#byId.get(options.id);
    if (known) return known;
    const until = this.#parts.clock.now() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    const signal = AbortSignal.any([this.#stopping.signal, ...(options.signal ? [options.signal] : [])]);
    const delivery: Delivery = { id: options.id ?? randomUUID(), taskId: row.id, status: "queued", done: Promise.resolve("queued") };
    const before = this.#last.get(row.id) ?? Promise.resolve();
    delivery.done = before
      .then(() => this.#work(delivery, text, until, signal))
      .catch((err: unknown) => this.#parts.log.warn({ err, task: row.id }, "a delivery failed"))
      .then(() => {
        if (delivery.status === "queued") delivery.status = "expired";
        if (this.#last.get(row.id) === delivery.done) this.#last.delete(row.id);
        return delivery.status;
      });
    this.#last.set(row.id, delivery.done);
    this.#byId.set(delivery.id, delivery);
    for (const id of this.#byId.keys()) {
      if (this.#byId.size <= REMEMBERED) break;
      this.#byId.delete(id);
    }
    return delivery;
  }

  async #work(delivery: Delivery, text: string, until: number, signal: AbortSignal): Promise<void> {
    const { clock, node, sessions } = this.#parts;
    while (!signal.aborted && clock.now() < until) {
      const live = sessions.live.get(delivery.taskId);
      const takesPaste = live ? await this.#readyFor(live) : null;
      if (live && takesPaste !== null) {
        const typedAt = clock.now();
        await node.sessions.input(live.id, Buffer.from(typeable(text, takesPaste)));
        delivery.status = "typed";
        await this.#look(live, SHOWN_MS, (typed) => typed !== "");
        if (await this.#submit(live, typedAt, signal)) delivery.status = "submitted";
        return;
      }
      await this.#change(delivery.taskId, signal);
    }
  }

  /** Whether text may be typed now, and then whether the program takes pastes as one piece; null when it may not. */
  async #readyFor(live: Live): Promise<boolean | null> {
    if (live.starting || live.stopRequested || live.state?.value !== "idle") return null;
    const screen = await this.#parts.node.sessions.snapshot(live.id, { scrollback: 0 }).catch(() => null);
    // Output since the last look means that it is not idle any more.
    if (!screen || screen.offset !== live.info?.offset || typedOn(screen) !== "") return null;
    return screen.data.includes("\x1b[?2004h");
  }

  /** The carriage return goes apart from the text: in one piece agents take it as part of a paste. */
  async #submit(live: Live, typedAt: number, signal: AbortSignal): Promise<boolean> {
    for (let n = 0; n < CARRIAGE_RETURNS && !signal.aborted; n++) {
      await this.#parts.node.sessions.input(live.id, Buffer.from("\r"));
      const confirmed = await this.#look(
        live,
        CONFIRM_MS,
        (typed) => typed === "" || (live.claim?.value === "working" && live.claim.at >= typedAt),
      );
      if (confirmed) return true;
    }
    return false;
  }

  /** Looks at the prompt line until it is as expected; false when it was not within the time. */
  async #look(live: Live, limitMs: number, expected: (typed: string) => boolean): Promise<boolean> {
    const limit = performance.now() + limitMs;
    for (;;) {
      const screen = await this.#parts.node.sessions.snapshot(live.id, { scrollback: 0 });
      if (expected(typedOn(screen))) return true;
      if (performance.now() > limit) return false;
      await pause(LOOK_MS);
    }
  }

  /** Resolves at the next fact about the task, or when it is time to look again. */
  #change(taskId: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const ends: (() => void)[] = [];
      const wake = () => {
        for (const end of ends.splice(0)) end();
        resolve();
      };
      ends.push(this.#parts.events.subscribe((event) => event.task_id === String(taskId) && wake()));
      ends.push(this.#parts.clock.every(WAIT_MS, wake));
      signal.addEventListener("abort", wake, { once: true });
      ends.push(() => signal.removeEventListener("abort", wake));
      if (signal.aborted) wake();
    });
  }
}
