/** Writes a session's output to disk by absolute offset, in the background, and never lets a full disk reach the agent. */

import { chmodSync, closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, renameSync, rmSync, writev } from "node:fs";
import { dirname } from "node:path";
import { olderOf, readIndex, removeLog, writeIndex } from "./logfile.ts";
import type { Ring } from "./ring.ts";

/** Written as soon as this much waits: large enough that the cost per byte is small. */
const BATCH_BYTES = 256 * 1024;

/** A trickle waits this long for company; a reader of the log is behind by no more. */
const TRICKLE_MS = 40;

/** A disk this far behind is taken as stuck: what it missed becomes a hole, because memory is the agents'. */
const BEHIND_LIMIT_BYTES = 16 * 1024 * 1024;

/** After a failed write the next try waits this long, so that a full disk costs one call a second and not thousands. */
const RETRY_MS = 1_000;

export class SessionLog {
  readonly path: string;
  /** All below is on disk, or lost. */
  flushed: number;
  /** Bytes below this offset may be missing (zero) in the log. */
  reliableFrom: number;
  /** Bytes per file; there are at most two. */
  readonly segmentBytes: number;
  #ring: Ring;
  #fd: number | null = null;
  #base = 0;
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #failedAt = 0;
  #closed = false;
  #idle: (() => void)[] = [];
  #report: (message: string) => void;
  /** Called whenever `flushed` has grown. */
  onFlushed: () => void = () => {};

  constructor(path: string, ring: Ring, maxBytes: number, report: (message: string) => void) {
    this.path = path;
    this.#ring = ring;
    this.flushed = ring.head;
    this.reliableFrom = ring.head;
    this.segmentBytes = Math.max(4096, Math.floor(maxBytes / 2));
    this.#report = report;
    this.#open();
  }

  /** False while writing fails; the model's backlog then has to stay in memory. */
  get healthy(): boolean {
    return this.#fd !== null && this.#failedAt === 0;
  }

  /** Says that the ring has grown. */
  note(): void {
    const waiting = this.#ring.head - this.flushed;
    if (this.#closed || waiting === 0) return;
    if (waiting > BEHIND_LIMIT_BYTES) this.#lose(this.#ring.head - BATCH_BYTES, "the disk is too slow");
    if (this.#writing) return;
    if (waiting >= BATCH_BYTES && !this.#failedAt) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), this.#failedAt ? RETRY_MS : TRICKLE_MS);
  }

  /** Writes what waits and closes the file. */
  async close(): Promise<void> {
    if (this.#closed) return;
    while (this.flushed < this.#ring.head) {
      const before = this.flushed;
      if (!this.#writing) this.#write();
      if (this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve));
      if (this.flushed === before) break;
    }
    this.abandon();
  }

  /** Closes without writing: the next program image goes on with the file. */
  abandon(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#fd !== null && !this.#writing) closeSync(this.#fd);
    if (!this.#writing) this.#fd = null;
  }

  /** For tests: writes to another descriptor and returns the present one. */
  swapDescriptor(fd: number | null): number | null {
    const present = this.#fd;
    this.#fd = fd;
    return present;
  }

  #open(): boolean {
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      const start = this.flushed;
      if (start === 0) removeLog(this.path);
      const fd = openSync(this.path, constants.O_RDWR | constants.O_CREAT, 0o600);
      chmodSync(this.path, 0o600);
      const { ino, size } = fstatSync(fd);
      const index = readIndex(this.path);
      const known = index.segments.find((segment) => segment.inode === ino)?.base ?? (index.segments.length || !size ? null : 0);
      if (known === null || known > start || (size === 0 && known !== start)) {
        // A log of something else, or none (whose inode number may be that of the one removed): it begins here.
        ftruncateSync(fd, 0);
        rmSync(olderOf(this.path), { force: true });
        this.#base = start;
        if (start !== 0 || index.segments.length) writeIndex(this.path, { segments: [{ inode: ino, base: start }] });
      } else {
        this.#base = known;
        // More than the session's own account says is output that nobody has counted; offsets must stay right.
        if (known + size > start) ftruncateSync(fd, start - known);
        // Without an index a log begins at 0, which is true of most.
        if (!index.segments.length && known !== 0) writeIndex(this.path, { segments: [{ inode: ino, base: known }] });
      }
      this.#fd = fd;
      this.reliableFrom = Math.max(this.reliableFrom, start);
      return true;
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
  }

  #write(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const from = this.flushed;
    const to = this.#ring.head;
    if (to <= from || this.#writing) return;
    if (this.#fd === null && !this.#open()) return this.#lose(to, null);
    if (from - this.#base >= this.segmentBytes) this.#rotate(from);
    const fd = this.#fd as number;
    this.#writing = true;
    // Positions are computed, never "at the end": after a gap the next bytes still land at their own offset.
    writev(fd, this.#ring.read(from, to), from - this.#base, (error, written) => {
      this.#writing = false;
      if (error) {
        this.#fail(error);
        this.#lose(to, null);
      } else {
        if (this.#failedAt) this.#report(`The log ${this.path} is written again from offset ${from}.`);
        this.#failedAt = 0;
        this.flushed = Math.max(this.flushed, from + written);
      }
      for (const resolve of this.#idle.splice(0)) resolve();
      if (this.#closed) {
        closeSync(fd);
        this.#fd = null;
        return;
      }
      this.onFlushed();
      this.note();
    });
  }

  /** Begins a new file; the one before the last goes. On failure the present one just grows. */
  #rotate(offset: number): void {
    const draft = `${this.path}.new`;
    try {
      const fd = openSync(draft, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
      const present = fstatSync(this.#fd as number).ino;
      // The index first, with both files in it: whoever looks between the two renames finds every file it can meet.
      writeIndex(this.path, {
        segments: [
          { inode: present, base: this.#base },
          { inode: fstatSync(fd).ino, base: offset },
        ],
      });
      // A hole at the end must have its size, or the segments would not join.
      ftruncateSync(this.#fd as number, offset - this.#base);
      renameSync(this.path, olderOf(this.path));
      renameSync(draft, this.path);
      closeSync(this.#fd as number);
      this.#fd = fd;
      this.#base = offset;
    } catch (error) {
      rmSync(draft, { force: true });
      this.#fail(error as Error);
    }
  }

  #lose(upTo: number, reason: string | null): void {
    if (reason) this.#report(`The log ${this.path} misses offsets ${this.flushed} to ${upTo}: ${reason}.`);
    this.flushed = Math.max(this.flushed, upTo);
    this.reliableFrom = Math.max(this.reliableFrom, upTo);
  }

  #fail(error: Error): void {
    if (!this.#failedAt)
      this.#report(`The log ${this.path} cannot be written (${error.message}); the agent goes on, its output is shown but not kept.`);
    this.#failedAt = Date.now();
  }
}
