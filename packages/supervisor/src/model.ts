/** Decides when a session's terminal model is fed: at once while output is slow, later and from disk while it floods. */

import { Worker } from "node:worker_threads";
import type { Snapshot } from "./contract.ts";
import type { SessionLog } from "./log.ts";
import type { ModelReply, ModelRequest } from "./model-worker.ts";
import type { Ring } from "./ring.ts";
import { SCROLLBACK_LINES } from "./terminal.ts";

/** Bytes on the way to the thread per session: about 5 ms of parsing, so that one flood delays another session's queries little. */
const IN_FLIGHT_BYTES = 256 * 1024;
const PIECE_BYTES = 64 * 1024;

/** More than this within one `QUIET_MS` is a flood: feeding then waits, because the agent and the viewers need the processor more. */
const FLOOD_BYTES = 96 * 1024;
const QUIET_MS = 40;

/** A query begins with one of these; after one, the rest of it is expected for so long. */
const ESCAPE = 0x1b;
const ENQUIRY = 0x05;
const PROMPT_MS = 100;

/** Bytes kept in memory for the model; what is older is read from the log when its turn comes. */
export const MODEL_MEMORY_BYTES = 4 * 1024 * 1024;

/** How far a model may fall behind before the agent is slowed: 6 s of parsing, the longest a fresh viewer should wait for the truth. */
const BACKLOG_BYTES = 256 * 1024 * 1024;

/** A snapshot asked for in the middle of a flood is given as far as the model got by then, not at the end of the flood. */
const SNAPSHOT_WAIT_MS = 500;

/** One thread for all sessions: a thread each would cost 30 MB each. */
export class ModelThread {
  #worker: Worker;
  #models = new Map<number, Model>();
  #lastKey = 0;
  #report: (message: string) => void;

  constructor(report: (message: string) => void) {
    this.#report = report;
    this.#worker = this.#start();
  }

