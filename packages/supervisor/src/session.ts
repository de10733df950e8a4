/** One PTY and all that belongs to it: ring, log, model, viewers, size, and how it ended. */

import type { ExitRecord, SessionInfo, Snapshot, SpawnRequest } from "./contract.ts";
import { SessionLog } from "./log.ts";
import { Model, type ModelThread } from "./model.ts";
import { adoptPty, type Pty, type PtyEvents, startPty } from "./pty.ts";
import { Ring } from "./ring.ts";
import { Sizes } from "./sizes.ts";
import { type Outlet, Viewer } from "./viewer.ts";

/** What `since` can reach back: the promise of rule SUPERVISOR-20. */
export const RING_BYTES = 256 * 1024;

/** Lines above the screen in a snapshot, unless asked otherwise. */
const SNAPSHOT_LINES = 500;

/** A following viewer this far behind is waited for, briefly: it would otherwise lose the thread just because the agent had the processor. */
const PACE_BYTES = 512 * 1024;
const PACED_BYTES = 128 * 1024;
const PACE_MS = 15;

/** A viewer that did not catch up in that time is not waited for again before this; a slow link must not slow the agent. */
const SLOW_MS = 10_000;

/** After the process is gone the kernel says when all is read, unless something else holds the terminal open: then so much silence says it. */
const SILENCE_MS = 100;
const SILENCES = 2;

/** And at the latest after this, if what holds it open goes on writing. */
const DRAIN_LIMIT_MS = 2_000;

/** An exit waits at most this long for the disk. */
const LOG_LIMIT_MS = 2_000;

/** What one program image hands to the next about a session. */
export interface SessionState {
  request: SpawnRequest;
  pid: number;
  fd: number;
  name: string;
  cols: number;
  rows: number;
  startedAt: number;
  lastOutputAt: number | null;
  lastInputAt: number | null;
  stopped: boolean;
  /** When what is left is killed (Unix milliseconds), or null. */
  killAt: number | null;
  /** Input the program has not read yet, base64. */
  input: string;
  exit: ExitRecord | null;
  /** Ring: offset of its first byte, and how many bytes follow in the handover file. */
  floor: number;
  bytes: number;
  modelOffset: number;
  modelBytes: number;
}

export interface SessionOptions {
  thread: ModelThread;
  report(message: string): void;
  onExit(session: Session): void;
  /** The process is gone; its terminal may still be read. */
  onGone(session: Session): void;
}

export class Session {
  readonly request: SpawnRequest;
  readonly startedAt: number;
  readonly viewers = new Set<Viewer>();
  readonly sizes: Sizes;
  #options: SessionOptions;
  #pty!: Pty;
  readonly pid: number;
  #ring: Ring;
  #log: SessionLog | null;
  #model: Model;
  #lastOutputAt: number | null = null;
  #lastInputAt: number | null = null;
  #exit: ExitRecord | null = null;
  #status: { code: number | null; signal: string | null } | null = null;
  #drained = false;
  #finishing = false;
  #drainTimer: NodeJS.Timeout | null = null;
  #paused = new Set<"model" | "viewer" | "handover">();
  #paceTimer: NodeJS.Timeout | null = null;
  /** A client asked for the end before it came. */
  stopped = false;
  /** When what is left is killed (Unix milliseconds), or null. */
  killAt: number | null = null;

