/** Sends what is typed in order, one request at a time, joining keys that arrive meanwhile: the order holds on the worst network. */
import { signal } from "@preact/signals";

/** The daemon refuses more than 64 KiB in one request. */
export const MAX_CHUNK_BYTES = 65_536;
/** More than this waiting means the agent is gone for long or a paste was a mistake. */
export const MAX_WAITING_BYTES = 4 * 1024 * 1024;
const RETRY_MS = [250, 1_000, 3_000] as const; // the first retry covers a restarting daemon

export type Outcome = "sent" | "retry" | "refused";

interface Piece {
  bytes: Uint8Array;
  /** Never joined with its neighbours: a carriage return after pasted text must arrive as its own key press. */
  alone: boolean;
}

export interface InputQueueOptions {
  /** Sends one chunk. `key` stays the same when the chunk is tried again, so that a server that knows it can drop the double. */
  send(bytes: Uint8Array, key: string): Promise<Outcome>;
  /** Waits before another try; given so that tests need no clock. */
  wait?(ms: number): Promise<void>;
  newKey?(): string;
}

export class InputQueue {
  /** Bytes typed but not yet taken by the daemon; shown while they linger. */
  readonly waiting = signal(0);
  /** True after a failed try, until one succeeds. */
  readonly stuck = signal(false);
  #pieces: Piece[] = [];
  #busy = false;
  #closed = false;
  readonly #options: InputQueueOptions;

  constructor(options: InputQueueOptions) {
    this.#options = options;
  }

  /** Takes text or bytes. Returns false when it was dropped because too much is waiting. */
  push(input: string | Uint8Array, options: { alone?: boolean } = {}): boolean {
    const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
    if (bytes.length === 0 || this.#closed) return !this.#closed;
    if (this.waiting.value + bytes.length > MAX_WAITING_BYTES) return false;
    this.#pieces.push({ bytes, alone: options.alone ?? false });
    this.waiting.value += bytes.length;
    if (!this.#busy) void this.#run();
    return true;
  }

  /** Forgets what is waiting, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.clear();
  }

  clear(): void {
    this.#pieces = [];
    this.waiting.value = 0;
    this.stuck.value = false;
  }

  async #run(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#pieces.length > 0) {
        const chunk = nextChunk(this.#pieces);
        const outcome = await this.#deliver(chunk);
        if (this.#closed) return;
        if (outcome === "refused") return this.clear();
        this.waiting.value = Math.max(0, this.waiting.value - chunk.length);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #deliver(chunk: Uint8Array): Promise<Outcome> {
    const key = this.#options.newKey?.() ?? crypto.randomUUID();
    const wait = this.#options.wait ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#options.send(chunk, key);
      if (outcome !== "retry" || this.#closed) {
        this.stuck.value = false;
        return outcome;
      }
      this.stuck.value = true;
      await wait(RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 3_000);
    }
  }
}

/** Takes the next request's worth off the front: joined pieces up to 64 KiB, a lonely piece by itself. */
export function nextChunk(pieces: Piece[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  while (pieces[0] && size < MAX_CHUNK_BYTES) {
    const piece = pieces[0];
    if (parts.length > 0 && piece.alone) break;
    const room = MAX_CHUNK_BYTES - size;
    parts.push(piece.bytes.subarray(0, room));
    size += Math.min(room, piece.bytes.length);
    if (piece.bytes.length > room) {
      pieces[0] = { ...piece, bytes: piece.bytes.subarray(room) };
      break;
    }
    pieces.shift();
    if (piece.alone) break;
  }
  const chunk = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    chunk.set(part, at);
    at += part.length;
  }
  return chunk;
}