  #start(): Worker {
    const worker = new Worker(new URL("./model-worker.ts", import.meta.url), { name: "terminal models" });
    worker.unref();
    worker.on("message", (reply: ModelReply) => this.#models.get(reply.key)?.receive(reply));
    worker.on("error", (error: Error) => {
      this.#report(`The thread of the terminal models ended (${error.message}) and is started again.`);
      this.#worker = this.#start();
      for (const model of this.#models.values()) model.reopen();
    });
    return worker;
  }

  add(model: Model): number {
    this.#models.set(++this.#lastKey, model);
    return this.#lastKey;
  }

  remove(key: number): void {
    this.#models.delete(key);
    this.post({ kind: "close", key });
  }

  post(request: ModelRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
  }

  report(message: string): void {
    this.#report(message);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

export interface ModelOptions {
  thread: ModelThread;
  ring: Ring;
  log: SessionLog | null;
  cols: number;
  rows: number;
  /** State at `ring.floor`-or-later `offset`, when taken over from another program image. */
  restored?: { offset: number; redraw: Uint8Array };
  /** The terminal's answer to a query of the program. */
  onAnswer(data: string): void;
  /** The model has moved on. */
  onProgress(): void;
}

interface Waiting {
  target: number;
  scrollback: number;
  asked: boolean;
  timer: NodeJS.Timeout | null;
  resolve(snapshot: Snapshot): void;
}

export class Model {
  #options: ModelOptions;
  #key: number;
  /** Sent to the thread. */
  #fed: number;
  /** Parsed by the thread. */
  #done: number;
  #resizes: { offset: number; cols: number; rows: number }[] = [];
  #cols: number;
  #rows: number;
  #waiting = new Map<number, Waiting>();
  #lastRequest = 0;
  #timer: NodeJS.Timeout | null = null;
  #windowStart = 0;
  #windowBytes = 0;
  #promptUntil = 0;
  #closed = false;

  constructor(options: ModelOptions) {
    this.#options = options;
    this.#cols = options.cols;
    this.#rows = options.rows;
    this.#fed = this.#done = options.restored?.offset ?? options.ring.head;
    this.#key = options.thread.add(this);
    this.#open(options.restored?.redraw ?? null);
  }

  /** Bytes the model has not seen. */
  get backlog(): number {
    return this.#options.ring.head - this.#done;
  }

  /** The ring must keep what lies above. */
  get needs(): number {
    const { ring, log } = this.#options;
    if (!log?.healthy || this.#fed < log.reliableFrom) return this.#fed;
    return Math.max(this.#fed, Math.min(ring.head - MODEL_MEMORY_BYTES, log.flushed));
  }

  /** True while the agent has to wait for the model. */
  get full(): boolean {
    const { log } = this.#options;
    // The log drops its older half; what the model still has to read must not be in it.
    const onDisk = log?.healthy && this.#fed >= log.reliableFrom ? Math.min(BACKLOG_BYTES, log.segmentBytes - 1024 * 1024) : 0;
    return this.backlog > Math.max(onDisk, MODEL_MEMORY_BYTES);
  }

  /** Says that the ring has grown by these bytes. */
  note(bytes: Uint8Array, now: number): void {
    if (now - this.#windowStart > QUIET_MS) {
      this.#windowStart = now;
      this.#windowBytes = 0;
    }
    this.#windowBytes += bytes.length;
    // Text alone asks nothing; waking the thread for each echoed key would cost the next key more than the model gains.
    if (bytes.includes(ESCAPE) || bytes.includes(ENQUIRY)) this.#promptUntil = now + PROMPT_MS;
    const prompt = now < this.#promptUntil && this.#windowBytes <= FLOOD_BYTES;
    if (prompt || this.#waiting.size || this.full) this.#feed();
    else this.#wait(QUIET_MS);
  }

  /** From this offset on the screen has this size. */
  resize(cols: number, rows: number): void {
    this.#resizes.push({ offset: this.#options.ring.head, cols, rows });
    this.#feed();
  }

  /** The screen as it is now; during a flood as it was as late as could be parsed in half a second. */
  snapshot(scrollback: number, waitMs: number | null = SNAPSHOT_WAIT_MS): Promise<Snapshot> {
    return new Promise((resolve) => {
      const request = ++this.#lastRequest;
      const timer = waitMs === null ? null : setTimeout(() => this.#ask(request), waitMs);
      this.#waiting.set(request, { target: this.#options.ring.head, scrollback, asked: false, timer, resolve });
      this.#feed();
    });
  }

  /** The screen after every byte and with all lines kept, however long that takes: for the next program image. */
  whole(): Promise<Snapshot> {
    return this.snapshot(SCROLLBACK_LINES, null);
  }

  /** The log was opened anew. */
  useLog(log: SessionLog): void {
    this.#options.log = log;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    for (const { timer } of this.#waiting.values()) if (timer) clearTimeout(timer);
    this.#options.thread.remove(this.#key);
  }

  /** Begins anew with what is held: the thread, or the terminal, broke. */
  reopen(): void {
    const { ring } = this.#options;
    this.#fed = this.#done = ring.floor;
    for (const waiting of this.#waiting.values()) waiting.asked = false;
    this.#open(null);
    this.#feed();
  }

  receive(reply: ModelReply): void {
    if (this.#closed) return;
    if (reply.kind === "answer") this.#options.onAnswer(reply.data);
    else if (reply.kind === "done") {
      this.#done = reply.offset;
      // A flood is left alone unless somebody waits for the picture or the backlog is at its limit.
      if (this.#waiting.size || this.full || this.#windowBytes <= FLOOD_BYTES || performance.now() - this.#windowStart > QUIET_MS)
        this.#feed();
      else this.#wait(QUIET_MS);
      this.#options.onProgress();
    } else if (reply.kind === "picture") {
      const waiting = this.#waiting.get(reply.request);
      if (!waiting) return;
      this.#waiting.delete(reply.request);
      if (waiting.timer) clearTimeout(waiting.timer);
      const { offset, cols, rows, data, text, x, y } = reply;
      waiting.resolve({ offset, cols, rows, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), text, cursor: { x, y } });
    } else {
      this.#options.thread.report(`A terminal model failed and is opened again: ${reply.message}`);
      this.reopen();
    }
  }

  #open(redraw: Uint8Array | null): void {
    this.#options.thread.post({ kind: "open", key: this.#key, cols: this.#cols, rows: this.#rows, offset: this.#fed, redraw });
  }

  #wait(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const quiet = performance.now() - this.#windowStart > QUIET_MS;
      if (quiet || this.#windowBytes <= FLOOD_BYTES) this.#feed();
      else this.#wait(QUIET_MS);
    }, ms);
  }

  #feed(): void {
    const { ring, log, thread } = this.#options;
    while (!this.#closed) {
      const next = this.#resizes[0];
      if (next && next.offset <= this.#fed) {
        this.#resizes.shift();
        this.#cols = next.cols;
        this.#rows = next.rows;
        thread.post({ kind: "resize", key: this.#key, cols: next.cols, rows: next.rows });
        continue;
      }
      const until = Math.min(ring.head, next?.offset ?? Number.POSITIVE_INFINITY, this.#fed + PIECE_BYTES);
      if (until <= this.#fed || this.#fed - this.#done >= IN_FLIGHT_BYTES) break;
      if (this.#fed < ring.floor) {
        const to = Math.min(until, log?.flushed ?? 0);
        if (!log || to <= this.#fed) {
          // Neither in memory nor on disk: a hole is better than a model that stands still.
          this.#fed = this.#done = ring.floor;
          thread.post({ kind: "skip", key: this.#key, offset: ring.floor });
          continue;
        }
        thread.post({ kind: "file", key: this.#key, log: log.path, from: this.#fed, to });
        this.#fed = to;
        continue;
      }
      const bytes = gather(ring.read(this.#fed, until), until - this.#fed);
      thread.post({ kind: "bytes", key: this.#key, bytes }, [bytes.buffer]);
      this.#fed = until;
    }
    for (const [request, { target }] of this.#waiting) if (this.#fed >= target) this.#ask(request);
  }

  #ask(request: number): void {
    const waiting = this.#waiting.get(request);
    if (!waiting || waiting.asked) return;
    waiting.asked = true;
    this.#options.thread.post({ kind: "picture", key: this.#key, request, scrollback: waiting.scrollback });
  }
}

/** A copy of its own, because a transferred slice would take the whole read buffer with it. */
function gather(pieces: Buffer[], length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