  constructor(request: SpawnRequest, options: SessionOptions, taken?: { state: SessionState; ring: Buffer; redraw: Buffer }) {
    this.request = request;
    this.#options = options;
    const state = taken?.state;
    this.startedAt = state?.startedAt ?? Date.now();
    this.sizes = new Sizes(state?.cols ?? request.cols, state?.rows ?? request.rows);
    this.#ring = new Ring(state?.floor ?? request.offset);
    const events: PtyEvents = {
      onData: (bytes) => this.#received(bytes),
      onDrained: () => this.#end(),
      onExit: (code, signal) => this.#gone(code, signal),
    };
    // The program first: if it cannot be started, there is no log and no model to take back.
    if (!state) this.#pty = startPty(request, events);
    this.pid = state?.pid ?? this.#pty.pid;
    if (taken) this.#ring.push(taken.ring);
    this.#log = request.log === null ? null : new SessionLog(request.log, this.#ring, request.logMaxBytes, options.report);
    if (this.#log) this.#log.onFlushed = () => this.#settle();
    this.#model = new Model({
      thread: options.thread,
      ring: this.#ring,
      log: this.#log,
      ...this.sizes.inForce,
      restored: taken && { offset: taken.state.modelOffset, redraw: taken.redraw },
      onAnswer: (data) => this.#write(Buffer.from(data, "latin1")),
      onProgress: () => this.#settle(),
    });
    if (!state) return;
    this.#lastOutputAt = state.lastOutputAt;
    this.#lastInputAt = state.lastInputAt;
    this.stopped = state.stopped;
    this.killAt = state.killAt;
    this.#exit = state.exit;
    if (state.exit) this.#drained = true;
    else {
      this.#pty = adoptPty(state, events);
      this.#pty.write(Buffer.from(state.input, "base64"));
    }
  }

  get id(): string {
    return this.request.id;
  }

  get exit(): ExitRecord | null {
    return this.#exit;
  }

  /** True until the process has been waited for. */
  get alive(): boolean {
    return this.#status === null && this.#exit === null;
  }

  info(): SessionInfo {
    const { head, floor } = this.#ring;
    return {
      id: this.id,
      pid: this.pid,
      ...this.sizes.inForce,
      startedAt: this.startedAt,
      base: this.request.offset,
      offset: head,
      held: Math.max(floor, head - RING_BYTES),
      lastOutputAt: this.#lastOutputAt,
      lastInputAt: this.#lastInputAt,
      exit: this.#exit,
    };
  }

  /** Input of a client. Bytes after the end go nowhere. */
  input(bytes: Buffer): void {
    this.#lastInputAt = Date.now();
    this.#write(bytes);
  }

  snapshot(scrollback = SNAPSHOT_LINES): Promise<Snapshot> {
    return this.#model.snapshot(scrollback);
  }

  watch(options: { watch: number; name: string; outlet: Outlet; since: number | null; scrollback: number | undefined }): Viewer {
    const { head, floor } = this.#ring;
    const held = options.since !== null && options.since <= head && options.since >= Math.max(floor, head - RING_BYTES);
    const viewer = new Viewer({
      ...options,
      since: held ? options.since : null,
      scrollback: options.scrollback ?? SNAPSHOT_LINES,
      ring: this.#ring,
      picture: (scrollback) => this.#model.snapshot(scrollback),
    });
    this.viewers.add(viewer);
    if (this.#exit) viewer.ended(this.#exit);
    viewer.begin();
    return viewer;
  }

  unwatch(viewer: Viewer): void {
    viewer.close();
    this.viewers.delete(viewer);
    this.#settle();
  }

  /** Gives terminal, model and viewers the size now in force, if it changed. */
  applySize(): void {
    const size = this.sizes.decide();
    if (!size || !this.alive) return;
    this.#pty.resize(size.cols, size.rows);
    this.#model.resize(size.cols, size.rows);
    for (const viewer of this.viewers) viewer.resized(size.cols, size.rows);
  }

  /** A viewer has taken bytes. */
  acknowledged(): void {
    if (this.#paused.has("viewer") && ![...this.viewers].some((viewer) => viewer.lag > PACED_BYTES && viewer.slowUntil === 0))
      this.#unpace();
    this.#settle();
  }

  /** Stops reading and describes everything, for the next program image. */
  async freeze(): Promise<{ state: SessionState; ring: Buffer; redraw: Buffer }> {
    this.#pause("handover");
    const snapshot = await this.#model.whole();
    await this.#log?.close();
    const floor = Math.max(this.#ring.floor, Math.min(snapshot.offset, this.#ring.head - RING_BYTES));
    const ring = Buffer.concat(this.#ring.read(floor, this.#ring.head));
    const state: SessionState = {
      request: this.request,
      pid: this.pid,
      fd: this.#pty?.fd ?? -1,
      name: this.#pty?.name ?? "",
      ...this.sizes.inForce,
      startedAt: this.startedAt,
      lastOutputAt: this.#lastOutputAt,
      lastInputAt: this.#lastInputAt,
      stopped: this.stopped,
      killAt: this.killAt,
      input: (this.#pty?.unread ?? Buffer.alloc(0)).toString("base64"),
      exit: this.#exit,
      floor,
      bytes: ring.length,
      modelOffset: snapshot.offset,
      modelBytes: snapshot.data.length,
    };
    return { state, ring, redraw: snapshot.data };
  }

  /** Takes a freeze back. */
  thaw(): void {
    if (this.#log && this.request.log !== null) {
      const log = new SessionLog(this.request.log, this.#ring, this.request.logMaxBytes, this.#options.report);
      log.onFlushed = () => this.#settle();
      this.#log = log;
      this.#model.useLog(log);
    }
    this.#unpause("handover");
  }

  /** Forgets everything; the terminal is closed. */
  async close(): Promise<void> {
    for (const viewer of this.viewers) viewer.close();
    this.viewers.clear();
    if (this.#paceTimer) clearTimeout(this.#paceTimer);
    if (this.#drainTimer) clearTimeout(this.#drainTimer);
    this.#model.close();
    if (!this.#drained) this.#pty?.close();
    await this.#log?.close();
  }

  #write(bytes: Buffer): void {
    if (this.alive) this.#pty.write(bytes);
  }

  #received(bytes: Buffer): void {
    this.#ring.push(bytes);
    this.#lastOutputAt = Date.now();
    const now = performance.now();
    // Viewers first: an echoed key is on its way before anything else is done with it.
    for (const viewer of this.viewers) viewer.note(bytes.length, now);
    this.#log?.note();
    this.#model.note(bytes, now);
    this.#settle();
    this.#pace(now);
  }

  /** Lets go of memory that nobody needs, and stops or starts reading as the model can follow. */
  #settle(): void {
    let keep = Math.min(this.#ring.head - RING_BYTES, this.#model.needs);
    if (this.#log) keep = Math.min(keep, this.#log.flushed);
    for (const viewer of this.viewers) keep = Math.min(keep, viewer.needs);
    this.#ring.forget(keep);
    if (this.#model.full) this.#pause("model");
    else if (this.#paused.has("model")) this.#unpause("model");
  }

  #pace(now: number): void {
    if (this.#paceTimer) return;
    for (const viewer of this.viewers) {
      if (viewer.lag <= PACE_BYTES || viewer.slowUntil > now) continue;
      viewer.slowUntil = 0;
      this.#pause("viewer");
      this.#paceTimer ??= setTimeout(() => {
        for (const late of this.viewers) if (late.lag > PACED_BYTES) late.slowUntil = performance.now() + SLOW_MS;
        this.#unpace();
      }, PACE_MS);
    }
  }

  #unpace(): void {
    if (this.#paceTimer) clearTimeout(this.#paceTimer);
    this.#paceTimer = null;
    this.#unpause("viewer");
  }

  #pause(reason: "model" | "viewer" | "handover"): void {
    if (this.#status || this.#exit) return;
    if (this.#paused.size === 0) this.#pty.pause();
    this.#paused.add(reason);
  }

  #unpause(reason: "model" | "viewer" | "handover"): void {
    if (this.#paused.delete(reason) && this.#paused.size === 0 && !this.#status) this.#pty.resume();
  }

  /** The process is gone; what it wrote may still be in the kernel. */
  #gone(code: number | null, signal: string | null): void {
    this.#status = { code, signal };
    this.#options.onGone(this);
    if (this.#drained) {
      this.#finish();
      return;
    }
    // At most a few KiB are left of it, so nobody has to be waited for any more.
    this.#paused.clear();
    this.#pty.letGo();
    const deadline = performance.now() + DRAIN_LIMIT_MS;
    let seen = this.#ring.head;
    let silences = 0;
    const look = () => {
      if (this.#drained) return;
      silences = this.#ring.head === seen ? silences + 1 : 0;
      seen = this.#ring.head;
      if (silences >= SILENCES || performance.now() > deadline) this.#pty.close();
      else this.#drainTimer = setTimeout(turn, SILENCE_MS);
    };
    // After a busy stretch timers run before reads; looking after the reads of the same turn is what makes silence mean silence.
    const turn = () => setImmediate(look);
    this.#drainTimer = setTimeout(turn, SILENCE_MS);
  }

  #end(): void {
    this.#drained = true;
    if (this.#drainTimer) clearTimeout(this.#drainTimer);
    if (this.#status) this.#finish();
  }

  #finish(): void {
    if (this.#exit || !this.#status || this.#finishing) return;
    this.#finishing = true;
    const record = { ...this.#status, at: Date.now(), stopped: this.stopped };
    let timer: NodeJS.Timeout | undefined;
    const announce = () => {
      clearTimeout(timer);
      if (this.#exit) return;
      this.#exit = record;
      for (const viewer of this.viewers) viewer.ended(record);
      this.#options.onExit(this);
    };
    // Told when the last output is in the log too, so that whoever acts on the exit finds all of it; but a disk that hangs does not keep it back.
    if (this.#log) {
      timer = setTimeout(announce, LOG_LIMIT_MS);
      this.#log.close().then(announce, announce);
    } else announce();
  }
}
