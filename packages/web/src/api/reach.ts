/** Knows whether the daemon answers. One lost request is a hiccup; two in a row, or the browser's own word, is an outage people should see. */
import { signal } from "@preact/signals";

/** Failures in a row before the banner shows: one is common when a laptop wakes or a daemon restarts. */
const FAILURES_BEFORE_BANNER = 2;
const RETRY_MS = 5_000; // quick enough to feel automatic, slow enough for a phone's battery
const FIRST_RETRY_MS = 1_000; // the second opinion should come before the user wonders

export interface Reach {
  failures: number;
  /** Unix milliseconds of the first failure of this outage, or null while the daemon answers. */
  since: number | null;
  offline: boolean;
}
export const REACHABLE: Reach = { failures: 0, since: null, offline: false };

/** What one more request says about the connection. Pure, so that the rule can be read and tested apart from the browser. */
export function afterRequest(before: Reach, ok: boolean, now: number): Reach {
  if (ok) return before.failures === 0 && !before.offline ? before : REACHABLE;
  const failures = before.failures + 1;
  return { failures, since: before.since ?? now, offline: before.offline || failures >= FAILURES_BEFORE_BANNER };
}

export const reach = signal<Reach>(REACHABLE);
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let probe: (() => Promise<unknown>) | undefined;

/** The listener runs when the daemon answers again after a failure. */
export function onReconnected(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function noteRequest(ok: boolean): void {
  const before = reach.value;
  reach.value = afterRequest(before, ok, Date.now());
  if (ok) {
    clearTimeout(timer);
    timer = undefined;
    if (before.failures > 0 || before.offline) for (const listener of listeners) listener();
  } else retryLater();
}

function retryLater(): void {
  if (timer !== undefined || !probe) return;
  timer = setTimeout(tryNow, reach.value.offline ? RETRY_MS : FIRST_RETRY_MS);
}

/** Asks again at once; the banner's button and the browser's online event use it. */
export function tryNow(): void {
  clearTimeout(timer);
  timer = undefined;
  // The probe reports through noteRequest, like every request.
  void probe?.().catch(() => {});
}

/** Starts listening to the browser; `ask` is a cheap request. */
export function watchReach(ask: () => Promise<unknown>): void {
  probe = ask;
  addEventListener("offline", () => {
    reach.value = { ...reach.value, offline: true, since: reach.value.since ?? Date.now() };
    retryLater();
  });
  addEventListener("online", tryNow);
}
