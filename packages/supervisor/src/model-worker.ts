/** The thread that runs every session's headless terminal, so that parsing a flood never delays a key. */

import { parentPort } from "node:worker_threads";
import type { Terminal } from "@xterm/headless";
import { GroundScanner } from "./ground.ts";
import { type Colors, followColors, inside } from "./inside.ts";
import { readLogSync } from "./logfile.ts";
import { redraw, screenText } from "./redraw.ts";
import { newTerminal } from "./terminal.ts";

/** What the main thread asks. `key` names a session. */
export type ModelRequest =
  | { kind: "open"; key: number; cols: number; rows: number; offset: number; redraw: Uint8Array | null }
  | { kind: "bytes"; key: number; bytes: Uint8Array }
  | { kind: "file"; key: number; log: string; from: number; to: number }
  | { kind: "skip"; key: number; offset: number }
  | { kind: "resize"; key: number; cols: number; rows: number }
  | { kind: "picture"; key: number; request: number; scrollback: number }
  | { kind: "close"; key: number };

export type ModelReply =
  | { kind: "done"; key: number; offset: number }
  | { kind: "answer"; key: number; data: string }
  | {
      kind: "picture";
      key: number;
      request: number;
      offset: number;
      cols: number;
      rows: number;
      data: Uint8Array;
      text: string[];
      x: number;
      y: number;
    }
  | { kind: "trouble"; key: number; message: string };

/** An unfinished sequence longer than this is fed unfinished, or a stray "begin string" would stop the model for ever. Half of the ring. */
const HELD_LIMIT_BYTES = 128 * 1024;

/** After such a cut a redraw ends with the opening of a string of the same kind, so that the viewer swallows the rest as the model does. */
const OPENINGS: Record<number, string> = { 7: "\x1b_", 8: "\x1b]9999;" };

class Model {
  #terminal: Terminal;
  #scanner: GroundScanner;
  #colors: Colors;
  /** Bytes of an unfinished sequence or character. The model is always shown as it was before them. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #cut = false;
  /** Offset of all that the terminal has parsed. */
  offset: number;

  constructor(request: Extract<ModelRequest, { kind: "open" }>) {
    this.#terminal = newTerminal(request.cols, request.rows);
    this.#scanner = new GroundScanner(this.#terminal);
    this.#colors = followColors(this.#terminal);
    this.offset = request.offset;
    if (request.redraw) inside(this.#terminal).writeSync(request.redraw);
    this.#terminal.onData((data) => post({ kind: "answer", key: request.key, data }));
  }

  feed(bytes: Buffer): void {
    const ground = this.#scanner.scan(bytes);
    if (ground >= 0) {
      this.#cut = false;
      for (const part of this.#held) this.#parse(part);
      this.#held = [];
      this.#heldBytes = 0;
      this.#parse(bytes.subarray(0, ground));
    }
    const rest = ground < 0 ? bytes : bytes.subarray(ground);
    if (!rest.length) return;
    this.#held.push(rest);
    this.#heldBytes += rest.length;
    if (this.#heldBytes <= HELD_LIMIT_BYTES) return;
    for (const part of this.#held) this.#parse(part);
    this.#held = [];
    this.#heldBytes = 0;
    this.#cut = true;
  }

  /** Offset up to which bytes were received; above `offset` while a sequence is unfinished. */
  get received(): number {
    return this.offset + this.#heldBytes;
  }

  /** Goes on at a later offset, because the bytes in between are lost. */
  skip(offset: number): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.offset = offset;
  }

  resize(cols: number, rows: number): void {
    this.#terminal.resize(Math.max(2, cols), Math.max(1, rows));
  }

  picture(scrollback: number) {
    const terminal = this.#terminal;
    const { x, y } = inside(terminal).buffers.active;
    const opening = this.#cut ? (OPENINGS[this.#scanner.state] ?? "\x1bP") : "";
    return {
      offset: this.offset,
      cols: terminal.cols,
      rows: terminal.rows,
      data: Buffer.from(redraw(terminal, scrollback, this.#colors) + opening),
      text: screenText(terminal),
      x: Math.min(x, terminal.cols - 1),
      y,
    };
  }

  close(): void {
    this.#terminal.dispose();
  }

  #parse(bytes: Buffer): void {
    if (bytes.length) inside(this.#terminal).writeSync(bytes);
    this.offset += bytes.length;
  }
}

/** Bytes parsed at once when catching up from disk. */
const FILE_READ_BYTES = 256 * 1024;

const port = parentPort;
if (!port) throw new Error("model-worker.ts runs as a worker thread of the supervisor only.");
const post = (reply: ModelReply) => port.postMessage(reply);
const models = new Map<number, Model>();

port.on("message", (request: ModelRequest) => {
  try {
    handle(request);
  } catch (error) {
    // The terminal library met something it cannot take. The main thread opens a fresh model.
    post({ kind: "trouble", key: request.key, message: (error as Error).stack ?? String(error) });
  }
});

function handle(request: ModelRequest): void {
  if (request.kind === "open") {
    models.get(request.key)?.close();
    models.set(request.key, new Model(request));
    return;
  }
  const model = models.get(request.key);
  if (!model) return;
  const { key } = request;
  switch (request.kind) {
    case "bytes":
      model.feed(Buffer.from(request.bytes.buffer, request.bytes.byteOffset, request.bytes.byteLength));
      post({ kind: "done", key, offset: model.received });
      return;
    case "file": {
      for (let from = request.from; from < request.to; ) {
        const part = readLogSync(request.log, from, Math.min(FILE_READ_BYTES, request.to - from));
        if (part.offset !== from || !part.bytes.length) throw new Error(`The log lacks offsets ${from} to ${request.to}.`);
        model.feed(part.bytes);
        from += part.bytes.length;
      }
      post({ kind: "done", key, offset: model.received });
      return;
    }
    case "skip":
      model.skip(request.offset);
      return;
    case "resize":
      model.resize(request.cols, request.rows);
      return;
    case "picture":
      post({ kind: "picture", key, request: request.request, ...model.picture(request.scrollback) });
      return;
    case "close":
      model.close();
      models.delete(key);
  }
}
