/** The language of state: which look, group and evidence stand for a task, in which order, and when it wants a person. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { hashOf, loginCodeOf, parseRoute } from "../src/route.ts";
import { groupTasks, inboxRows, workingSentence } from "../src/tasks/groups.ts";
import { LOOKS, viewOf } from "../src/tasks/states.ts";
import { ago } from "../src/ui/time.ts";

const AT = "2026-11-21T10:00:00.000Z";
type State = NonNullable<Task["state"]>["value"];
type Ending = NonNullable<Task["last_run"]>;

function task(id: number, more: Partial<Task> & { live?: State; ending?: Ending["end_reason"]; code?: number } = {}): Task {
  const { live, ending, code, ...rest } = more;
  return {
    id: String(id),
    name: `task-${id}`,
    status: "in_progress",
    project: "shop",
    archived: false,
    pinned: false,
    worktree_path: "/w",
    prompt: "Do it",
    idle: false,
    attention: false,
    depends_on: [],
    sandboxed: false,
    created_at: AT,
    ...(live && { state: { value: live, source: "process", evidence: `it is ${live}`, since: AT, age_ms: 0 } as Task["state"] }),
    ...(ending !== undefined && { last_run: { end_reason: ending, exit_code: code ?? null, ended_at: AT } }),
    ...rest,
  } as Task;
}

test("WEB-06: each state has its look and group, and a question outranks the stored status", () => {
  const table: [Task, string, string][] = [
    [task(1, { live: "working" }), "working", "working"],
    [task(1, { live: "starting" }), "starting", "working"],
    [task(1, { live: "idle" }), "idle", "review"],
    [task(1, { live: "paused" }), "paused", "review"],
    [task(1, { live: "unverifiable" }), "unverifiable", "review"],
    [task(1, { live: "needs_input" }), "needs", "needs"],
    [task(1, { status: "in_review", live: "needs_input" }), "needs", "needs"],
    [task(1, { status: "in_review" }), "review", "review"],
    [task(1, { status: "in_review", ending: "failed", code: 1 }), "failed", "review"],
    [task(1, { status: "in_review", ending: "exited", code: 3 }), "failed", "review"],
    [task(1, { status: "in_review", ending: "stopped", code: 143 }), "review", "review"],
    [task(1, { status: "in_review", ending: "aborted-by-restart" }), "failed", "review"],
    [task(1, { status: "in_review", ending: "failed", live: "working" }), "review", "review"],
    [task(1, { status: "pending" }), "pending", "pending"],
    [task(1, { status: "pending", live: "starting" }), "starting", "working"],
    [task(1, { status: "complete", ending: "exited", code: 0 }), "done", "done"],
    [task(1, { status: "complete", ending: "failed", code: 1 }), "done", "done"],
  ];
  assert.deepEqual(
    table.map(([one]) => [viewOf(one).look, viewOf(one).group]),
    table.map(([, look, group]) => [look, group]),
  );
});

test("no two states share a glyph or a word, so none is told by colour alone", () => {
  const looks = Object.values(LOOKS);
  assert.deepEqual(
    [new Set(looks.map((look) => look.glyph)).size, new Set(looks.map((look) => look.word)).size],
    [looks.length, looks.length],
  );
});

test("the evidence is one line that says why", () => {
  const line = (one: Task) => viewOf(one).evidence;
  assert.equal(line(task(1, { live: "working" })), "it is working");
  assert.equal(line(task(1, { status: "in_review", ending: "failed", code: 7 })), "The agent failed with exit code 7");
  assert.equal(line(task(1, { status: "pending", depends_on: ["2"] })), "Waits for 1 other task");
  assert.equal(line(task(1, { status: "pending", depends_on: ["2", "3"] })), "Waits for 2 other tasks");
  assert.equal(line(task(1, { prompt: "Do\n  this" })), "Do this");
  assert.equal(line(task(1, { prompt: "" })), "Nothing is known yet");
});

test("WEB-06: groups come in one order, questions oldest first, the rest pinned first and newest first; archived ones are out", () => {
  const all = [
    task(1, { live: "working", created_at: "2026-11-21T08:00:00.000Z" }),
    task(2, { live: "working", created_at: "2026-11-21T09:00:00.000Z" }),
    task(3, { live: "working", created_at: "2026-11-21T07:00:00.000Z", pinned: true }),
    task(4, { live: "needs_input" }),
    task(5, { status: "complete", archived: true }),
    task(6, { status: "complete" }),
  ];
  const shown = (filter?: string) => groupTasks(all, filter).map((group) => [group.id, group.rows.map((row) => row.task.id)]);
  assert.deepEqual(shown(), [
    ["needs", ["4"]],
    ["working", ["3", "2", "1"]],
    ["done", ["6"]],
  ]);
  assert.deepEqual(shown(" TASK-2 "), [["working", ["2"]]]);
  assert.deepEqual(shown("no such"), []);
});

test("the inbox holds questions first, then failures and agents that stopped unseen, and nothing finished", () => {
  const all = [
    task(1, { live: "idle", attention: true }),
    task(2, { status: "in_review", ending: "failed" }),
    task(3, { live: "needs_input" }),
    task(4, { live: "idle" }),
    task(5, { status: "complete", attention: true }),
    task(6, { live: "working" }),
  ];
  assert.deepEqual(
    inboxRows(all).map((row) => row.task.id),
    ["3", "1", "2"],
  );
  assert.equal(workingSentence(all), "1 agent working.");
  assert.equal(workingSentence([]), "No agent is working.");
});

test("an address leads back to the screen it was made from, and an unknown one to the list", () => {
  const routes = [
    { page: "agents" },
    { page: "inbox" },
    { page: "more" },
    { page: "new" },
    { page: "new", project: "a b/ü" },
    { page: "task", id: "7", tab: "terminal" },
    { page: "task", id: "7", tab: "diff" },
  ] as const;
  for (const route of routes) assert.deepEqual(parseRoute(hashOf(route)), route);
  for (const odd of ["", "#", "#/nowhere", "#/task", "#/%zz"]) assert.deepEqual(parseRoute(odd), { page: "agents" });
  assert.deepEqual(parseRoute("#/task/7/nonsense"), { page: "task", id: "7", tab: "terminal" });
  assert.deepEqual([loginCodeOf("#login=a%2Bb"), loginCodeOf("#/login=x&y"), loginCodeOf("#/inbox")], ["a+b", "x", null]);
});

test("times are one whole unit", () => {
  const now = Date.parse(AT);
  const before = (seconds: number) => new Date(now - seconds * 1000).toISOString();
  assert.deepEqual(
    [0, 59, 60, 3_599, 3_600, 86_399, 86_400, -5].map((seconds) => ago(before(seconds), now)),
    ["now", "now", "1m", "59m", "1h", "23h", "1d", "now"],
  );
  assert.deepEqual([ago(undefined, now), ago("nonsense", now)], ["", ""]);
});
