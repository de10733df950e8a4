/** The task operations: create, look, move, mark. */
import { ArgusError, EndReason, TASK_STATUSES, Task, TaskStatus } from "@argus/protocol";
import { z } from "zod";
import { canonical } from "../../kernel/call.ts";
import { rfc3339 } from "../../kernel/clock.ts";
import { operation } from "../../kernel/operation.ts";
import { step } from "./status.ts";

const taskRef = {
  id: z.string().max(40).optional().describe("Task id"),
  cwd: z.string().max(4096).optional().describe("A directory inside the task's worktree, when id is not known"),
};
const taskId = { id: z.string().max(40).describe("Task id") };
const Name = z.string().trim().min(1, "must not be empty").max(200, "has at most 200 characters");

export const create = operation({
  name: "task.create",
  summary: "Create a task: a worktree, a branch and an agent at work in it",
  tier: "write",
  input: z.object({
    prompt: z.string().max(500_000).default("").describe("What the agent shall do"),
    project: z.string({ error: "project is required" }).min(1, "project is required").max(100).describe("Name of the project"),
    name: Name.optional().describe("Display name; without one it is made from the prompt"),
    backend: z.string().max(100).default("").describe("Agent to use; empty: the project's or the default one"),
    model: z.string().max(200).default("").describe("Model override"),
    base_branch: z.string().max(250).default("").describe("Branch, tag or commit the worktree starts from"),
    depends_on: z
      .array(z.string().max(40))
      .max(100, "has at most 100 ids")
      .default([])
      .describe("Tasks that must be complete before this one starts"),
    plan_slug: z.string().max(200).default("").describe("Label that groups the tasks of one plan"),
    upsert: z.stringbool().or(z.boolean()).default(false).describe("Return the task of this name when there is one"),
    cols: z.coerce.number().int().min(1).max(1000).optional(),
    rows: z.coerce.number().int().min(1).max(1000).optional(),
    files: z
      .array(z.object({ name: z.string(), base64: z.string() }))
      .default([])
      .describe("Files for the worktree's .context folder"),
  }),
  output: z.object({
    id: z.string(),
    name: z.string(),
    status: TaskStatus,
    project: z.string(),
    branch: z.string(),
    notice: z.string().optional(),
  }),
  status: 201,
  rest: { "POST /api/tasks": {} },
  files: true,
  as: { mcp: "task_create" },
  positional: ["project", "prompt"],
  example: {
    given: "project",
    input: { project: "demo", prompt: "say hello", name: "hello", backend: "fixture-idle" },
    output: { name: "hello", status: "in_progress" },
  },
}).run(async (input, { creation, decodeFiles }, { caller, signal }) => {
  if (!input.name && input.prompt.trim() === "") throw new ArgusError("INVALID_INPUT", "name or prompt is required");
  const { row, notice } = await creation.create({ ...input, files: decodeFiles(input.files) }, caller, signal);
  return {
    id: String(row.id),
    name: row.name,
    status: row.status as TaskStatus,
    project: row.project,
    branch: row.branch,
    ...(notice && { notice }),
  };
});

export const get = operation({
  name: "task.get",
  summary: "Show one task",
  tier: "readonly",
  input: z.object(taskRef),
  output: Task.extend({ blocked_by: z.array(z.string()).optional() }),
  rest: { "GET /api/tasks/{id}": {} },
  as: { mcp: "task_get" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "in_progress" } },
}).run(async (ref, { tasks }, { caller }) => {
  const row = await tasks.find(ref, caller);
  const task = await tasks.view(row);
  if (task.depends_on.length === 0) return task;
  const parents = await Promise.all(task.depends_on.map(async (id) => ({ id, row: await tasks.byId(id).catch(() => null) })));
  return {
    ...task,
    blocked_by: parents.flatMap(({ id, row: parent }) =>
      parent === null ? [`${id} (missing)`] : parent.status === "complete" ? [] : [id],
    ),
  };
});

