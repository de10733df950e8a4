/** What a client of the session supervisor may ask and what it is told. Types only; the wire format is in frames.ts. */

/** Everything a session needs, already decided by the daemon: the supervisor knows no task, no backend, no sandbox. */
export interface SpawnRequest {
  /** Unique among live and uncollected sessions. The daemon uses `<task id>.<run number>`. */
  id: string;
  /** Program and arguments; never a shell string. argv[0] is looked up on the PATH of `env`. */
  argv: string[];
  /** The whole environment of the child; nothing is added. */
  env: Record<string, string>;
  cwd: string;
  cols: number;
  rows: number;
  /** File that all output is appended to (mode 0600, folder 0700), or null for none. */
  log: string | null;
  /** Offset of the first byte of this run; offsets of a task go on across its runs. */
  offset: number;
  /** Above this many bytes the older part of the log is dropped. */
  logMaxBytes: number;
  /** `NAME=value`: processes that left the group but carry this in their environment are ended with the session. */
  mark?: string;
}

export interface ExitRecord {
  /** Exit status, or null when a signal ended the process. */
  code: number | null;
  /** Signal name such as `SIGTERM`, or null. */
  signal: string | null;
  /** Unix milliseconds. */
  at: number;
  /** True when a client asked for the end (SIGNAL verb) before it came. */
  stopped: boolean;
}

export interface SessionInfo {
  id: string;
  pid: number;
  cols: number;
  rows: number;
  /** Unix milliseconds. */
  startedAt: number;
  /** Offset given at spawn. */
  base: number;
  /** Offset after the newest byte. */
  offset: number;
  /** Lowest offset that `watch({since})` can continue from without a snapshot. */
  held: number;
  /** Unix milliseconds of the newest output, or null when there was none. */
  lastOutputAt: number | null;
  /** Unix milliseconds of the newest input from a client, or null. */
  lastInputAt: number | null;
  /** Set once the process has ended and its output is drained; kept until `collect`. */
  exit: ExitRecord | null;
}

export interface Snapshot {
  /** The screen after exactly this many bytes of the task's output. */
  offset: number;
  cols: number;
  rows: number;
  /** Escape sequences that redraw screen, modes, cursor, colours, links and scrollback on a fresh terminal. Starts with a full reset (ESC c). */
  data: Buffer;
  /** The visible rows as plain text, right-trimmed. */
  text: string[];
  /** Zero-based cursor. */
  cursor: { x: number; y: number };
}

export interface Hello {
  /** The lower of both sides' protocol versions. */
  protocol: number;
  build: string;
  pid: number;
  startedAt: number;
}

export interface WatchHandlers {
  /** Sent first (unless `since` is held) and again whenever this viewer fell too far behind: clear the screen and draw this. */
  onSnapshot(snapshot: Snapshot): void;
  /** `offset` is the offset of the first byte. May return a promise: bytes are acknowledged when it resolves. */
  onOutput(offset: number, bytes: Buffer): void | Promise<void>;
  onResize?(cols: number, rows: number): void;
  onExit(exit: ExitRecord): void;
}

export interface Watch {
  close(): void;
}

/** A connection to the supervisor. Every call rejects within `timeoutMs` (default 5 s) when no answer comes; `closed` settles when the connection is lost. */
export interface SupervisorClient {
  readonly hello: Hello;
  readonly closed: Promise<void>;
  spawn(request: SpawnRequest): Promise<{ pid: number }>;
  /** Resolves when the supervisor has taken the bytes (they are written in order, complete, 8-bit clean). */
  input(id: string, bytes: Uint8Array): Promise<void>;
  /**
   * Registers the size this connection wants as viewer `viewer`; the session takes the smallest of all attached viewers, and the size in force is returned.
   * A viewer counts while its connection watches the session; closing the watch of that name, or 0 x 0, takes its size back. With nobody attached a size simply applies.
   */
  resize(id: string, cols: number, rows: number, viewer?: string): Promise<{ cols: number; rows: number }>;
  /** Signals the whole process group; with `killAfterMs` what is left is killed after that time, even if this client is gone by then. */
  signal(id: string, signal: string, options?: { killAfterMs?: number }): Promise<void>;
  snapshot(id: string, options?: { scrollback?: number }): Promise<Snapshot>;
  list(): Promise<SessionInfo[]>;
  /** Bytes from `since` when still held, else a snapshot, then everything that follows. */
  watch(id: string, handlers: WatchHandlers, options?: { since?: number; viewer?: string; scrollback?: number }): Promise<Watch>;
  /** Forgets an ended session after its exit record has been stored durably. */
  collect(id: string): Promise<void>;
  /** Called for the exit of any session. */
  onExit(listener: (id: string, exit: ExitRecord) => void): () => void;
  /** Asks the supervisor to end: with `handover` it replaces its own program image and keeps every session; else every agent is hung up. */
  shutdown(options?: { handover?: boolean }): Promise<void>;
  close(): void;
}
