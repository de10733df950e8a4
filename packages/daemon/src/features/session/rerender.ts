/** Lets an agent draw its conversation anew at a very different width, by stopping and resuming it. */
import type { Log } from "../../kernel/log.ts";
import type { TaskRow, Tasks } from "../task/index.ts";
import type { Launcher } from "./launcher.ts";
import type { Live } from "./live.ts";
import type { TaskSessions } from "./sessions.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    rerender: Rerender;
  }
}

/** SESSION-33: columns away from the width at the start. A window-size signal only repaints what comes next; what scrolled away was laid out for the old width. */
const MARGIN_COLUMNS = 15;

export class Rerender {
  #tasks: Tasks;
  #sessions: TaskSessions;
  #launcher: Launcher;
  #log: Log;

  constructor(tasks: Tasks, sessions: TaskSessions, launcher: Launcher, log: Log) {
    this.#tasks = tasks;
    this.#sessions = sessions;
    this.#launcher = launcher;
    this.#log = log;
  }

  /** True when a re-render was begun: far from the first width, idle, not asking anything, and with a conversation to resume. */
  async consider(row: TaskRow, live: Live, size: { cols: number; rows: number }): Promise<boolean> {
    if (Math.abs(size.cols - live.initialCols) < MARGIN_COLUMNS) return false;
    if (live.pendingRestart || live.stopRequested || live.state?.value !== "idle" || !row.session_id) return false;
    const launch = await this.#launcher.plan(row, row.session_id, null, "");
    if (!launch.resumed) return false;
    live.pendingRestart = true;
    void this.#again(row, size).catch((err) => this.#log.warn({ err, task: row.id }, "re-render failed; the task can be resumed by hand"));
    return true;
  }

  async #again(row: TaskRow, size: { cols: number; rows: number }): Promise<void> {
    await this.#sessions.end(row);
    try {
      await this.#launcher.start(await this.#tasks.byId(String(row.id)), { resume: true, ...size });
    } catch (thrown) {
      const after = await this.#tasks.byId(String(row.id));
      if (after.status === "in_progress") await this.#tasks.setStatus(after, "in_review");
      throw thrown;
    }
  }
}
