/** Starts the agent of a task: backend, conversation, token, environment, process; and takes everything back when a step fails. */
import { createHash, randomUUID } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { ArgusError } from "@argus/protocol";
import type { Node } from "@argus/runner";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import type { Redactor } from "../../kernel/redact.ts";
import { assemble, type Backends, builtInPrograms, childEnvironment, type Launch } from "../backend/index.ts";
import type { Config } from "../config/index.ts";
import type { Projects } from "../project/index.ts";
import { type TaskRow, type Tasks, workspaceOf } from "../task/index.ts";
import { type Live, newToken } from "./live.ts";
import type { TaskSessions } from "./sessions.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    launcher: Launcher;
  }
}

export interface StartOptions {
  /** Continue the stored conversation. */
  resume: boolean;
  cols?: number;
  rows?: number;
  /** The ended run that this one continues in one step. */
  after?: Live;
}

export interface LauncherParts {
  node: Node;
  events: Events;
  tasks: Tasks;
  sessions: TaskSessions;
  backends: Backends;
  projects: Projects;
  config: Config;
  log: Log;
  redactor: Redactor;
  home: string;
  /** Environment of the daemon. */
  env: NodeJS.ProcessEnv;
  /** Address of the MCP server, or null while there is none. */
  mcpUrl(): string | null;
}

const HEADLESS = { cols: 80, rows: 24 }; // SESSION-31

const HOOK = fileURLToPath(new URL("./hook.mjs", import.meta.url));

