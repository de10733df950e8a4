/** Sends one session's output to one viewer, at most a bounded distance behind, and with a fresh picture when it lost the thread. */

import type { ExitRecord, Snapshot } from "./contract.ts";
import { encodeFrame, frameHead, VERB } from "./frames.ts";
import type { Ring } from "./ring.ts";

/** A viewer may be this far behind; then its backlog is dropped. Also the most that is on the way to it. */
export const BEHIND_BYTES = 1024 * 1024;

/** A viewer that takes nothing for this long counts as stuck when more output comes. */
const STUCK_MS = 5_000;

/** Within one burst of large reads output is collected this long or up to this size; the first read of a burst goes at once. */
const BURST_MS = 2;
const BURST_BYTES = 32 * 1024;

/** Reads below this are somebody typing or a prompt: they never wait. */
const SMALL_READ_BYTES = 1024;

/** One frame; so that a key's echo of another session on the same connection never waits behind more. */
const FRAME_BYTES = 64 * 1024;

/** Shortest time between two pictures of a viewer that cannot follow: ten a second look alive and cost little. */
const PICTURE_MS = 100;

/** What a viewer writes to: one connection, shared with its other viewers and replies. */
export interface Outlet {
  /** True while the socket takes no more without queueing. */
  readonly blocked: boolean;
  send(...parts: Uint8Array[]): void;
}

export interface ViewerOptions {
  watch: number;
  name: string;
  outlet: Outlet;
  ring: Ring;
  scrollback: number;
  /** Continue here, or null to begin with a picture. */
  since: number | null;
  picture(scrollback: number): Promise<Snapshot>;
}

export class Viewer {
  readonly watch: number;
  readonly name: string;
  readonly outlet: Outlet;
  #ring: Ring;
  #scrollback: number;
  #picture: (scrollback: number) => Promise<Snapshot>;
  #sent = 0;
  #acknowledged = 0;
  #generation = 0;
  #live = false;
  /** A picture was asked of the model. */
  #asked = false;
  /** A picture is on the way to the viewer. */
  #unseen = false;
  #pictureAt = Number.NEGATIVE_INFINITY;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #waitingSince = 0;
  #timer: NodeJS.Timeout | null = null;
  #exit: ExitRecord | null = null;
  #closed = false;
  /** Not worth waiting for until then (`performance.now()` time). */
  slowUntil = 0;

  constructor(options: ViewerOptions) {
    this.watch = options.watch;
    this.name = options.name;
    this.outlet = options.outlet;
    this.#ring = options.ring;
    this.#scrollback = options.scrollback;
    this.#picture = options.picture;
    if (options.since === null) return;
    this.#live = true;
    this.#sent = this.#acknowledged = options.since;
  }

  /** First bytes or first picture. */
  begin(): void {
    if (this.#live) this.flush();
    else this.#ask();
  }

  /** Lowest offset the ring should keep for this viewer. */
  get needs(): number {
    const { head } = this.#ring;
    return this.#live ? Math.max(this.#sent, head - BEHIND_BYTES) : this.#asked ? head - BEHIND_BYTES : head;
  }

  /** Bytes this viewer has not taken; 0 for one that only gets pictures. */
  get lag(): number {
    return this.#live ? this.#ring.head - this.#acknowledged : 0;
  }

  /** Says that the ring has grown by one read. */
  note(readBytes: number, now: number): void {
    if (!this.#live) {
      if (!this.#asked && !this.#unseen) this.#ask();
      return;
    }
    const behind = this.#ring.head - this.#acknowledged;
    const stuck = this.#sent > this.#acknowledged && now - this.#waitingSince > STUCK_MS;
    if (behind > BEHIND_BYTES || stuck) {
      this.#live = false;
      this.#stopTimer();
      this.#ask();
    } else if (readBytes < SMALL_READ_BYTES || this.#ring.head - this.#sent >= BURST_BYTES || now - this.#flushedAt > BURST_MS)
      this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BURST_MS);
  }

  /** Sends what may be sent now. */
  flush(): void {
    this.#stopTimer();
    if (this.#closed) return;
    if (!this.#live) {
      this.#ask();
      return;
    }
    const now = performance.now();
    while (!this.outlet.blocked) {
      const to = Math.min(this.#ring.head, this.#sent + FRAME_BYTES, this.#acknowledged + BEHIND_BYTES);
      if (to <= this.#sent) break;
      if (this.#sent === this.#acknowledged) this.#waitingSince = now;
      const parts = this.#ring.read(this.#sent, to);
      this.outlet.send(frameHead(VERB.OUTPUT, 0, { watch: this.watch, offset: this.#sent }, to - this.#sent), ...parts);
      this.#sent = to;
    }
    this.#flushedAt = now;
    this.#finish();
  }

  acknowledge(generation: number, offset: number): void {
    if (generation !== this.#generation) return;
    this.#unseen = false;
    this.#acknowledged = Math.min(Math.max(this.#acknowledged, offset), this.#sent);
    this.#waitingSince = performance.now();
    this.flush();
  }

  resized(cols: number, rows: number): void {
    if (this.#live) this.flush();
    this.outlet.send(encodeFrame(VERB.RESIZE, 0, { watch: this.watch, cols, rows }));
  }

  ended(exit: ExitRecord): void {
    this.#exit = exit;
    this.flush();
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #ask(): void {
    // A stuck viewer is left alone until it has taken what is on the way; then it gets the newest picture and none in between.
    if (this.#closed || this.#asked || this.#unseen || this.#sent > this.#acknowledged) return;
    const wait = this.#pictureAt + PICTURE_MS - performance.now();
    if (wait > 0) {
      this.#timer ??= setTimeout(() => this.flush(), wait);
      return;
    }
    this.#asked = true;
    void this.#picture(this.#scrollback).then((snapshot) => this.#show(snapshot));
  }

  #show(snapshot: Snapshot): void {
    this.#asked = false;
    if (this.#closed) return;
    const { offset, cols, rows, data, text, cursor } = snapshot;
    this.#generation++;
    this.#unseen = true;
    this.#sent = this.#acknowledged = offset;
    this.#waitingSince = this.#pictureAt = performance.now();
    const header = { watch: this.watch, generation: this.#generation, offset, cols, rows, text, cursor };
    this.outlet.send(frameHead(VERB.SNAPSHOT, 0, header, data.length), data);
    // In a flood the model may be so far behind that the bytes after the picture are gone: then it is one picture of a slide show.
    this.#live = offset >= this.#ring.floor;
    if (this.#live) this.flush();
  }

  #finish(): void {
    if (!this.#exit || this.#sent < this.#ring.head) return;
    this.outlet.send(encodeFrame(VERB.EXIT, 0, { watch: this.watch, exit: this.#exit }));
    this.#exit = null;
  }
}
