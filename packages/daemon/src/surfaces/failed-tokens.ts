/** Slows down guessing: ten failed tokens from one address within a minute, and that address waits (REST-12). */
import { ArgusError } from "@argus/protocol";

const WINDOW_MS = 60_000;
const ALLOWED = 10;
/** Addresses remembered; beyond it the oldest is forgotten, so that garbage cannot fill the memory. */
const REMEMBERED = 10_000;

export class FailedTokens {
  #failures = new Map<string, number[]>();
  #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  check(address: string): void {
    const recent = this.#recent(address);
    if (recent.length >= ALLOWED) throw new ArgusError("RATE_LIMITED", "Too many failed tokens from this address. Wait a minute.");
  }

  count(address: string): void {
    if (isLoopback(address)) return; // the owner's own machine, where the token file is readable anyway
    if (this.#failures.size >= REMEMBERED) this.#failures.delete(this.#failures.keys().next().value as string);
    this.#failures.set(address, [...this.#recent(address), this.#now()].slice(-ALLOWED));
  }

  #recent(address: string): number[] {
    return (this.#failures.get(address) ?? []).filter((at) => at > this.#now() - WINDOW_MS);
  }
}

export function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.") || address === "";
}
