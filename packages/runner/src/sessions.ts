/** The supervisor of this machine as one thing that stays, while connections to it come and go: viewers see neither gap nor double byte. */
import { ArgusError, ERRORS, type ErrorCode } from "@argus/protocol";
import {
  connectSupervisor,
  type ExitRecord,
  readLog,
  removeLog,
  type SessionInfo,
  type Snapshot,
  type SpawnRequest,
  type SupervisorClient,
  type Watch,
} from "@argus/supervisor/client";
import type { Sessions, SessionsState, ViewerHandlers } from "./node.ts";

/** A handover of the supervisor takes about this long, so the first try after a loss usually succeeds. */
const FIRST_RETRY_MS = 50;
/** Slow enough to cost nothing while the supervisor is down, fast enough that nobody waits for us once it is up. */
const LAST_RETRY_MS = 1_000;

type WatchOptions = { since?: number; viewer?: string; scrollback?: number };

export interface SessionsOptions {
  socket: string;
  /** Limit of every single call; the client's default is 5 s. */
  timeoutMs?: number;
  /** How to reach it; tests bring a connection that breaks on command. */
  connect?: typeof connectSupervisor;
}

/** A failure of the supervisor with the code of our own table; codes are the same by contract. */
function translated(thrown: unknown): ArgusError {
  if (thrown instanceof ArgusError) return thrown;
  const { code, message } = thrown as { code?: string; message?: string };
  return new ArgusError(code && code in ERRORS ? (code as ErrorCode) : "INTERNAL", message ?? String(thrown));
}

/** One viewer of one session across connections. */
class Viewer {
  readonly id: string;
  readonly #handlers: ViewerHandlers;
  readonly #options: WatchOptions;
  /** Offset after the last byte that was handed on, or null before the first. */
  #next: number | null = null;
  /** What the viewer is still busy with; bytes of a new connection wait for it. */
  #busy: Promise<void> | null = null;
  #watch: Watch | null = null;
  #connection: SupervisorClient | null = null;
  #size: { cols: number; rows: number } | null = null;
  ended = false;

  constructor(id: string, handlers: ViewerHandlers, options: WatchOptions) {
    this.id = id;
    this.#handlers = handlers;
    this.#options = options;
  }

  get viewer(): string | undefined {
    return this.#options.viewer;
  }

  sized(cols: number, rows: number): void {
    this.#size = { cols, rows };
  }

