/** Orders tasks so that what needs a person comes first and nothing jumps while it is being read. */
import type { Task } from "@argus/protocol";
import { GROUPS, type Group, type TaskView, viewOf, wantsAttention } from "./states.ts";

export interface Row {
  task: Task;
  view: TaskView;
}
export interface GroupRows {
  id: Group;
  title: string;
  rows: Row[];
}

/** Groups in fixed order, empty ones left out. Waiting questions oldest first; everything else pinned first, then newest created (which never moves). */
export function groupTasks(tasks: Iterable<Task>, filter = ""): GroupRows[] {
  const wanted = filter.trim().toLowerCase();
  const rows = [...tasks]
    .filter((task) => !task.archived)
    .filter((task) => !wanted || `${task.name} ${task.project} ${task.branch ?? ""}`.toLowerCase().includes(wanted))
    .map((task) => ({ task, view: viewOf(task) }));
  return GROUPS.map(({ id, title }) => ({
    id,
    title,
    rows: rows.filter((row) => row.view.group === id).sort(id === "needs" ? oldestFirst : newestFirst),
  })).filter((group) => group.rows.length > 0);
}

/** What the inbox lists, blocking questions before everything else, each oldest first. */
export function inboxRows(tasks: Iterable<Task>): Row[] {
  return [...tasks]
    .filter((task) => !task.archived)
    .map((task) => ({ task, view: viewOf(task) }))
    .filter(({ task, view }) => wantsAttention(task, view))
    .sort((left, right) => Number(right.view.look === "needs") - Number(left.view.look === "needs") || oldestFirst(left, right));
}

/** "3 agents working", for the empty inbox. */
export function workingSentence(tasks: Iterable<Task>): string {
  const count = [...tasks].filter((task) => !task.archived && viewOf(task).group === "working").length;
  return count === 0 ? "No agent is working." : count === 1 ? "1 agent working." : `${count} agents working.`;
}

function oldestFirst(left: Row, right: Row): number {
  return left.view.since.localeCompare(right.view.since) || Number(left.task.id) - Number(right.task.id);
}

function newestFirst(left: Row, right: Row): number {
  return (
    Number(right.task.pinned) - Number(left.task.pinned) ||
    right.task.created_at.localeCompare(left.task.created_at) ||
    Number(right.task.id) - Number(left.task.id)
  );
}
