/** Calls over the owner's local socket. No schema library, so that a command starts as fast as the runtime does. */
import { connect, type Socket } from "node:net";
import type { ErrorBody } from "@argus/protocol";

export interface CallOptions {
  key?: string;
  cwd?: string;
}

/** A failure as the daemon described it. */
export class CallError extends Error {
  readonly code: string;
  readonly details: Record<string, unknown> | undefined;
  constructor(body: ErrorBody) {
    super(body.error);
    this.name = "CallError";
    this.code = body.code;
    this.details = body.details;
  }
}

const connectionLost = () => new CallError({ error: "The connection to the daemon was lost.", code: "UNAVAILABLE" });

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
  item?(item: unknown): void;
}

/** One connection; many calls and streams side by side. */
export class SocketClient implements Disposable {
  #socket: Socket;
  #waiting = new Map<number, Waiting>();
  #next = 1;
  #rest: Buffer[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    const lost = () => {
      for (const waiting of this.#waiting.values()) waiting.reject(connectionLost());
      this.#waiting.clear();
    };
    socket.on("error", lost);
    socket.on("close", lost);
  }

  /** Rejects with UNAVAILABLE when no daemon listens. */
  static connect(path: string, timeoutMs = 2000): Promise<SocketClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const fail = (why: string) => {
        socket.destroy();
        reject(new CallError({ error: `No daemon answers at ${path} (${why}). Start it with: argus daemon start`, code: "UNAVAILABLE" }));
      };
      const timer = setTimeout(() => fail("no answer in time"), timeoutMs);
      socket.once("error", (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        fail(error.code ?? error.message);
      });
      socket.once("connect", () => {
        clearTimeout(timer);
        socket.removeAllListeners("error");
        resolve(new SocketClient(socket));
      });
    });
  }

  call<T = unknown>(name: string, input: unknown = {}, options: CallOptions = {}): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      if (this.#socket.destroyed) return reject(connectionLost()); // nobody would answer
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#socket.write(`${JSON.stringify({ id, call: name, input, ...options })}\n`);
    });
  }

  /** Items as they come; ending the loop ends the stream at the daemon. */
  async *stream<T = unknown>(name: string, input: unknown = {}, options: CallOptions & { signal?: AbortSignal } = {}): AsyncGenerator<T> {
    if (this.#socket.destroyed) throw connectionLost();
    const id = this.#next++;
    const items: T[] = [];
    let ended = false;
    let failure: Error | null = null;
    let wake: () => void = () => {};
    this.#waiting.set(id, {
      item: (item) => {
        items.push(item as T);
        wake();
      },
      resolve: () => {
        ended = true;
        wake();
      },
      reject: (error) => {
        failure = error;
        wake();
      },
    });
    const { signal, ...more } = options;
    const abort = () => {
      ended = true;
      wake();
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#socket.write(`${JSON.stringify({ id, call: name, input, ...more })}\n`);
    try {
      for (;;) {
        const item = items.shift();
        if (item !== undefined) yield item;
        else if (failure) throw failure;
        else if (ended) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (items.length > 0 || failure || ended) resolve();
          });
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      if (this.#waiting.delete(id)) this.#socket.write(`${JSON.stringify({ id, cancel: true })}\n`);
    }
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      this.#handle(Buffer.concat([...this.#rest, chunk.subarray(from, at)]).toString("utf8"));
      this.#rest = [];
      from = at + 1;
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from));
  }

  #handle(line: string): void {
    const reply = JSON.parse(line) as { id: number | null; value?: unknown; item?: unknown; end?: true; error?: ErrorBody };
    const waiting = reply.id === null ? undefined : this.#waiting.get(reply.id);
    if (!waiting || reply.id === null) return;
    if ("item" in reply) return waiting.item?.(reply.item);
    this.#waiting.delete(reply.id);
    if (reply.error) waiting.reject(new CallError(reply.error));
    else waiting.resolve(reply.value);
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
