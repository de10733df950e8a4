/** How much disk each worktree takes, measured in the background (WORKTREE-31). */
import type { Node } from "@argus/runner";
import type { Clock } from "../../kernel/clock.ts";
import type { Log } from "../../kernel/log.ts";
import type { Tasks } from "../task/index.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    disk: DiskUse;
  }
}

/** Half of what is promised, because a measurement of many worktrees takes minutes itself. */
const EVERY_MS = 5 * 60_000;
const LOOK_MS = 60_000;

export class DiskUse {
  #node: Node;
  #tasks: Tasks;
  #clock: Clock;
  #log: Log;
  #bytes: Record<string, number> = {};
  #measuredAt: number | null = null;
  #startedAt: number;
  #running: Promise<void> | null = null;

  constructor(node: Node, tasks: Tasks, clock: Clock, log: Log) {
    this.#node = node;
    this.#tasks = tasks;
    this.#clock = clock;
    this.#log = log;
    this.#startedAt = clock.now();
    tasks.marks.push((row) => (row.worktree in this.#bytes ? { disk_bytes: this.#bytes[row.worktree] } : {}));
  }

  /** Resolves when the last measurement is over. */
  start(): AsyncDisposable {
    const stop = this.#clock.every(LOOK_MS, () => {
      if (this.#running || this.#clock.now() - this.#startedAt < EVERY_MS) return;
      this.#running = this.#measure()
        .catch((err) => this.#log.warn({ err }, "disk use not measured"))
        .finally(() => {
          this.#running = null;
        });
    });
    return {
      [Symbol.asyncDispose]: async () => {
        stop();
        await this.#running;
      },
    };
  }

  get measuredAt(): number | null {
    return this.#measuredAt;
  }

  async #measure(): Promise<void> {
    this.#startedAt = this.#clock.now();
    const rows = await this.#tasks.list({ archived: "all" });
    this.#bytes = await this.#node.worktrees.diskUse(rows.map((row) => row.worktree));
    this.#measuredAt = this.#clock.now();
  }

  /** By project, largest first. */
  async byProject(): Promise<{ project: string; bytes: number }[]> {
    const sums = new Map<string, number>();
    for (const { project, worktree } of await this.#tasks.list({ archived: "all" }))
      sums.set(project, (sums.get(project) ?? 0) + (this.#bytes[worktree] ?? 0));
    return [...sums].map(([project, bytes]) => ({ project, bytes })).sort((a, b) => b.bytes - a.bytes);
  }
}
