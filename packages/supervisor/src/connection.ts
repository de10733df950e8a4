/** One client of the supervisor: reads its frames, writes replies and notices, and is cut off alone when it misbehaves. */

import type { Socket } from "node:net";
import { SupervisorError } from "./errors.ts";
import { encodeFrame, type Frame, FrameError, FrameReader, REQUEST_LIMIT, VERB } from "./frames.ts";
import type { Session } from "./session.ts";
import type { Outlet, Viewer } from "./viewer.ts";

/** Replies a client has not read; viewers are bounded apart. Above, it is broken or stopped, and memory is the agents'. */
const UNREAD_LIMIT_BYTES = 16 * 1024 * 1024;

const SOON_MS = 1;

/** Below this copying into one piece is quicker than writing several. */
const JOIN_BYTES = 4096;

export interface Reply {
  header: object;
  body?: Uint8Array;
}

export class Connection implements Outlet {
  readonly number: number;
  greeted = false;
  readonly watches = new Map<number, { session: Session; viewer: Viewer }>();
  #socket: Socket;
  #blocked = false;
  #soon: Uint8Array[] = [];
  #soonTimer: NodeJS.Timeout | null = null;

  constructor(number: number, socket: Socket, handle: (frame: Frame) => Promise<Reply | null> | Reply | null, closed: () => void) {
    this.number = number;
    this.#socket = socket;
    const reader = new FrameReader(REQUEST_LIMIT);
    socket.on("data", (chunk) => {
      try {
        for (const frame of reader.push(chunk as Buffer)) this.#answer(frame, handle);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        // The rest of the stream has no meaning any more; only this client loses its connection.
        this.error(0, new SupervisorError("INVALID_INPUT", `${error.message} This connection is closed.`));
        socket.removeAllListeners("data");
        socket.end();
        socket.resume();
      }
    });
    socket.on("drain", () => {
      this.#blocked = false;
      for (const { viewer } of this.watches.values()) viewer.flush();
    });
    socket.on("error", () => socket.destroy());
    socket.once("close", closed);
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** Notices and replies; the parts of one call stay together. */
  send(...parts: Uint8Array[]): void {
    if (this.#soon.length) parts = [...this.#takeSoon(), ...parts];
    if (this.#socket.destroyed || !this.#socket.writable) return;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (!bytes) return;
    if (parts.length === 1 || bytes < JOIN_BYTES) {
      if (!this.#socket.write(parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts))) this.#blocked = true;
    } else {
      this.#socket.cork();
      for (const part of parts) if (!this.#socket.write(part)) this.#blocked = true;
      this.#socket.uncork();
    }
    if (this.#socket.writableLength > UNREAD_LIMIT_BYTES) this.#socket.destroy();
  }

  /** "Taken" may travel together with the echo of the key, which is a millisecond away: one wake-up of the client instead of two. */
  #sendSoon(bytes: Uint8Array): void {
    this.#soon.push(bytes);
    this.#soonTimer ??= setTimeout(() => this.send(), SOON_MS);
  }

  #takeSoon(): Uint8Array[] {
    if (this.#soonTimer) clearTimeout(this.#soonTimer);
    this.#soonTimer = null;
    return this.#soon.splice(0);
  }

  error(request: number, error: unknown): void {
    const known = error instanceof SupervisorError;
    const message = error instanceof Error ? error.message : String(error);
    this.send(encodeFrame(VERB.ERROR, request, { code: known ? error.code : "INTERNAL", message }));
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Lets what was written arrive, then closes. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.end();
      setTimeout(() => this.#socket.destroy(), 200).unref();
    });
  }

  #answer(frame: Frame, handle: (frame: Frame) => Promise<Reply | null> | Reply | null): void {
    const reply = (found: Reply | null) => {
      if (!found || !frame.request) return;
      const bytes = encodeFrame(frame.verb, frame.request, found.header, found.body);
      if (frame.verb === VERB.INPUT) this.#sendSoon(bytes);
      else this.send(bytes);
    };
    try {
      const found = handle(frame);
      if (found instanceof Promise) found.then(reply, (error) => this.error(frame.request, error));
      else reply(found);
    } catch (error) {
      this.error(frame.request, error);
    }
  }
}