  /** Starts, or goes on after the last byte delivered. Rejects as the client does. */
  async attach(client: SupervisorClient): Promise<void> {
    this.#connection = client;
    await this.#busy;
    const current = () => this.#connection === client && !this.ended;
    if (!current()) return;
    const watch = await client.watch(
      this.id,
      {
        onSnapshot: (snapshot) => {
          if (!current()) return;
          this.#next = snapshot.offset;
          this.#handlers.onSnapshot(snapshot);
        },
        onOutput: (offset, bytes) => (current() ? this.#output(offset, bytes) : undefined),
        onResize: (cols, rows) => {
          if (current()) this.#handlers.onResize?.(cols, rows);
        },
        onExit: (exit) => {
          if (!current()) return;
          this.ended = true;
          this.#handlers.onExit(exit);
        },
      },
      { ...this.#options, since: this.#next ?? this.#options.since },
    );
    if (!current()) return watch.close();
    this.#watch = watch;
    // The supervisor forgot the sizes of the lost connection, and would give the terminal to whoever is left.
    if (this.#size) await client.resize(this.id, this.#size.cols, this.#size.rows, this.viewer);
  }

  #output(offset: number, bytes: Buffer): void | Promise<void> {
    const known = Math.max(0, (this.#next ?? offset) - offset);
    if (known >= bytes.length && bytes.length > 0) return;
    this.#next = offset + bytes.length;
    const wait = this.#handlers.onOutput(offset + known, known > 0 ? bytes.subarray(known) : bytes);
    if (!(wait instanceof Promise)) return;
    const busy = wait.then(
      () => {},
      () => {},
    );
    this.#busy = busy;
    void busy.then(() => {
      if (this.#busy === busy) this.#busy = null;
    });
    return wait;
  }

  /** The supervisor answers again and has no such session: nothing more will come, and nobody knows how it ended. */
  lost(): void {
    if (this.ended) return;
    this.ended = true;
    this.#handlers.onLost?.();
  }

  close(): void {
    this.ended = true;
    this.#connection = null;
    this.#watch?.close();
    this.#watch = null;
  }
}

/** `Sessions` over the supervisor's socket. Connects at once and keeps trying until `close`. */
export class SupervisorSessions implements Sessions {
  readonly #options: SessionsOptions;
  readonly #viewers = new Set<Viewer>();
  readonly #exitListeners = new Set<(id: string, exit: ExitRecord) => void>();
  readonly #connectedListeners = new Set<() => void>();
  readonly #closing = new AbortController();
  #client: SupervisorClient | null = null;
  /** The try that is under way, so that a call right after the start need not fail. */
  #connecting: Promise<void> | null = null;
  /** Settles when the last connection is gone after `close`. */
  readonly done: Promise<void>;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.done = this.#run();
  }

  get state(): SessionsState {
    return this.#client ? "connected" : "unreachable";
  }

  async #run(): Promise<void> {
    const stop = this.#closing.signal;
    let wait = FIRST_RETRY_MS;
    while (!stop.aborted) {
      const attempt = (this.#options.connect ?? connectSupervisor)(this.#options.socket, { timeoutMs: this.#options.timeoutMs }).then(
        (client) => this.#connected(client),
        () => null,
      );
      // Only the first try after a start or a loss is worth waiting for: when the supervisor hangs, each further one takes the whole time limit.
      if (wait === FIRST_RETRY_MS) this.#connecting = attempt.then(() => {});
      const client = await attempt;
      this.#connecting = null;
      if (client) {
        wait = FIRST_RETRY_MS;
        await client.closed;
        this.#client = null;
      }
      if (!stop.aborted) await pause(wait, stop);
      wait = client ? FIRST_RETRY_MS : Math.min(wait * 2, LAST_RETRY_MS);
    }
  }

  #connected(client: SupervisorClient): SupervisorClient {
    if (this.#closing.signal.aborted) {
      client.close();
      return client;
    }
    this.#client = client;
    for (const listener of this.#connectedListeners) listener();
    client.onExit((id, exit) => {
      for (const listener of this.#exitListeners) listener(id, exit);
    });
    for (const viewer of this.#viewers) void this.#attachAgain(viewer, client);
    return client;
  }

  async #attachAgain(viewer: Viewer, client: SupervisorClient): Promise<void> {
    try {
      await viewer.attach(client);
    } catch (cause) {
      // Anything but "no such session" means that the connection is lost once more, or the answer late; the next connection tries again.
      if (translated(cause).code === "NOT_FOUND") {
        this.#viewers.delete(viewer);
        viewer.lost();
      } else if (this.#client === client) client.close();
    }
  }

  async #ask<Result>(question: (client: SupervisorClient) => Promise<Result>): Promise<Result> {
    if (!this.#client) await this.#connecting;
    if (!this.#client) {
      throw new ArgusError(
        "UNAVAILABLE",
        `The session supervisor at ${this.#options.socket} cannot be reached. Sessions go on without it being asked; try again in a moment.`,
      );
    }
    try {
      return await question(this.#client);
    } catch (cause) {
      throw translated(cause);
    }
  }

  spawn(request: SpawnRequest): Promise<{ pid: number }> {
    return this.#ask((client) => client.spawn(request));
  }

  input(id: string, bytes: Uint8Array): Promise<void> {
    return this.#ask((client) => client.input(id, bytes));
  }

  resize(id: string, cols: number, rows: number, viewer?: string): Promise<{ cols: number; rows: number }> {
    for (const seen of this.#viewers) if (viewer !== undefined && seen.id === id && seen.viewer === viewer) seen.sized(cols, rows);
    return this.#ask((client) => client.resize(id, cols, rows, viewer));
  }

  signal(id: string, signal: string, options?: { killAfterMs?: number }): Promise<void> {
    return this.#ask((client) => client.signal(id, signal, options));
  }

  snapshot(id: string, options?: { scrollback?: number }): Promise<Snapshot> {
    return this.#ask((client) => client.snapshot(id, options));
  }

  list(): Promise<SessionInfo[]> {
    return this.#ask((client) => client.list());
  }

  collect(id: string): Promise<void> {
    return this.#ask((client) => client.collect(id));
  }

  async watch(id: string, handlers: ViewerHandlers, options: WatchOptions = {}): Promise<Watch> {
    const viewer = new Viewer(id, handlers, options);
    await this.#ask(async (client) => {
      await viewer.attach(client);
      // From here on a lost connection is our business and no longer the caller's.
      this.#viewers.add(viewer);
      if (this.#client !== client && this.#client) void this.#attachAgain(viewer, this.#client);
    });
    return {
      close: () => {
        this.#viewers.delete(viewer);
        viewer.close();
      },
    };
  }

  onExit(listener: (id: string, exit: ExitRecord) => void): () => void {
    this.#exitListeners.add(listener);
    return () => this.#exitListeners.delete(listener);
  }

  onConnected(listener: () => void): () => void {
    this.#connectedListeners.add(listener);
    return () => this.#connectedListeners.delete(listener);
  }

  async removeLog(log: string): Promise<void> {
    removeLog(log);
  }

  readLog(log: string, offset: number, max: number): Promise<{ bytes: Buffer; offset: number; total: number; oldest: number }> {
    return readLog(log, offset, max);
  }

  hello(): { protocol: number; build: string; pid: number; startedAt: number } | null {
    return this.#client?.hello ?? null;
  }

  close(): void {
    this.#closing.abort();
    for (const viewer of this.#viewers) viewer.close();
    this.#viewers.clear();
    this.#client?.close();
    this.#client = null;
  }
}

/** Waits, or less when the signal aborts. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, milliseconds);
    function finish() {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    }
    signal.addEventListener("abort", finish);
  });
}
