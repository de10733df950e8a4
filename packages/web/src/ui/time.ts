/** Says when something happened the way people do, and keeps saying it right as time passes. */
import { signal } from "@preact/signals";

const TICK_MS = 10_000; // the smallest step shown is "now" to "1m"; finer ticks would only repaint

/** Unix milliseconds, advanced every 10 s while the page is visible. */
export const now = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) now.value = Date.now();
  }, TICK_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) now.value = Date.now();
  });
}

/** One whole unit: `now`, `4m`, `3h`, `12d`; empty for a time that cannot be read. */
export function ago(at: string | number | null | undefined, at_now: number): string {
  const then = typeof at === "number" ? at : Date.parse(at ?? "");
  if (!Number.isFinite(then)) return "";
  const seconds = Math.max(0, Math.floor((at_now - then) / 1000));
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Date and time in the reader's own format, for titles and details. */
export function absolute(at: string | null | undefined): string {
  const then = Date.parse(at ?? "");
  return Number.isFinite(then) ? new Date(then).toLocaleString() : "";
}
