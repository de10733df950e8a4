/** Lets an agent draw its conversation anew at a very different width, by stopping and resuming it. */
import type { Log } from "../../kernel/log.ts";
import type { TaskRow } from "../task/index.ts";
import type { Launcher } from "./launcher.ts";
import type { Live } from "./live.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    rerender: Rerender;
  }
}

/** SESSION-33: columns away from the width at the start. A window-size signal only repaints what comes next; what scrolled away was laid out for the old width. */
const MARGIN_COLUMNS = 15;

export class Rerender {
  #launcher: Launcher;
  #log: Log;

  constructor(launcher: Launcher, log: Log) {
    this.#launcher = launcher;
    this.#log = log;
  }

  /** True when a re-render was begun: far from the first width, idle, not asking anything, and with a conversation to resume. */
  async consider(row: TaskRow, live: Live, size: { cols: number; rows: number }): Promise<boolean> {
    if (Math.abs(size.cols - live.initialCols) < MARGIN_COLUMNS) return false;
    if (live.pendingRestart || live.stopRequested || live.state?.value !== "idle" || !row.session_id) return false;
    const launch = await this.#launcher.plan(row, row.session_id, null, "");
    if (!launch.resumed) return false;
    void this.#launcher
      .again(row, live, { resume: true, ...size })
      .catch((err) => this.#log.warn({ err, task: row.id }, "re-render failed; the task can be resumed by hand"));
    return true;
  }
}