export const list = operation({
  name: "task.list",
  summary: "List tasks in the order they were created",
  tier: "readonly",
  input: z.object({
    status: z.enum(TASK_STATUSES).optional(),
    project: z.string().max(100).optional(),
    plan_slug: z.string().max(200).optional(),
    archived: z.enum(["1", "all"]).optional().describe("1: only archived ones; all: both"),
  }),
  output: z.object({ tasks: z.array(Task) }),
  rest: { "GET /api/tasks": {} },
  as: { mcp: "task_list" },
  example: { input: {}, output: { tasks: [] } },
}).run(async (filter, { tasks }) => ({ tasks: await tasks.views(await tasks.list(filter)) }));

export const setStatus = operation({
  name: "task.set_status",
  summary: "Set the status of a task; never starts or stops a process",
  tier: "write",
  input: z.object({ ...taskId, status: TaskStatus }),
  output: z.object({ status: TaskStatus }),
  rest: { "POST /api/tasks/{id}/status": {} },
  as: { mcp: "task_set_status" },
  positional: ["id", "status"],
  example: { given: "task:idle", input: { id: "$task", status: "in_review" }, output: { status: "in_review" } },
}).run(async ({ status, ...ref }, { tasks, dependencies }, { caller }) => {
  const row = await tasks.setStatus(await tasks.find(ref, caller), status);
  if (status === "complete") await dependencies.release();
  return { status: row.status as TaskStatus };
});

const moveBy = (name: string, summary: string, by: 1 | -1) =>
  operation({
    name,
    summary,
    tier: "write",
    input: z.object(taskId),
    output: z.object({ status: TaskStatus }),
    positional: ["id"],
    example: { given: "task:idle", input: { id: "$task" }, output: { status: by === 1 ? "in_review" : "pending" } },
  }).run(async (ref, { tasks, dependencies }, { caller }) => {
    const row = await tasks.find(ref, caller);
    const after = await tasks.setStatus(row, step(row.status as TaskStatus, by));
    if (after.status === "complete") await dependencies.release();
    return { status: after.status as TaskStatus };
  });
export const advance = moveBy("task.advance", "Move a task one status forward", 1);
export const revert = moveBy("task.revert", "Move a task one status back", -1);

export const complete = operation({
  name: "task.complete",
  summary: "Mark a task as complete; does not stop a running agent",
  tier: "write",
  input: z.object({ ...taskRef, commit: z.string().max(100).optional().describe("Commit that holds the work, as evidence") }),
  output: z.object({ id: z.string(), status: TaskStatus, completion: z.enum(["verified", "claimed"]) }),
  as: { mcp: "task_complete" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "complete", completion: "claimed" } },
}).run(async ({ commit, ...ref }, { tasks, node, dependencies }, { caller }) => {
  const row = await tasks.find(ref, caller);
  // Evidence is a commit that exists on the task's branch; a word alone is a claim (TASK-29).
  const verified = commit !== undefined && (await node.git.contains(row.worktree, commit));
  await tasks.complete(row, verified ? "verified" : "claimed");
  await dependencies.release();
  return { id: String(row.id), status: "complete" as const, completion: verified ? ("verified" as const) : ("claimed" as const) };
});

