/** Takes tasks apart without losing work: safety copy, then process, worktree, branch, files, row. */
import path from "node:path";
import { ArgusError } from "@argus/protocol";
import type { Log } from "../../kernel/log.ts";
import type { Services } from "../../kernel/operation.ts";
import type { TaskRow } from "./tables.ts";
import { tearDown } from "./workspace.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    destruction: Destruction;
  }
}

const TRASH_DAYS = 30; // WORKTREE-26

export interface Pruned {
  pruned: number;
  worktrees: number;
  orphans: number;
  kept: { id: string; reason: string }[];
}

export class Destruction {
  #services: () => Services;
  #log: Log;
  #root: string;
  #running = new Map<number, Promise<string | null>>();

  constructor(services: () => Services, log: Log, worktreeRoot: string) {
    this.#services = services;
    this.#log = log;
    this.#root = worktreeRoot;
  }

  /** Returns the ref that holds unsaved work, or null when there was none. Whoever asks a second time meanwhile waits for the first. */
  destroy(row: TaskRow, options: { force?: boolean; remote?: boolean } = {}): Promise<string | null> {
    const running = this.#running.get(row.id);
    if (running) return running;
    const work = this.#destroy(row, options).finally(() => this.#running.delete(row.id));
    this.#running.set(row.id, work);
    return work;
  }

  async #destroy(row: TaskRow, options: { force?: boolean; remote?: boolean }): Promise<string | null> {
    const { tasks, sessions, node, config, launcher, destroyed } = this.#services();
    await sessions.end(row);
    const project = await this.#projectOf(row.project, row.worktree);
    let savedRef: string | null = null;
    if (config.bool("ui.cleanup_worktrees") && project) {
      await tearDown(row, node, this.#log);
      ({ savedRef } = await node.worktrees.remove({
        projectPath: project.path,
        root: this.#root,
        path: row.worktree,
        branch: row.branch,
        taskId: String(row.id),
        ...(project.branch && { projectBranch: project.branch }),
        ...options,
      }));
    }
    for (let run = 1; run <= row.run_count; run++) await launcher.clean(row.id, run);
    await node.sessions.removeLog(launcher.logOf(row.id));
    await tasks.remove(row, savedRef);
    destroyed(row.id);
    if (project)
      void node.worktrees.expireTrash(project.path, TRASH_DAYS).catch((err) => this.#log.warn({ err }, "old safety copies not expired"));
    return savedRef;
  }

  /** Every complete task, except where work exists nowhere else or an agent still lives (WORKTREE-27). */
  async prune(): Promise<Pruned> {
    const { tasks, sessions, node } = this.#services();
    const result: Pruned = { pruned: 0, worktrees: 0, orphans: 0, kept: [] };
    for (const row of await tasks.list({ status: "complete", archived: "all" })) {
      const keep = sessions.live.has(row.id) ? "its agent still runs" : await this.#unsafe(row);
      if (keep) {
        result.kept.push({ id: String(row.id), reason: keep });
        continue;
      }
      try {
        const existed = await node.files.exists(row.worktree);
        await this.destroy(row);
        result.pruned++;
        if (existed && !(await node.files.exists(row.worktree))) result.worktrees++;
      } catch (thrown) {
        result.kept.push({ id: String(row.id), reason: thrown instanceof Error ? thrown.message : String(thrown) });
      }
    }
    result.orphans = await this.#sweep(result.kept);
    return result;
  }

  async #unsafe(row: TaskRow): Promise<string | null> {
    const { node } = this.#services();
    const project = await this.#projectOf(row.project, row.worktree);
    if (!project) return `its project ${row.project} is not registered any more`;
    const state = await node.worktrees.state(row.worktree, project.path, project.branch || undefined);
    if (!state.exists) return null;
    if (state.dirty) return "it has uncommitted changes";
    if (state.unsavedCommits > 0)
      return `${state.unsavedCommits} commit${state.unsavedCommits === 1 ? " is" : "s are"} on no remote and not in the base branch`;
    return null;
  }

  /** Directories below the root that no task names; needs the full list of tasks, and every project, to be known (WORKTREE-28). */
  async #sweep(kept: Pruned["kept"]): Promise<number> {
    const { tasks, node, config, creation } = this.#services();
    if (!config.bool("ui.cleanup_worktrees")) return 0; // WORKTREE-29
    const known = (await tasks.list({ archived: "all" })).map((row) => row.worktree);
    let removed = 0;
    for (const orphan of await node.worktrees.orphans(this.#root, known)) {
      const name = path.basename(path.dirname(orphan));
      const project = await this.#projectOf(name, orphan);
      if (!project) {
        kept.push({ id: orphan, reason: `its project ${name} is not registered` });
        continue;
      }
      // Made a moment ago, or about to get its row: the lists above are older than that.
      if (creation.ongoing.isBusy(name) || (await tasks.list({ archived: "all" })).some((row) => row.worktree === orphan)) continue;
      const state = await node.worktrees.state(orphan, project.path, project.branch || undefined).catch(() => null);
      if (!state || state.dirty || state.unsavedCommits > 0) {
        kept.push({ id: orphan, reason: state ? "it holds work that exists nowhere else" : "git cannot say what it holds" });
        continue;
      }
      await node.worktrees.remove({
        projectPath: project.path,
        root: this.#root,
        path: orphan,
        branch: `argus/${path.basename(orphan)}`,
        taskId: `orphan-${path.basename(orphan)}`,
      });
      removed++;
    }
    return removed;
  }

  async recover(id: string, projectName?: string): Promise<{ path: string; branch: string }> {
    const { projects, node } = this.#services();
    const all = await projects.all();
    for (const project of projectName ? all.filter((one) => one.name === projectName) : all) {
      const into = path.join(this.#root, project.name, `recovered-${id.replace(/[^\w.-]/g, "-")}`);
      try {
        return await node.worktrees.recover(project.path, id, into);
      } catch (thrown) {
        if (thrown instanceof ArgusError && thrown.code === "NOT_FOUND") continue;
        throw thrown;
      }
    }
    throw new ArgusError(
      "NOT_FOUND",
      `No project has a safety copy of task ${JSON.stringify(id)}. Copies are kept ${TRASH_DAYS} days, and only of work that existed nowhere else.`,
    );
  }

  /** The registered project, or for one that was forgotten the repository the worktree itself names. */
  async #projectOf(name: string, worktree: string): Promise<{ path: string; branch: string } | null> {
    const { node, projects } = this.#services();
    const registered = (await projects.all()).find((project) => project.name === name);
    if (registered) return registered;
    const repository = await node.worktrees.repositoryOf(worktree);
    return repository === null ? null : { path: repository, branch: "" };
  }
}
