/** The end of tasks: destroy with a safety copy, prune what is complete, fork before it goes. */
import { ArgusError, TaskStatus } from "@argus/protocol";
import { cleanOutput } from "@argus/runner";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

const taskId = { id: z.string().max(40).describe("Task id") };
const flag = z.stringbool().or(z.boolean()).default(false);

export const remove = operation({
  name: "task.delete",
  summary: "Destroy a task: stop its agent, remove worktree, branch, log and row; unsaved work is kept 30 days under a git ref",
  tier: "write",
  note: "An agent's call waits for a person's approval.",
  input: z.object({
    ...taskId,
    force: flag.describe("Also when the safety copy fails"),
    remote: flag.describe("Delete the branch on its remote too"),
  }),
  output: z.object({ status: z.literal("deleted"), saved_ref: z.string().nullable() }),
  rest: { "DELETE /api/tasks/{id}": {} },
  as: { mcp: "task_delete" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "deleted", saved_ref: null } },
}).run(async ({ id, force, remote }, { tasks, destruction }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  return { status: "deleted" as const, saved_ref: await destruction.destroy(row, { force, remote }) };
});

export const prune = operation({
  name: "task.prune",
  summary: "Destroy every complete task whose work is safe elsewhere, and sweep orphaned worktrees",
  tier: "write",
  input: z.object({}),
  output: z.object({
    pruned: z.number(),
    worktrees: z.number(),
    orphans: z.number(),
    kept: z.array(z.object({ id: z.string(), reason: z.string() })),
  }),
  rest: { "POST /api/maintenance/prune-completed": {} },
  as: { mcp: "task_prune" },
  example: { input: {}, output: { pruned: 0, worktrees: 0, orphans: 0, kept: [] } },
}).run((_input, { destruction }) => destruction.prune());

const CONTEXT_OUTPUT_BYTES = 32 * 1024; // WORKTREE-18
const CONTEXT_DIFF_BYTES = 64 * 1024;

export const fork = operation({
  name: "task.fork",
  summary: "Copy a task with its context into a new worktree and start an agent there",
  tier: "write",
  input: z.object({
    ...taskId,
    name: z.string().trim().min(1).max(200).optional(),
    prompt: z.string().max(500_000).optional().describe("Instead of the source's prompt"),
    project: z.string().max(100).optional(),
    carry: z.enum(["all", "none"]).default("all").describe("Bring uncommitted and untracked work along"),
  }),
  output: z.object({ id: z.string(), name: z.string(), status: TaskStatus }),
  status: 201,
  rest: { "POST /api/tasks/{id}/fork": {} },
  as: { mcp: "task_fork" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "in_progress" } },
}).run(async ({ id, name, prompt, project, carry }, { tasks, projects, creation, node, launcher, events }, { caller, signal }) => {
  const source = await tasks.find({ id }, caller);
  if (!(await node.files.exists(source.worktree)))
    throw new ArgusError("CONFLICT", `The worktree of task ${source.id} is gone; there is nothing to fork.`);
  const target = project ?? source.project;
  await projects.find(target);
  const sameProject = target === source.project;
  const context = [
    {
      name: "fork-source.md",
      bytes: Buffer.from(
        `# Fork of ${source.name}\n\n- status: ${source.status}\n- branch: ${source.branch}\n\n## Prompt\n\n${source.prompt}\n`,
      ),
    },
  ];
  const log = launcher.logOf(source.id);
  const { total } = await node.sessions.readLog(log, 0, 0);
  const output = cleanOutput(
    (await node.sessions.readLog(log, Math.max(0, total - CONTEXT_OUTPUT_BYTES), CONTEXT_OUTPUT_BYTES)).bytes,
  ).trim();
  if (output) context.push({ name: "fork-output.md", bytes: Buffer.from(`\`\`\`\n${output}\n\`\`\`\n`) });
  const { branchDiff } = await node.git.status(source.worktree, source.base_commit || undefined);
  const diff = Buffer.from(branchDiff);
  if (diff.length > 0)
    context.push({
      name: "fork-diff.patch",
      bytes:
        diff.length > CONTEXT_DIFF_BYTES
          ? Buffer.concat([diff.subarray(0, CONTEXT_DIFF_BYTES), Buffer.from("\n[cut here: the diff is longer]\n")])
          : diff,
    });
  const files = context.map((file) => `- ./.context/${file.name}`).join("\n");
  const text = [
    `Continue the work of the task ${JSON.stringify(source.name)}. Read these files first:\n${files}`,
    ...(sameProject ? [] : [`The source belongs to the project ${source.project}; this worktree belongs to ${target}.`]),
    `The original prompt was:\n\n${prompt ?? source.prompt}`,
  ].join("\n\n");
  const taken = new Set((await tasks.list({ project: target })).map((row) => row.name));
  let chosen = name ?? `${source.name}-fork`;
  for (let n = 2; !name && taken.has(chosen); n++) chosen = `${source.name}-fork-${n}`;
  const { row } = await creation.create(
    {
      name: chosen,
      prompt: text,
      project: target,
      backend: source.backend,
      model: source.model,
      base_branch: sameProject ? source.branch : "",
      depends_on: [],
      plan_slug: source.plan_slug,
      upsert: false,
      files: [],
      context,
      ...(sameProject && carry === "all" && { carryFrom: source.worktree }),
    },
    caller,
    signal,
  );
  await events.change(async (_tx, emit) => emit("task.forked", String(row.id), { source: String(source.id) }));
  return { id: String(row.id), name: row.name, status: row.status as TaskStatus };
});

export const recover = operation({
  name: "worktree.recover",
  summary: "Check the safety copy of a destroyed task out again",
  tier: "write",
  input: z.object({
    ...taskId,
    project: z.string().max(100).optional().describe("Project of the destroyed task, when several have a copy of that number"),
  }),
  output: z.object({ path: z.string(), branch: z.string() }),
  positional: ["id"],
}).run(({ id, project }, { destruction }) => destruction.recover(id, project));
