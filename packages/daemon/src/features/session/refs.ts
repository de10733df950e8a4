/** How operations name a task. */
import { z } from "zod";

/** An agent that names none means its own; `cwd` is the fallback for callers without a token. */
export const taskRef = {
  id: z.string().max(40).optional().describe("Task id"),
  cwd: z.string().max(4096).optional().describe("A directory inside the task's worktree, when id is not known"),
};

/** The task must be named. */
export const taskId = { id: z.string().max(40).describe("Task id") };
