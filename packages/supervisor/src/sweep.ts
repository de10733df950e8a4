/** Leaves no process behind: ends what is left of a session's process group and what else carries its mark, also after the supervisor itself was killed. */

import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { allProcesses, bootName, ownLine, processFact } from "./processes.ts";

/** A session as the sweeper knows it. */
export interface Owned {
  id: string;
  /** Session leader; its pid is also the number of its process group and of its terminal session. */
  pid: number;
  /** Start time of the leader in clock ticks, or null where that cannot be known. */
  started: number | null;
  /** `NAME=value` in the environment of every process of the session, or null. */
  mark: string | null;
}

/** What is left after SIGTERM gets this long (rule SUPERVISOR-26). */
export const KILL_AFTER_MS = 5_000;

/** Time between two looks at what is left. */
const LOOK_MS = 250;

/** SIGKILL cannot be refused; what is still there after this hangs in the kernel and is reported instead. */
const GIVE_UP_MS = 4_000;

export class Sweeper {
  #file: string;
  #report: (message: string) => void;
  /** Everything not known to be completely gone. */
  #owned = new Map<string, Owned>();
  #sweeping = new Map<Owned, { killAt: number; termed: boolean; done: () => void; promise: Promise<void> }>();
  #running = false;
  #unsaved = false;
  #saving: Promise<void> | null = null;

  constructor(file: string, report: (message: string) => void) {
    this.#file = file;
    this.#report = report;
  }

  /** Remembers a new session, on disk too. */
  add(id: string, pid: number, mark: string | null): void {
    this.#owned.set(id, { id, pid, started: processFact(pid)?.started ?? null, mark });
    this.#save();
  }

  /** Signals the group of a session. False when nothing is left of it. */
  signal(pid: number, signal: NodeJS.Signals | 0): boolean {
    // A child that was forked a moment ago does not lead a group yet.
    return [-pid, pid].some((target) => {
      try {
        process.kill(target, signal);
        return true;
      } catch {
        return false;
      }
    });
  }

  /** Ends whatever is left of a session: SIGTERM now, SIGKILL after `killAfterMs`. Resolves when nothing is. */
  sweep(id: string, killAfterMs: number): Promise<void> {
    const killAt = performance.now() + killAfterMs;
    const owned = this.#owned.get(id);
    if (!owned) return Promise.resolve();
    const going = this.#sweeping.get(owned);
    if (going) {
      going.killAt = Math.min(going.killAt, killAt);
      return going.promise;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#sweeping.set(owned, { killAt, termed: false, done: resolve, promise });
    if (!this.#running) void this.#run();
    return promise;
  }

  /** Sessions of a predecessor that was killed: those still there are provably the same processes, and are killed. */
  async sweepPredecessor(): Promise<void> {
    let left: { boot: string; sessions: Owned[] };
    try {
      left = JSON.parse(readFileSync(this.#file, "utf8"));
    } catch {
      return;
    }
    if (left.boot !== bootName() || !Array.isArray(left.sessions)) return;
    await Promise.all(
      left.sessions.map((owned) => {
        this.#owned.set(owned.id, owned);
        return this.sweep(owned.id, 1_000);
      }),
    );
  }

  /** Takes over the sessions of the previous program image, and goes on sweeping those not in `living`. */
  adopt(living: string[]): void {
    try {
      const { sessions } = JSON.parse(readFileSync(this.#file, "utf8")) as { sessions: Owned[] };
      for (const owned of sessions) this.#owned.set(owned.id, owned);
      for (const owned of sessions) if (!living.includes(owned.id)) void this.sweep(owned.id, KILL_AFTER_MS);
    } catch (error) {
      this.#report(`The list of sessions ${this.#file} cannot be read: ${(error as Error).message}`);
    }
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#sweeping.size) {
      const left = await this.#survivors();
      const now = performance.now();
      for (const [owned, entry] of this.#sweeping) {
        const pids = left.get(owned) ?? [];
        if (!pids.length || now > entry.killAt + GIVE_UP_MS) {
          if (pids.length) this.#report(`Processes ${pids.join(", ")} of session ${owned.id} did not end after SIGKILL.`);
          this.#sweeping.delete(owned);
          // The same name may be in use again.
          if (this.#owned.get(owned.id) === owned) this.#owned.delete(owned.id);
          entry.done();
          continue;
        }
        const signal = now >= entry.killAt ? "SIGKILL" : entry.termed ? null : "SIGTERM";
        entry.termed = true;
        if (signal) for (const pid of pids) end(pid, signal);
      }
      this.#save();
      if (!this.#sweeping.size) break;
      const soonest = Math.min(...[...this.#sweeping.values()].map((entry) => entry.killAt)) - performance.now();
      await new Promise((resolve) => setTimeout(resolve, soonest > 0 ? Math.min(LOOK_MS, soonest) : LOOK_MS));
    }
    this.#running = false;
  }

  /** Processes left of each session being swept. */
  async #survivors(): Promise<Map<Owned, number[]>> {
    const entries = [...this.#sweeping.keys()];
    const marks = new Set(entries.flatMap((owned) => (owned.mark ? [owned.mark] : [])));
    const own = ownLine();
    const found = new Map<Owned, number[]>();
    const all = await allProcesses(marks);
    for (const owned of entries) {
      if (process.platform !== "linux") {
        // No /proc: the group is all that can be seen.
        found.set(owned, this.signal(owned.pid, 0) ? [-owned.pid] : []);
        continue;
      }
      const leader = all.find(({ fact }) => fact.pid === owned.pid)?.fact;
      // While anybody is in the terminal session its number is not given to a new process; so a leader with another start time means another one.
      const same = !leader || leader.started === owned.started;
      // A later run of the same task carries the same mark; its processes began with it or after.
      const later = [...this.#owned.values()].filter((other) => other !== owned && other.mark === owned.mark && !this.#sweeping.has(other));
      const before = Math.min(Number.POSITIVE_INFINITY, ...later.map((other) => other.started ?? Number.POSITIVE_INFINITY));
      const pids = all
        .filter(({ fact, marks }) => {
          if (own.has(fact.pid)) return false;
          if (same && owned.started !== null && fact.started >= owned.started && fact.session === owned.pid) return true;
          return (
            owned.mark !== null && marks.includes(owned.mark) && fact.started < before && !later.some((other) => other.pid === fact.session)
          );
        })
        .map(({ fact }) => fact.pid);
      found.set(owned, pids);
    }
    return found;
  }

  /** In the background and one at a time: a slow disk must not hold up another session's keys. */
  #save(): void {
    this.#unsaved = true;
    if (this.#saving) return;
    this.#saving = (async () => {
      while (this.#unsaved) {
        this.#unsaved = false;
        try {
          await writeFile(`${this.#file}.new`, JSON.stringify({ boot: bootName(), sessions: [...this.#owned.values()] }), { mode: 0o600 });
          await rename(`${this.#file}.new`, this.#file);
        } catch (error) {
          this.#report(`The list of sessions ${this.#file} cannot be written: ${(error as Error).message}`);
        }
      }
      this.#saving = null;
    })();
  }

  /** Resolves when the list on disk is the present one. */
  async saved(): Promise<void> {
    await this.#saving;
  }
}

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
    // A stopped process takes SIGTERM only when it goes on.
    if (signal === "SIGTERM") process.kill(pid, "SIGCONT");
  } catch {
    // Gone by itself in the meantime.
  }
}