/** Harnesses run hooks through a shell. Only the file's name is on the command line, never the token. */
function hookCommand(mcpFile: string): string {
  return [process.execPath, HOOK, mcpFile].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

export class Launcher {
  #parts: LauncherParts;

  constructor(parts: LauncherParts) {
    this.#parts = parts;
  }

  logOf(taskId: number): string {
    return path.join(this.#parts.home, "sessions", `${taskId}.log`);
  }

  /** Rejects with UNAVAILABLE when the agent's program is not installed, before anything was made. */
  async checkProgram(command: Launch): Promise<void> {
    const program = command.argv[0] as string;
    const found = path.isAbsolute(program) ? await this.#parts.node.files.exists(program) : await this.#parts.node.processes.which(program);
    if (!found)
      throw new ArgusError(
        "UNAVAILABLE",
        `The agent's program ${JSON.stringify(program)} is not on PATH. Install it, or choose another backend.`,
      );
  }

  /** What would be run for this task; no token is made. Also serves to check a new task before anything exists. */
  async plan(
    task: { backend: string; model: string; prompt: string; project: string },
    resume: string | null,
    mcp: { url: string; token: string; file: string } | null,
    freshId: string,
  ): Promise<Launch> {
    const { backends, projects, config } = this.#parts;
    const project = await projects.find(task.project);
    return assemble({
      backend: backends.choose(task.backend, project.default_backend),
      model: task.model,
      prompt: task.prompt,
      permissionMode: config.string("defaults.permission_mode"),
      resume,
      freshId,
      mcp,
      hook: mcp ? hookCommand(mcp.file) : null,
      harnesses: config.fileLayer().harnesses,
      builtIn: builtInPrograms(),
    });
  }

  /** Resolves when the process lives and the task is in progress. `note` is set when a conversation could not be continued. */
  async start(row: TaskRow, options: StartOptions): Promise<{ pid: number; note: string | null }> {
    const { sessions } = this.#parts;
    const live = sessions.reserve(row, options.after);
    try {
      return await this.#start(row, live, options);
    } finally {
      if (live.starting) sessions.release(live);
    }
  }

  /** Ends a run and starts the next one as one step: nobody sees the task without an agent, and nobody else starts one in between. */
  async again(row: TaskRow, live: Live, options: StartOptions, between: () => Promise<unknown> = async () => {}): Promise<{ pid: number }> {
    const { sessions, tasks } = this.#parts;
    live.pendingRestart = true;
    try {
      await sessions.end(row);
      await between();
      return await this.start(await tasks.byId(String(row.id)), { ...options, after: live });
    } catch (thrown) {
      live.pendingRestart = false;
      if (live.starting) {
        sessions.release(live);
        const after = await tasks.byId(String(row.id));
        if (after.status === "in_progress") await tasks.setStatus(after, "in_review");
      }
      throw thrown;
    }
  }

  async #start(row: TaskRow, live: Live, options: StartOptions): Promise<{ pid: number; note: string | null }> {
    const { node, sessions, config, env, home, redactor } = this.#parts;
    if (!(await node.files.exists(row.worktree))) {
      await this.#backToPending(row);
      throw new ArgusError(
        "CONFLICT",
        `The worktree of task ${row.id} is gone: ${row.worktree} does not exist. Recover it with \`argus worktree recover ${row.id}\`, or delete the task.`,
      );
    }
    const token = newToken();
    const url = this.#parts.mcpUrl();
    const mcp = url ? { url, token, file: path.join(home, "run", `${live.id}.mcp.json`) } : null;
    const freshId = randomUUID();
    const resume = options.resume ? row.session_id : null;
    let launch: Launch;
    try {
      launch = await this.plan(row, resume, mcp, freshId);
      await this.checkProgram(launch);
    } catch (thrown) {
      await this.#backToPending(row);
      throw thrown;
    }
    const sessionId = launch.resumed ? resume : launch.harness.mintsId ? freshId : null;
    const size = { cols: options.cols ?? HEADLESS.cols, rows: options.rows ?? HEADLESS.rows };
    const log = this.logOf(row.id);
    const baseOffset = Math.max(Number(row.output_total), (await node.sessions.readLog(log, 0, 0)).total);
    await sessions.runs.begin(row, live, { token, ...size, resumed: launch.resumed, baseOffset, sessionId, sandboxed: false });
    redactor.add(token);
    try {
      if (launch.mcpFile) await node.files.writePrivate(launch.mcpFile.path, launch.mcpFile.text);
      const { pid } = await node.sessions.spawn({
        id: live.id,
        argv: launch.argv,
        env: childEnvironment(env, {
          ARGUS_AGENT_HOME: path.join(home, "agent"),
          ...workspaceOf(row)?.env,
          ...launch.env,
          ARGUS_TASK_ID: String(row.id),
          ARGUS_SESSION: this.#mark(live),
        }),
        cwd: row.worktree,
        ...size,
        log,
        offset: baseOffset,
        logMaxBytes: config.int("session.log_max_mb") * 1024 * 1024,
        mark: `ARGUS_SESSION=${this.#mark(live)}`,
      });
      await sessions.started(live, pid, launch.resumed);
      const note =
        options.resume && !launch.resumed
          ? row.session_id
            ? `${launch.harness.program} cannot continue a conversation; it was started afresh.`
            : "No earlier conversation is known; it was started afresh."
          : null;
      return { pid, note };
    } catch (thrown) {
      // Its reply may have been lost on the way: nothing may run that no run knows.
      await node.sessions.signal(live.id, "SIGKILL").catch(() => {});
      await sessions.runs.fail(row, live);
      if (launch.mcpFile) await node.files.remove(launch.mcpFile.path);
      throw thrown;
    }
  }

  /** What a run leaves outside worktree and log. */
  async clean(taskId: number, run: number): Promise<void> {
    await this.#parts.node.files.remove(path.join(this.#parts.home, "run", `${taskId}.${run}.mcp.json`)).catch(() => {});
  }

  /** TASK-20. */
  async #backToPending(row: TaskRow): Promise<void> {
    await this.#parts.events.change((tx, emit) => this.#parts.tasks.moveStatus(tx, emit, row.id, "pending", { started_at: null }));
  }

  /** Unlike the task id, unique over all homes: another instance's task 1 must never be taken for ours. */
  #mark(live: Live): string {
    return `${createHash("sha256").update(this.#parts.home).digest("hex").slice(0, 16)}.${live.id}`;
  }
}
