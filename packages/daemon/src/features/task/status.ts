/** The rules of a task's status, as plain functions. */
import { type EndReason, TASK_STATUSES, type TaskStatus } from "@argus/protocol";

/** One step along pending, in_progress, in_review, complete; stays at the ends (TASK-12). */
export function step(status: TaskStatus, by: 1 | -1): TaskStatus {
  const at = TASK_STATUSES.indexOf(status) + by;
  return TASK_STATUSES[Math.max(0, Math.min(TASK_STATUSES.length - 1, at))] as TaskStatus;
}

/** Only an observed clean exit that nobody asked for completes a task; everything else is for a person to look at (TASK-19). */
export function statusAfter(end: { reason: EndReason; code: number | null }): TaskStatus {
  return end.reason === "exited" && end.code === 0 ? "complete" : "in_review";
}

/** Times that follow a status change: `started_at` is set once, `ended_at` exactly while complete (TASK-16). */
export function timesOf(to: TaskStatus, row: { started_at: number | null }, now: number): { started_at?: number; ended_at: number | null } {
  return {
    ...(to === "in_progress" && row.started_at === null && { started_at: now }),
    ended_at: to === "complete" ? now : null,
  };
}

/** One whole unit, never negative: 59s, 1m, 3h, 2d (TASK-23). */
export function elapsed(startedAt: number | null, endedAt: number | null, now: number): string | undefined {
  if (startedAt === null) return undefined;
  const seconds = Math.max(0, Math.floor(((endedAt ?? now) - startedAt) / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

const NAME_FROM_PROMPT = 40; // TASK-05

/** The name of a task that was given none. */
export function nameFromPrompt(prompt: string): string {
  return [...prompt.replace(/\s+/g, " ").trim()].slice(0, NAME_FROM_PROMPT).join("").trim() || "task";
}
