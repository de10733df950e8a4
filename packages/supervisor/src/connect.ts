/** Talks to the session supervisor: requests with a time limit, and watched sessions whose bytes arrive in order with their offsets. */

import { connect, type Socket } from "node:net";
import type { ExitRecord, Hello, SessionInfo, Snapshot, SpawnRequest, SupervisorClient, Watch, WatchHandlers } from "./contract.ts";
import { SupervisorError, type SupervisorErrorCode } from "./errors.ts";
import { encodeFrame, type Frame, FrameReader, PROTOCOL, REPLY_LIMIT, VERB } from "./frames.ts";
import { Watching } from "./watching.ts";

/** Above the 2 s in which a busy machine answers, and short enough that a stuck call does not freeze a face. */
const DEFAULT_TIMEOUT_MS = 5_000;

interface Pending {
  resolve(frame: Frame): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** Connects and greets. Rejects with UNAVAILABLE when nobody answers within `timeoutMs`. `version` is for tests of older clients. */
export async function connectSupervisor(
  socketPath: string,
  options: { timeoutMs?: number; version?: number } = {},
): Promise<SupervisorClient> {
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const socket = connect(socketPath);
  await new Promise<void>((resolve, reject) => {
    const fail = (reason: string) => {
      socket.destroy();
      reject(
        new SupervisorError(
          "UNAVAILABLE",
          `No session supervisor answers at ${socketPath} (${reason}). Start one with: argus session-supervisor start`,
        ),
      );
    };
    const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs);
    socket.once("error", (error) => {
      clearTimeout(timer);
      fail(error.message);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve();
    });
  });
  const connection = new Connection(socket, timeoutMs);
  try {
    const { header } = await connection.request(VERB.HELLO, { protocol: options.version ?? PROTOCOL, pid: process.pid });
    connection.hello = header as unknown as Hello;
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

class Connection implements SupervisorClient {
  hello!: Hello;
  readonly closed: Promise<void>;
  #socket: Socket;
  #timeoutMs: number;
  #reader = new FrameReader(REPLY_LIMIT);
  #pending = new Map<number, Pending>();
  #watches = new Map<number, Watching>();
  #exitListeners = new Set<(id: string, exit: ExitRecord) => void>();
  #lastNumber = 0;
  #open = true;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("data", (chunk) => this.#receive(chunk as Buffer));
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#lost());
  }

  async spawn(request: SpawnRequest): Promise<{ pid: number }> {
    const { header } = await this.request(VERB.SPAWN, request);
    return { pid: header.pid as number };
  }

  async input(id: string, bytes: Uint8Array): Promise<void> {
    await this.request(VERB.INPUT, { id }, bytes);
  }

  async resize(id: string, cols: number, rows: number, viewer?: string): Promise<{ cols: number; rows: number }> {
    const { header } = await this.request(VERB.RESIZE, { id, cols, rows, viewer });
    return { cols: header.cols as number, rows: header.rows as number };
  }

  async signal(id: string, signal: string, options: { killAfterMs?: number } = {}): Promise<void> {
    await this.request(VERB.SIGNAL, { id, signal, killAfterMs: options.killAfterMs });
  }

  async snapshot(id: string, options: { scrollback?: number } = {}): Promise<Snapshot> {
    const { header, body } = await this.request(VERB.SNAPSHOT, { id, scrollback: options.scrollback });
    return snapshotOf(header, body);
  }

  async list(): Promise<SessionInfo[]> {
    const { header } = await this.request(VERB.LIST, {});
    return header.sessions as SessionInfo[];
  }

  async watch(id: string, handlers: WatchHandlers, options: { since?: number; viewer?: string; scrollback?: number } = {}): Promise<Watch> {
    const watch = ++this.#lastNumber;
    const watching = new Watching(handlers, (generation, offset) => {
      if (this.#open) this.#socket.write(encodeFrame(VERB.ACK, 0, { watch, generation, offset }));
    });
    this.#watches.set(watch, watching);
    try {
      await this.request(VERB.SNAPSHOT, { id, watch, ...options });
    } catch (error) {
      watching.close();
      this.#watches.delete(watch);
      throw error;
    }
    return {
      close: () => {
        if (!this.#watches.delete(watch)) return;
        watching.close();
        if (this.#open) this.#socket.write(encodeFrame(VERB.ACK, 0, { watch, close: true }));
      },
    };
  }

  async collect(id: string): Promise<void> {
    await this.request(VERB.ACK, { id, collect: true });
  }

  onExit(listener: (id: string, exit: ExitRecord) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  async shutdown(options: { handover?: boolean } = {}): Promise<void> {
    const request = this.request(VERB.SIGNAL, { shutdown: true, handover: options.handover ?? false });
    // A replaced program cannot answer any more; that the connection ends is its answer.
    await Promise.race([request, this.closed]).catch((error) => {
      if (this.#open) throw error;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  request(verb: number, header: object, body?: Uint8Array): Promise<Frame> {
    const number = ++this.#lastNumber;
    return new Promise((resolve, reject) => {
      if (!this.#open) return reject(lostConnection());
      const timer = setTimeout(() => {
        this.#pending.delete(number);
        reject(new SupervisorError("UNAVAILABLE", `The session supervisor did not answer within ${this.#timeoutMs} ms.`));
      }, this.#timeoutMs);
      this.#pending.set(number, { resolve, reject, timer });
      this.#socket.write(encodeFrame(verb, number, header, body));
    });
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch {
      this.#socket.destroy();
    }
  }

  #handle(frame: Frame): void {
    if (frame.request) {
      const pending = this.#pending.get(frame.request);
      if (!pending) return;
      this.#pending.delete(frame.request);
      clearTimeout(pending.timer);
      if (frame.verb === VERB.ERROR) pending.reject(errorOf(frame.header));
      else pending.resolve(frame);
      return;
    }
    const { header, body } = frame;
    const watching = this.#watches.get(header.watch as number);
    if (frame.verb === VERB.OUTPUT) watching?.output(header.offset as number, body);
    else if (frame.verb === VERB.SNAPSHOT) watching?.snapshot(header.generation as number, snapshotOf(header, body));
    else if (frame.verb === VERB.RESIZE) watching?.resize(header.cols as number, header.rows as number);
    else if (frame.verb === VERB.EXIT && header.watch === undefined) {
      for (const listener of this.#exitListeners) listener(header.id as string, header.exit as ExitRecord);
    } else if (frame.verb === VERB.EXIT) watching?.exit(header.exit as ExitRecord);
  }

  #lost(): void {
    this.#open = false;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(lostConnection());
    }
    this.#pending.clear();
    for (const watching of this.#watches.values()) watching.close();
    this.#watches.clear();
  }
}

function lostConnection(): SupervisorError {
  return new SupervisorError("UNAVAILABLE", "The connection to the session supervisor is closed. Connect again and continue with `since`.");
}

function errorOf(header: Record<string, unknown>): SupervisorError {
  return new SupervisorError(header.code as SupervisorErrorCode, String(header.message));
}

function snapshotOf(header: Record<string, unknown>, body: Buffer): Snapshot {
  const { offset, cols, rows, text, cursor } = header as unknown as Snapshot;
  return { offset, cols, rows, data: body, text, cursor };
}
