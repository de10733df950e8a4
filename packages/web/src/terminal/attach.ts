/** Keeps a terminal attached to its session: a snapshot first, then every byte once, through lost connections and restarts. */
import { signal } from "@preact/signals";
import { pause } from "../api/feed.ts";
import { noteRequest } from "../api/reach.ts";
import { authorization, errorOf } from "../api/request.ts";
import { readEvents } from "../api/sse.ts";
import { forgetToken } from "../api/token.ts";

const RETRY_MS = [300, 1_000, 2_000, 5_000] as const; // the first retry covers a restarting daemon

/** Counts bytes by the stream's own offsets. Pure, so that the rules of coming back can be tested. */
export class Offsets {
  /** Offset after the newest byte drawn, or null before the first. */
  last: number | null = null;

  get query(): string {
    return this.last === null ? "" : `&since=${this.last}`;
  }

  /** False for bytes that were drawn already. A snapshot (it starts with a full reset) is always drawn: it says where it stands. */
  take(id: string, bytes: Uint8Array): boolean {
    const offset = id === "" ? Number.NaN : Number(id);
    if (!Number.isFinite(offset)) return true;
    if (this.last !== null && offset <= this.last && !isSnapshot(bytes)) return false;
    this.last = offset;
    return true;
  }
}

export function isSnapshot(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1b && bytes[1] === 0x63;
}

/** Decodes base64 as the streams send it. */
export function bytesOf(base64: string): Uint8Array {
  const native = (Uint8Array as unknown as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (native) return native.call(Uint8Array, base64);
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export type Link = "connecting" | "live" | "lost" | "ended" | "none";

export interface AttachHandlers {
  /** Draws; resolves when the terminal can take more. */
  onBytes(bytes: Uint8Array): Promise<void> | void;
  /** The stream is open: the size this viewer wants can be told now. */
  onOpen(): void;
  /** What follows was drawn for this size: the snapshot's, or another viewer's. */
  onSize(cols: number, rows: number): void;
}

/** `link` says how the terminal stands: `none` means the task has no session, `ended` that it had one until just now. */
export class Attachment {
  readonly link = signal<Link>("connecting");
  /** Names this viewer to the daemon, for the size it asks for. */
  readonly viewer = crypto.randomUUID();
  readonly #offsets = new Offsets();
  readonly #path: string;
  readonly #handlers: AttachHandlers;
  #stop = new AbortController();
  #running = false;

  constructor(taskId: string, handlers: AttachHandlers) {
    this.#path = `/api/tasks/${encodeURIComponent(taskId)}/stream?viewer=${this.viewer}`;
    this.#handlers = handlers;
  }

  /** Attaches, from the newest byte drawn if there is one. */
  start(options: { fresh?: boolean } = {}): void {
    if (options.fresh) this.#offsets.last = null;
    if (this.#running) return;
    this.#stop = new AbortController();
    this.#running = true;
    const stop = this.#stop.signal;
    void this.#follow(stop).finally(() => {
      if (this.#stop.signal === stop) this.#running = false;
    });
  }

  /** Detaches, so that this screen no longer holds the size down; `start` goes on from the same byte. */
  stop(): void {
    this.#running = false;
    this.#stop.abort();
  }

  async #follow(stop: AbortSignal): Promise<void> {
    for (let failures = 0; !stop.aborted; ) {
      const abort = new AbortController();
      const end = () => abort.abort();
      stop.addEventListener("abort", end);
      try {
        const response = await fetch(this.#path + this.#offsets.query, {
          headers: authorization(),
          signal: abort.signal,
          cache: "no-store",
        });
        if (response.status === 404) {
          this.link.value = this.link.value === "ended" ? "ended" : "none";
          return;
        }
        if (response.status === 401)
          return forgetToken("This device's token is no longer accepted. Log in again to continue where you were.");
        if (!response.ok) throw await errorOf(response);
        noteRequest(true);
        failures = 0;
        this.link.value = "live";
        this.#handlers.onOpen();
        const ending = await this.#read(response, abort);
        if (ending === "exit") {
          this.link.value = "ended";
          return;
        }
        if (ending === "restart") this.#offsets.last = null;
      } catch {
        if (stop.aborted) return;
        noteRequest(false);
      } finally {
        stop.removeEventListener("abort", end);
      }
      if (stop.aborted) return;
      this.link.value = "lost";
      await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] ?? 5_000, stop);
    }
  }

  async #read(response: Response, abort: AbortController): Promise<"exit" | "restart" | "cut"> {
    let ending: "exit" | "restart" | "cut" = "cut";
    await readEvents(
      response,
      ({ type, data, id }) => {
        if (type === "message") {
          const bytes = bytesOf(data);
          if (this.#offsets.take(id, bytes)) return this.#handlers.onBytes(bytes);
        } else if (type === "exit") {
          ending = (JSON.parse(data || "{}") as { pending_restart?: boolean }).pending_restart ? "restart" : "exit";
        } else if (type === "size") {
          const { cols, rows } = JSON.parse(data) as { cols: number; rows: number };
          this.#handlers.onSize(cols, rows);
        }
      },
      abort,
    ).catch((error: unknown) => {
      // After the exit record the server may simply hang up.
      if (ending === "cut") throw error;
    });
    return ending;
  }
}
