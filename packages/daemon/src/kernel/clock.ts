/** Time, as it is given to features: the real one, or one that tests move forward. */

export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Calls `run` every `ms`; never keeps the process alive by itself. Returns the end of it. */
  every(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  every(ms, run) {
    const timer = setInterval(run, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** The real clock shifted forward; advancing also runs every repeating job at once, so that tests need not wait. */
export class TestClock implements Clock {
  #offset = 0;
  #jobs = new Set<() => void>();

  now(): number {
    return Date.now() + this.#offset;
  }

  every(ms: number, run: () => void): () => void {
    this.#jobs.add(run);
    const end = systemClock.every(ms, run);
    return () => {
      this.#jobs.delete(run);
      end();
    };
  }

  advance(ms: number): void {
    this.#offset += ms;
    for (const job of this.#jobs) job();
  }
}

/** RFC 3339 in UTC. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
