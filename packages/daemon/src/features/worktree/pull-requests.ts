/** Watches the pull requests of tasks' branches with the person's own `gh`, seldom and only while they can still change (WORKTREE-20). */
import type { Node } from "@argus/runner";
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import type { Projects } from "../project/index.ts";
import type { TaskRow, Tasks } from "../task/index.ts";
import { type CheckState, LIST, type PullRequest, type PullRequestState, readList } from "./github.ts";

declare module "../../kernel/database.ts" {
  interface Tables {
    pull_requests: { task_id: number; url: string; state: string; ci: string };
  }
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const TIME_LIMIT_MS = 30_000;

/** The older a task, the seldomer somebody works on its pull request. */
function intervalOf(age: number): number {
  return age < DAY_MS ? MINUTE_MS : age < 7 * DAY_MS ? 10 * MINUTE_MS : 60 * MINUTE_MS;
}

const isSettled = (state: PullRequestState | undefined) => state === "merged" || state === "closed";

export interface PullRequestParts {
  store: Store;
  events: Events;
  clock: Clock;
  log: Log;
  node: Node;
  tasks: Tasks;
  projects: Projects;
}

export class PullRequests {
  #parts: PullRequestParts;
  #known = new Map<number, PullRequest>();
  /** When each project was last asked about. */
  #asked = new Map<string, number>();
  #stopping = new AbortController();
  #running: Promise<void> | null = null;

  private constructor(parts: PullRequestParts) {
    this.#parts = parts;
    parts.tasks.marks.push((row) => {
      const known = this.#known.get(row.id);
      return known ? { pr_state: known.state, ci_state: known.ci, ...(known.url && { pr_url: known.url }) } : {};
    });
  }

  static async open(parts: PullRequestParts): Promise<PullRequests> {
    const all = new PullRequests(parts);
    for (const { task_id, url, state, ci } of await parts.store.db.selectFrom("pull_requests").selectAll().execute())
      all.#known.set(Number(task_id), { url, state: state as PullRequestState, ci: ci as CheckState });
    return all;
  }

  start(): AsyncDisposable {
    const stop = this.#parts.clock.every(MINUTE_MS, () => {
      this.#running ??= this.#look()
        .catch((err) => this.#parts.log.warn({ err }, "pull requests not looked at"))
        .finally(() => {
          this.#running = null;
        });
    });
    return {
      [Symbol.asyncDispose]: async () => {
        stop();
        this.#stopping.abort();
        await this.#running;
      },
    };
  }

  async #look(): Promise<void> {
    const { node, tasks, projects, clock } = this.#parts;
    if (!(await node.processes.which("gh"))) return; // WORKTREE-21
    const open = (await tasks.list({})).filter((row) => row.branch.startsWith("argus/") && !isSettled(this.#known.get(row.id)?.state));
    const now = clock.now();
    for (const project of await projects.all()) {
      const rows = open.filter((row) => row.project === project.name);
      const due = Math.min(...rows.map((row) => intervalOf(now - Number(row.created_at))));
      if (rows.length === 0 || now - (this.#asked.get(project.name) ?? -Infinity) < due) continue;
      if (this.#stopping.signal.aborted) return;
      this.#asked.set(project.name, now);
      if (await node.git.remoteUrl(project.path).catch(() => null)) await this.#ask(project.path, rows);
    }
  }

  async #ask(folder: string, rows: TaskRow[]): Promise<void> {
    const { node, log } = this.#parts;
    let found: Map<string, PullRequest> | null = null;
    try {
      const options = {
        cwd: folder,
        env: { GH_PROMPT_DISABLED: "1", NO_COLOR: "1" },
        timeoutMs: TIME_LIMIT_MS,
        signal: this.#stopping.signal,
      };
      const { code, stdout, stderr } = await node.processes.run(LIST, options);
      if (code === 0) found = readList(stdout);
      else log.debug({ folder, stderr: stderr.slice(-500) }, "gh could not list pull requests");
    } catch (err) {
      if (this.#stopping.signal.aborted) return;
      log.debug({ err, folder }, "gh could not list pull requests");
    }
    for (const row of rows) {
      const before = this.#known.get(row.id);
      // A list that does not name a known one was cut off; without a list nothing is known.
      const unnamed: PullRequest = { url: before?.url ?? "", state: found && !before?.url ? "none" : "unknown", ci: "none" };
      await this.#keep(row, found?.get(row.branch) ?? unnamed);
    }
  }

  async #keep(row: TaskRow, next: PullRequest): Promise<void> {
    const before = this.#known.get(row.id);
    if (before && before.url === next.url && before.state === next.state && before.ci === next.ci) return;
    await this.#parts.events.change(async (tx, emit) => {
      if (!(await tx.selectFrom("tasks").select("id").where("id", "=", row.id).executeTakeFirst())) return;
      await tx
        .insertInto("pull_requests")
        .values({ task_id: row.id, ...next })
        .onConflict((on) => on.column("task_id").doUpdateSet(next))
        .execute();
      emit("task.pull_request_changed", String(row.id), { state: next.state, ci: next.ci });
    });
    this.#known.set(row.id, next);
  }
}
