/** Follows the daemon's event log from where it left off, and says when the caller must ask for everything again. */
import type { ArgusEvent } from "@argus/protocol";
import { noteRequest } from "./reach.ts";
import { authorization, errorOf } from "./request.ts";
import { readEvents } from "./sse.ts";
import { forgetToken, token } from "./token.ts";

const RETRY_MS = [500, 1_000, 2_000, 5_000] as const; // a restarting daemon is back within a second or two; a phone in a tunnel is not

/** Remembers the newest event seen. Pure, so that the replay rules can be tested. */
export class Cursor {
  #last: number | null = null;

  get path(): string {
    return this.#last === null ? "/api/events/stream" : `/api/events/stream?since=${this.#last}`;
  }

  /** "apply" for news, "resync" when state must be fetched again, "skip" for what was seen already. */
  take(event: { id: number; type: string }): "apply" | "resync" | "skip" {
    if (event.type === "resync") {
      // The log no longer holds what we missed: follow from now on, and fetch.
      this.#last = null;
      return "resync";
    }
    if (this.#last !== null && event.id <= this.#last) return "skip";
    this.#last = event.id;
    return "apply";
  }
}

export interface FeedHandlers {
  /** Called once the stream is open, so that what is fetched afterwards leaves no gap; `fresh` is false when nothing can have been missed. */
  onOpen(fresh: boolean): void;
  onEvent(event: ArgusEvent): void;
  onResync(): void;
}

/** Runs until `stop` fires; reconnects by itself. */
export async function followFeed(handlers: FeedHandlers, stop: AbortSignal): Promise<void> {
  const cursor = new Cursor();
  let failures = 0;
  while (!stop.aborted && token.value) {
    const abort = new AbortController();
    const end = () => abort.abort();
    stop.addEventListener("abort", end);
    try {
      const path = cursor.path;
      const used = token.value;
      const response = await fetch(path, { headers: authorization(), signal: abort.signal, cache: "no-store" });
      if (response.status === 401) {
        if (used === token.value) forgetToken("This device's token is no longer accepted: it was revoked or replaced. Log in again.");
        return;
      }
      if (!response.ok) throw await errorOf(response);
      noteRequest(true);
      failures = 0;
      handlers.onOpen(!path.includes("since="));
      await readEvents(
        response,
        ({ data }) => {
          const event = JSON.parse(data) as ArgusEvent;
          const verdict = cursor.take(event);
          if (verdict === "resync") handlers.onResync();
          else if (verdict === "apply") handlers.onEvent(event);
        },
        abort,
      );
    } catch {
      if (stop.aborted) return;
      noteRequest(false);
    } finally {
      stop.removeEventListener("abort", end);
    }
    await pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] ?? 5_000, stop);
  }
}

/** Waits, but not past `stop`, and not past the moment the page is shown again: a phone taken out of a pocket should be current at once. */
export function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop.removeEventListener("abort", done);
      globalThis.document?.removeEventListener("visibilitychange", shown);
      globalThis.removeEventListener?.("online", done);
      resolve();
    };
    const shown = () => {
      if (!document.hidden) done();
    };
    const timer = setTimeout(done, ms);
    stop.addEventListener("abort", done);
    globalThis.document?.addEventListener("visibilitychange", shown);
    globalThis.addEventListener?.("online", done);
  });
}
