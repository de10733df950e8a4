/** The one language of state: which glyph, colour and word stand for what a task is doing, with the evidence in one line. */
import type { Task } from "@argus/protocol";

export type Look = "needs" | "working" | "starting" | "idle" | "review" | "done" | "failed" | "unverifiable" | "pending" | "paused";

export interface LookRow {
  glyph: string;
  word: string;
}

/** Colours live in the style sheet under the same names; a state is always told by glyph and word too. */
export const LOOKS: Record<Look, LookRow> = {
  needs: { glyph: "◆", word: "Needs you" },
  working: { glyph: "●", word: "Working" },
  starting: { glyph: "◐", word: "Starting" },
  idle: { glyph: "○", word: "Idle" },
  review: { glyph: "◇", word: "In review" },
  done: { glyph: "✓", word: "Done" },
  failed: { glyph: "✕", word: "Failed" },
  unverifiable: { glyph: "?", word: "Unverifiable" },
  pending: { glyph: "◌", word: "Pending" },
  paused: { glyph: "◫", word: "Paused" },
};

export type Group = "needs" | "working" | "review" | "pending" | "done";
export const GROUPS: { id: Group; title: string }[] = [
  { id: "needs", title: "Needs you" },
  { id: "working", title: "Working" },
  { id: "review", title: "Review and idle" },
  { id: "pending", title: "Pending" },
  { id: "done", title: "Done" },
];

export interface TaskView {
  look: Look;
  group: Group;
  /** One line that says why, without markup. Never empty. */
  evidence: string;
  /** RFC 3339 of the last change we know of. */
  since: string;
  /** A process is (or may be) there: the terminal can be attached and the agent stopped. */
  live: boolean;
}

/** Endings in words; the state beside it says what they mean for the work. */
const ENDINGS: Record<string, string> = {
  exited: "The agent finished",
  stopped: "Stopped by a person",
  failed: "The agent failed",
  budget: "Stopped at its budget",
  "aborted-by-restart": "Cut off by a restart of this machine",
  lost: "The session was lost",
};
const BAD_ENDINGS = new Set(["failed", "budget", "aborted-by-restart", "lost"]);

/** What to show for a task. Pure: the same task always looks the same. */
export function viewOf(task: Task): TaskView {
  const look = lookOf(task);
  return {
    look,
    group: groupOf(look),
    evidence: evidenceOf(task, look),
    since: (isLive(task) ? task.state?.since : null) ?? task.last_run?.ended_at ?? task.ended_at ?? task.started_at ?? task.created_at,
    live: isLive(task),
  };
}

/** A session that is not known to have ended. */
export function isLive(task: Task): boolean {
  return task.state !== undefined && task.state.value !== "exited";
}

function lookOf(task: Task): Look {
  // A live question outranks the stored status: somebody is waiting for an answer.
  if (task.state?.value === "needs_input") return "needs";
  if (task.status === "complete") return "done";
  if (task.status === "pending") return task.state?.value === "starting" ? "starting" : "pending";
  const ending = task.last_run?.end_reason;
  if (!isLive(task) && ending && (BAD_ENDINGS.has(ending) || (ending === "exited" && (task.last_run?.exit_code ?? 0) !== 0)))
    return "failed";
  if (task.status === "in_review") return "review";
  switch (task.state?.value) {
    case "starting":
      return "starting";
    case "working":
      return "working";
    case "unverifiable":
      return "unverifiable";
    case "paused":
      return "paused";
    case "idle":
    case "exited":
      return "idle";
    default:
      // A daemon that tells no state still tells idle or not.
      return task.idle ? "idle" : "working";
  }
}

function groupOf(look: Look): Group {
  if (look === "needs") return "needs";
  if (look === "done") return "done";
  if (look === "pending") return "pending";
  if (look === "working" || look === "starting") return "working";
  return "review";
}

function evidenceOf(task: Task, look: Look): string {
  const ending = task.last_run?.end_reason;
  const code = task.last_run?.exit_code;
  if (isLive(task) && task.state?.evidence && look !== "done") return oneLine(task.state.evidence);
  if (ending) return ENDINGS[ending] + (code ? ` with exit code ${code}` : "");
  if (look === "pending")
    return task.depends_on.length > 0
      ? `Waits for ${task.depends_on.length} other tasks`.replace("1 other tasks", "1 other task")
      : "Not started yet";
  return oneLine(task.state?.evidence || task.prompt) || "Nothing is known yet";
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** True for what belongs into the inbox: a question, a failure, or an agent that stopped while nobody looked. */
export function wantsAttention(task: Task, view: TaskView): boolean {
  return view.look === "needs" || view.look === "failed" || view.look === "unverifiable" || (task.attention && view.look !== "done");
}
