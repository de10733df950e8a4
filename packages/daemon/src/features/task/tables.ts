/** The rows of tasks and of their runs. */
import type { Generated, Selectable } from "kysely";
import type { Migration } from "kysely/migration";
import { idColumn } from "../../kernel/schema.ts";

export interface TaskTable {
  /** Counts up and is never reused, so the decimal id tells the order of creation (TASK-03). */
  id: Generated<number>;
  name: string;
  /** 1 while the name is the one made from the prompt. */
  auto_named: number;
  status: string;
  project: string;
  branch: string;
  worktree: string;
  prompt: string;
  backend: string;
  model: string;
  base_branch: string;
  base_commit: string;
  archived: number;
  pinned: number;
  attention: number;
  /** JSON list of ids. */
  depends_on: string;
  plan_slug: string;
  /** Canonical JSON, or null. */
  result: string | null;
  completion: string | null;
  session_id: string | null;
  sandboxed: number;
  port_base: number | null;
  /** What the repository asked for and a person accepted, as JSON (workspace.ts), or null. */
  workspace: string | null;
  created_by: string;
  run_count: number;
  /** Bytes of output over all ended runs. */
  output_total: number;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
}
export type TaskRow = Selectable<TaskTable>;

export interface RunTable {
  id: Generated<number>;
  task_id: number;
  number: number;
  started_at: number;
  ended_at: number | null;
  end_reason: string | null;
  exit_code: number | null;
  exit_signal: string | null;
  stop_requested: number;
  pid: number | null;
  base_offset: number;
  cols: number;
  rows: number;
  resumed: number;
  /** SHA-256 of the run's token; void once the run has ended. */
  token_hash: string;
}
export type RunRow = Selectable<RunTable>;

declare module "../../kernel/database.ts" {
  interface Tables {
    tasks: TaskTable;
    runs: RunTable;
  }
}

export const migrations: Record<string, Migration> = {
  "2026-11-21-tasks": {
    async up(db) {
      await idColumn(db.schema.createTable("tasks"), db)
        .addColumn("name", "text", (c) => c.notNull())
        .addColumn("auto_named", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("status", "text", (c) => c.notNull())
        .addColumn("project", "text", (c) => c.notNull())
        .addColumn("branch", "text", (c) => c.notNull())
        .addColumn("worktree", "text", (c) => c.notNull().unique()) // WORKTREE-10: two rows once shared one worktree
        .addColumn("prompt", "text", (c) => c.notNull())
        .addColumn("backend", "text", (c) => c.notNull())
        .addColumn("model", "text", (c) => c.notNull())
        .addColumn("base_branch", "text", (c) => c.notNull())
        .addColumn("base_commit", "text", (c) => c.notNull())
        .addColumn("archived", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("pinned", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("attention", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("depends_on", "text", (c) => c.notNull())
        .addColumn("plan_slug", "text", (c) => c.notNull())
        .addColumn("result", "text")
        .addColumn("completion", "text")
        .addColumn("session_id", "text")
        .addColumn("sandboxed", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("port_base", "integer")
        .addColumn("created_by", "text", (c) => c.notNull())
        .addColumn("run_count", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("output_total", "bigint", (c) => c.notNull().defaultTo(0))
        .addColumn("created_at", "bigint", (c) => c.notNull())
        .addColumn("started_at", "bigint")
        .addColumn("ended_at", "bigint")
        .execute();
      await db.schema.createIndex("tasks_by_name").on("tasks").columns(["name", "project", "archived"]).execute();
      await idColumn(db.schema.createTable("runs"), db)
        .addColumn("task_id", "bigint", (c) => c.notNull().references("tasks.id").onDelete("cascade"))
        .addColumn("number", "integer", (c) => c.notNull())
        .addColumn("started_at", "bigint", (c) => c.notNull())
        .addColumn("ended_at", "bigint")
        .addColumn("end_reason", "text")
        .addColumn("exit_code", "integer")
        .addColumn("exit_signal", "text")
        .addColumn("stop_requested", "integer", (c) => c.notNull().defaultTo(0))
        .addColumn("pid", "integer")
        .addColumn("base_offset", "bigint", (c) => c.notNull())
        .addColumn("cols", "integer", (c) => c.notNull())
        .addColumn("rows", "integer", (c) => c.notNull())
        .addColumn("resumed", "integer", (c) => c.notNull())
        .addColumn("token_hash", "text", (c) => c.notNull())
        .execute();
      await db.schema.createIndex("runs_by_task").on("runs").columns(["task_id", "number"]).unique().execute();
    },
  },
  "2026-11-21-tasks-workspace": {
    async up(db) {
      await db.schema.alterTable("tasks").addColumn("workspace", "text").execute();
    },
  },
};
