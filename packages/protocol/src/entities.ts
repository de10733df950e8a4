/** The nouns that every face sees, as schemas: a task, its state, its run, a project, a backend. */
import { z } from "zod";

export const TASK_STATUSES = ["pending", "in_progress", "in_review", "complete"] as const;
export const TaskStatus = z.enum(TASK_STATUSES);
export type TaskStatus = z.infer<typeof TaskStatus>;

export const SESSION_STATES = ["starting", "working", "idle", "needs_input", "paused", "exited", "unverifiable"] as const;
/** What a session is doing, with who says so and why: a state nobody can explain is a rumour. */
export const SessionState = z.object({
  value: z.enum(SESSION_STATES),
  source: z.enum(["hook", "protocol", "process", "screen"]),
  since: z.string().describe("RFC 3339"),
  evidence: z.string().describe("One line a person understands"),
});
export type SessionState = z.infer<typeof SessionState>;

export const END_REASONS = ["exited", "stopped", "failed", "budget", "aborted-by-restart", "lost"] as const;
export const EndReason = z.enum(END_REASONS);
export type EndReason = z.infer<typeof EndReason>;

export const Task = z.object({
  id: z.string(),
  name: z.string(),
  status: TaskStatus,
  project: z.string(),
  branch: z.string().optional(),
  backend: z.string().optional(),
  model: z.string().optional(),
  archived: z.boolean(),
  pinned: z.boolean(),
  worktree_path: z.string(),
  prompt: z.string(),
  idle: z.boolean().describe("in_progress, and the session is missing, idle or waiting for the user"),
  attention: z.boolean().describe("Went idle or ended while nobody looked"),
  base_branch: z.string().optional(),
  depends_on: z.array(z.string()),
  plan_slug: z.string().optional(),
  result: z.unknown().optional(),
  pr_url: z.string().optional(),
  pr_state: z
    .enum(["none", "draft", "awaiting-review", "changes-requested", "approved", "merged", "closed", "unknown"])
    .optional()
    .describe("Absent without gh"),
  ci_state: z.enum(["none", "pending", "passing", "failing"]).optional(),
  disk_bytes: z.number().optional().describe("Size of the worktree when it was last measured"),
  elapsed: z.string().optional().describe("One whole unit, such as 12m"),
  session_id: z.string().optional().describe("The harness's own conversation id"),
  sandboxed: z.boolean(),
  completion: z.enum(["verified", "claimed"]).optional(),
  state: SessionState.optional(),
  load: z
    .object({ cpu: z.number().describe("Share of one processor"), memory: z.number().describe("Resident bytes") })
    .optional()
    .describe("What the agent's whole process tree takes, sampled every 10 s"),
  last_run: z.object({ end_reason: EndReason.nullable(), exit_code: z.number().nullable(), ended_at: z.string().nullable() }).optional(),
  usage: z
    .object({ tokens_in: z.number().nullable(), tokens_out: z.number().nullable(), usd: z.number().nullable(), imputed: z.boolean() })
    .optional(),
  created_at: z.string().describe("RFC 3339"),
  started_at: z.string().optional(),
  ended_at: z.string().optional(),
});
export type Task = z.infer<typeof Task>;

export const ProjectSandbox = z.object({
  enabled: z.boolean().nullable().default(null).describe("null inherits the global setting"),
  deny_read: z.array(z.string()).default([]),
  extra_write: z.array(z.string()).default([]),
});
export const Project = z.object({
  name: z.string(),
  path: z.string(),
  branch: z.string(),
  default_backend: z.string(),
  sandbox: ProjectSandbox,
});
export type Project = z.infer<typeof Project>;

export const Backend = z.object({
  name: z.string(),
  command: z.string(),
  prompt_flag: z.string(),
  model: z.string(),
});
export type Backend = z.infer<typeof Backend>;
