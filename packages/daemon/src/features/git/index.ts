/** What changed in a task's worktree: status, diffs, files. */
import { ArgusError } from "@argus/protocol";
import type { Node } from "@argus/runner";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import type { TaskRow } from "../task/index.ts";

const taskId = { id: z.string().max(40).describe("Task id") };

async function worktreeOf(row: TaskRow, node: Node): Promise<string> {
  if (await node.files.exists(row.worktree)) return row.worktree;
  throw new ArgusError("NOT_FOUND", `The worktree of task ${row.id} is gone: ${row.worktree} does not exist.`);
}

const status = operation({
  name: "git.status",
  summary: "Show what changed in a task's worktree, uncommitted and on its branch",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ task_id: z.string(), status: z.string(), diff: z.string(), branch_diff: z.string(), branch_files: z.string() }),
  rest: { "GET /api/tasks/{id}/git/status": {} },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "", diff: "" } },
}).run(async ({ id }, { tasks, node }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const all = await node.git.status(await worktreeOf(row, node), row.base_commit || undefined);
  return { task_id: String(row.id), status: all.status, diff: all.diff, branch_diff: all.branchDiff, branch_files: all.branchFiles };
});

const diff = operation({
  name: "git.diff",
  summary: "Show the diff of one file in a task's worktree",
  tier: "readonly",
  input: z.object({ ...taskId, path: z.string({ error: "path is required" }).min(1, "path is required").max(4096) }),
  output: z.object({ task_id: z.string(), path: z.string(), diff: z.string() }),
  rest: { "GET /api/tasks/{id}/git/diff": {} },
  positional: ["id", "path"],
  example: { given: "task:idle", input: { id: "$task", path: "README.md" }, output: { path: "README.md", diff: "" } },
}).run(async ({ id, path }, { tasks, node }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  return { task_id: String(row.id), path, diff: await node.git.fileDiff(await worktreeOf(row, node), path, row.base_commit || undefined) };
});

const files = operation({
  name: "git.files",
  summary: "List one directory of a task's worktree",
  tier: "readonly",
  input: z.object({ ...taskId, dir: z.string().max(4096).default("") }),
  output: z.object({
    task_id: z.string(),
    dir: z.string(),
    files: z.array(z.object({ path: z.string(), status: z.string(), is_dir: z.boolean() })),
  }),
  rest: { "GET /api/tasks/{id}/files": {} },
  positional: ["id", "dir"],
  example: { given: "task:idle", input: { id: "$task" }, output: { dir: "" } },
}).run(async ({ id, dir }, { tasks, node }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  return { task_id: String(row.id), dir, files: await node.files.list(await worktreeOf(row, node), dir) };
});

export const operations = [status, diff, files];