export const archive = operation({
  name: "task.archive",
  summary: "Archive a task, or bring it back; leave archived out to toggle",
  tier: "write",
  input: z.object({ ...taskRef, archived: z.boolean().optional().describe("Leave out to toggle") }),
  output: z.object({ archived: z.boolean() }),
  rest: { "POST /api/tasks/{id}/archive": { archived: true }, "POST /api/tasks/{id}/unarchive": { archived: false } },
  as: { mcp: "task_archive" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task", archived: true }, output: { archived: true } },
}).run(async ({ archived, ...ref }, { tasks }, { caller }) => {
  const row = await tasks.find(ref, caller);
  return { archived: Boolean((await tasks.setArchived(row, archived ?? !row.archived)).archived) };
});

export const pin = operation({
  name: "task.pin",
  summary: "Pin a task to the top of the list, or unpin it",
  tier: "write",
  input: z.object({ ...taskId, pinned: z.boolean().default(true) }),
  output: z.object({ pinned: z.boolean() }),
  rest: { "POST /api/tasks/{id}/pin": {} },
  as: { mcp: "task_pin" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task", pinned: true }, output: { pinned: true } },
}).run(async ({ pinned, ...ref }, { tasks }, { caller }) => ({
  pinned: Boolean((await tasks.setPinned(await tasks.find(ref, caller), pinned)).pinned),
}));

export const rename = operation({
  name: "task.rename",
  summary: "Change the display name of a task; branch and worktree keep theirs",
  tier: "write",
  input: z.object({ ...taskRef, name: Name }),
  output: z.object({ name: z.string() }),
  rest: { "POST /api/tasks/{id}/rename": {} },
  as: { mcp: "task_rename" },
  positional: ["id", "name"],
  example: { given: "task:idle", input: { id: "$task", name: "better" }, output: { name: "better" } },
}).run(async ({ name, ...ref }, { tasks }, { caller }) => ({ name: (await tasks.rename(await tasks.find(ref, caller), name)).name }));

export const setResult = operation({
  name: "task.set_result",
  summary: "Store a JSON result that others can read: an address, a milestone, a reason",
  tier: "write",
  input: z.object({ ...taskRef, result: z.unknown().describe("Any JSON value of at most 64 KiB") }),
  output: z.object({ id: z.string(), bytes: z.number() }),
  as: { mcp: "task_set_result" },
  positional: ["id", "result"],
  example: { given: "task:idle", input: { id: "$task", result: { pr: 7 } }, output: { bytes: 8 } },
}).run(async ({ result, ...ref }, { tasks }, { caller }) => {
  if (result === undefined) throw new ArgusError("INVALID_INPUT", "result is required: pass any JSON value.");
  const row = await tasks.find(ref, caller);
  const text = canonical(result);
  await tasks.setResult(row, text);
  return { id: String(row.id), bytes: Buffer.byteLength(text) };
});

export const setPlanSlug = operation({
  name: "task.set_plan_slug",
  summary: "Set the label that groups the tasks of one plan; empty clears it",
  tier: "write",
  input: z.object({ ...taskId, plan_slug: z.string().max(200) }),
  output: z.object({ plan_slug: z.string() }),
  rest: { "POST /api/tasks/{id}/plan-slug": {} },
  as: { mcp: "task_set_plan_slug" },
  positional: ["id", "plan_slug"],
  example: { given: "task:idle", input: { id: "$task", plan_slug: "release" }, output: { plan_slug: "release" } },
}).run(async ({ plan_slug, ...ref }, { tasks }, { caller }) => {
  const row = await tasks.find(ref, caller);
  await tasks.set(row.id, { plan_slug });
  return { plan_slug };
});

const Run = z.object({
  number: z.number(),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  end_reason: EndReason.nullable(),
  exit_code: z.number().nullable(),
  signal: z.string().nullable(),
  resumed: z.boolean(),
  base_offset: z.number(),
});

export const runs = operation({
  name: "task.runs",
  summary: "List the runs of a task and how each ended",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ runs: z.array(Run) }),
  rest: { "GET /api/tasks/{id}/runs": {} },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" } },
}).run(async (ref, { tasks }, { caller }) => {
  const rows = await tasks.runs(await tasks.find(ref, caller));
  return {
    runs: rows.map((row) => ({
      number: row.number,
      started_at: rfc3339(Number(row.started_at)),
      ended_at: row.ended_at === null ? null : rfc3339(Number(row.ended_at)),
      end_reason: row.end_reason as EndReason | null,
      exit_code: row.exit_code,
      signal: row.exit_signal,
      resumed: Boolean(row.resumed),
      base_offset: Number(row.base_offset),
    })),
  };
});
