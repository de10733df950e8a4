/** A task from creation to its marks, on a whole host. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { elapsed, nameFromPrompt } from "../src/features/task/status.ts";
import { Tasks } from "../src/features/task/tasks.ts";
import { agentOf, isAlive, startHost } from "../src/host.ts";
import { TestClock } from "../src/kernel/clock.ts";
import { Events } from "../src/kernel/events.ts";
import { commit, create, git, look, type Made } from "./scratch.ts";
import { onBothStores } from "./stores.ts";

/** A row with nothing behind it, for rules of the store alone. */
const ROW = {
  name: "one",
  auto_named: 0,
  status: "pending",
  project: "demo",
  branch: "argus/one",
  prompt: "",
  backend: "",
  model: "",
  base_branch: "",
  base_commit: "",
  depends_on: "[]",
  plan_slug: "",
  sandboxed: 0,
  port_base: null,
  workspace: null,
  created_by: "owner",
};

test("TASK-01: task.create replies once worktree, branch, row and agent exist, and the task is in progress", async () => {
  await using host = await startHost();
  const made = await host.call<Made>("task.create", { project: "demo", prompt: "wait", name: "First task" });
  assert.equal(made.status, "in_progress");
  assert.equal(made.branch, "argus/First-task");
  const task = await look(host, made.id);
  assert.ok(fs.existsSync(`${task.worktree_path}/README.md`));
  assert.equal(git(task.worktree_path, "branch", "--show-current"), "argus/First-task");
  const [session] = await host.system.services.node.sessions.list();
  assert.ok(session && isAlive(session.pid));
});

test("TASK-01: with an unfinished dependency everything but the agent is made, and it starts when the last one is complete", async () => {
  await using host = await startHost();
  const parents = [await create(host, { name: "a" }), await create(host, { name: "b" })];
  const child = await create(host, { name: "child", depends_on: parents.map(({ id }) => id) });
  assert.deepEqual([child.status, fs.existsSync(child.worktree_path)], ["pending", true]);
  const running = async () => (await host.system.services.node.sessions.list()).map(({ id }) => id).sort();
  assert.deepEqual(
    await running(),
    parents.map(({ id }) => `${id}.1`),
  );
  await host.call("task.complete", { id: parents[0]?.id });
  assert.deepEqual([(await look(host, child.id)).status, await running()], ["pending", parents.map(({ id }) => `${id}.1`)]);
  assert.deepEqual((await host.call<{ blocked_by: string[] }>("task.get", { id: child.id })).blocked_by, [parents[1]?.id]);
  await host.call("task.complete", { id: parents[1]?.id });
  assert.equal((await look(host, child.id)).status, "in_progress");
  assert.deepEqual(
    await running(),
    [...parents, child].map(({ id }) => `${id}.1`),
  );
  await assert.rejects(create(host, { depends_on: ["999"] }), /there is no task "999"/);
});

test("TASK-02: every field of a task is read back unchanged after a restart of the daemon", async () => {
  await using host = await startHost();
  const base = commit(host.repo, { "a.txt": "a" });
  git(host.repo, "branch", "release");
  const parent = await create(host, { name: "parent" });
  await host.call("task.complete", { id: parent.id });
  const { id } = await create(host, {
    name: "all",
    prompt: "do\neverything",
    backend: "fixture-idle",
    model: "fast",
    base_branch: "release",
    depends_on: [parent.id],
    plan_slug: "plan",
  });
  await host.call("task.set_result", { id, result: { pr: 7 } });
  await host.call("task.pin", { id });
  await host.system.services.tasks.set(Number(id), { session_id: "conversation" });
  const before = await look(host, id);
  await host.restart();
  const { state: _1, idle: _2, elapsed: _3, load: _7, ...after } = await look(host, id);
  const { state: _4, idle: _5, elapsed: _6, load: _8, ...expected } = before;
  assert.deepEqual(after, expected);
  assert.partialDeepStrictEqual(after, {
    id,
    name: "all",
    status: "in_progress",
    project: "demo",
    branch: "argus/all",
    worktree_path: path.join(fs.realpathSync(host.home), "worktrees", "demo", "all"),
    prompt: "do\neverything",
    backend: "fixture-idle",
    model: "fast",
    base_branch: "release",
    archived: false,
    pinned: true,
    depends_on: [parent.id],
    plan_slug: "plan",
    result: { pr: 7 },
    session_id: "conversation",
  });
  assert.equal((await host.system.services.tasks.byId(id)).base_commit, base);
  assert.ok(after.created_at && after.started_at && !after.ended_at);
});

onBothStores("TASK-03: ids are decimal, never used twice, and count in the order of creation", async (store) => {
  const tasks = new Tasks(store, new Events(store, new TestClock()), new TestClock());
  const insert = (n: number) => tasks.insert({ ...ROW, worktree: `/w/${n}` });
  const first = await Promise.all(Array.from({ length: 200 }, (_, n) => insert(n)));
  for (const row of first.slice(100)) await tasks.remove(row, null);
  const second = await Promise.all(Array.from({ length: 10 }, (_, n) => insert(1000 + n)));
  const ids = [...first, ...second].map((row) => row.id);
  assert.equal(new Set(ids).size, 210);
  assert.ok(Math.min(...second.map((row) => row.id)) > Math.max(...first.map((row) => row.id)));
  const listed = await tasks.list({});
  assert.deepEqual(
    listed.map((row) => row.id),
    listed.toSorted((a, b) => Number(a.created_at) - Number(b.created_at) || a.id - b.id).map((row) => row.id),
  );
  for (const task of await tasks.views(listed)) assert.match(task.id, /^\d+$/);
});

test("TASK-04: the task's backend, else the project's, else the default; a name nobody knows is refused", async () => {
  await using host = await startHost({ rest: true });
  const { backends, config } = host.system.services;
  await config.store({ "defaults.backend": "fixture-echo" });
  assert.deepEqual(
    [
      backends.choose("fixture-done", "fixture-idle").name,
      backends.choose("", "fixture-idle").name,
      backends.choose("fixture-done", "").name,
      backends.choose("", "").name,
    ],
    ["fixture-done", "fixture-idle", "fixture-done", "fixture-echo"],
  );
  for (const [task, project] of [
    ["nope", "fixture-idle"],
    ["nope", ""],
    ["", "nope"],
  ] as const)
    assert.throws(() => backends.choose(task, project), /There is no backend "nope"/);
  const reply = await host.rest("POST", "/api/tasks", { project: "demo", prompt: "x", backend: "nope" });
  assert.equal(reply.status, 400);
  assert.equal((await host.system.services.tasks.list({ archived: "all" })).length, 0);
});

test("TASK-05: a task without a name is called after the first 40 characters of its prompt, white space made one space", async () => {
  await using host = await startHost({ rest: true });
  const prompt = "Please  fix\n\nthe login page, which breaks for people without a name";
  const reply = await host.rest("POST", "/api/tasks", { project: "demo", prompt });
  assert.equal(((await reply.json()) as Made).name, "Please fix the login page, which breaks");
  assert.equal(nameFromPrompt("  \n "), "task");
  assert.equal([...nameFromPrompt("é😀".repeat(40))].length, 40);
});

test("TASK-09: a name that is taken is refused, and with upsert ten parallel calls get one task and one worktree", async () => {
  await using host = await startHost();
  const input = { project: "demo", prompt: "wait", name: "only one", upsert: true };
  const made = await Promise.all(Array.from({ length: 10 }, () => host.call<Made>("task.create", input)));
  assert.deepEqual(new Set(made.map((task) => task.id)).size, 1);
  assert.equal(git(host.repo, "worktree", "list").split("\n").length, 2);
  await assert.rejects(host.call("task.create", { ...input, upsert: false }), /has a task "only one" already/);
  await host.call("task.archive", { id: made[0]?.id });
  assert.notEqual((await host.call<Made>("task.create", { ...input, upsert: false })).id, made[0]?.id);
});

test("TASK-10: the same Idempotency-Key gets the first reply and makes nothing; with another body it is refused", async () => {
  await using host = await startHost({ rest: true });
  const post = (prompt: string) => host.rest("POST", "/api/tasks", { project: "demo", prompt }, { "idempotency-key": "k1" });
  const [first, again, other] = [await post("wait"), await post("wait"), await post("something else")];
  assert.deepEqual([first.status, again.status, other.status], [201, 201, 409]);
  assert.deepEqual(await again.json(), await first.json());
  assert.equal((await host.system.services.tasks.list({})).length, 1);
  host.clock.advance(24 * 3600 * 1000 + 1000);
  await post("wait");
  assert.equal((await host.system.services.tasks.list({})).length, 2);
});

test("TASK-11: there are four statuses, and any other is refused without a change", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host);
  for (const status of ["pending", "in_review", "complete", "in_progress"]) {
    const reply = await host.rest("POST", `/api/tasks/${task.id}/status`, { status });
    assert.deepEqual([reply.status, (await look(host, task.id)).status], [200, status]);
  }
  for (const status of ["done", "", "In_Progress", null, 1]) {
    const reply = await host.rest("POST", `/api/tasks/${task.id}/status`, { status });
    assert.deepEqual([reply.status, (await look(host, task.id)).status], [400, "in_progress"]);
  }
});

test("TASK-12: advancing and reverting move one step, stay at the ends, and leave the process alone", async () => {
  await using host = await startHost();
  const task = await create(host);
  const [session] = await host.system.services.node.sessions.list();
  const walk: string[] = [];
  for (const step of ["advance", "advance", "advance", "revert", "revert", "revert", "revert", "advance"])
    walk.push((await host.call<Task>(`task.${step}`, { id: task.id })).status);
  assert.deepEqual(walk, ["in_review", "complete", "complete", "in_review", "in_progress", "pending", "pending", "in_progress"]);
  const sessions = await host.system.services.node.sessions.list();
  assert.deepEqual(
    sessions.map(({ pid, exit }) => ({ pid, exit })),
    [{ pid: session?.pid, exit: null }],
  );
});

test("TASK-13: an archived task is hidden, loses its pin, keeps agent, worktree and branch, and comes back whole", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host, { name: "away" });
  await host.call("task.pin", { id: task.id });
  const [session] = await host.system.services.node.sessions.list();
  await host.rest("POST", `/api/tasks/${task.id}/archive`);
  const ids = async (query: string) =>
    ((await (await host.rest("GET", `/api/tasks${query}`)).json()) as { tasks: Task[] }).tasks.map(({ id }) => id);
  assert.deepEqual([await ids(""), await ids("?archived=1"), await ids("?archived=all")], [[], [task.id], [task.id]]);
  assert.partialDeepStrictEqual(await look(host, task.id), { archived: true, pinned: false, status: "in_progress" });
  await assert.rejects(host.call("task.pin", { id: task.id }), /archived task cannot be pinned/);
  assert.ok(isAlive(session?.pid ?? 0));
  assert.ok(fs.existsSync(path.join(task.worktree_path, "README.md")));
  assert.equal(git(task.worktree_path, "branch", "--show-current"), "argus/away");
  await host.rest("POST", `/api/tasks/${task.id}/unarchive`);
  assert.deepEqual(await ids(""), [task.id]);
});

test("TASK-14: an agent that names no task archives its own", async () => {
  await using host = await startHost();
  const task = await create(host);
  await host.as(agentOf(task)).call("task.archive", {});
  assert.partialDeepStrictEqual(await look(host, task.id), { archived: true, status: "in_progress" });
});

test("TASK-14: an agent that names no task completes, renames and sets the result of its own", async () => {
  await using host = await startHost();
  const [task, other] = [await create(host, { name: "mine" }), await create(host, { name: "other" })];
  const me = host.as(agentOf(task));
  await me.call("task.rename", { name: "better" });
  await me.call("task.set_result", { result: [1] });
  await me.call("task.complete", { cwd: other.worktree_path });
  assert.partialDeepStrictEqual(await look(host, task.id), { name: "better", result: [1], status: "complete" });
  const { name, status, result } = await look(host, other.id);
  assert.deepEqual({ name, status, result }, { name: "other", status: "in_progress", result: undefined });
});

test("TASK-15: renaming changes the display name, of 1 to 200 characters, and neither branch nor folder", async () => {
  await using host = await startHost();
  const task = await create(host, { name: "before" });
  await host.call("task.rename", { id: task.id, name: "ä".repeat(200) });
  const after = await look(host, task.id);
  assert.deepEqual([after.name, after.branch, after.worktree_path], ["ä".repeat(200), "argus/before", task.worktree_path]);
  assert.equal(git(task.worktree_path, "branch", "--show-current"), "argus/before");
  for (const name of ["", "   ", "x".repeat(201)]) await assert.rejects(host.call("task.rename", { id: task.id, name }), /name:/);
});

test("TASK-16: started_at is set once, ended_at exactly while the task is complete", async () => {
  await using host = await startHost();
  const task = await create(host);
  const times = async (status: string) => {
    host.clock.advance(60_000);
    await host.call("task.set_status", { id: task.id, status });
    const { started_at, ended_at } = await look(host, task.id);
    return { started_at, ended: ended_at !== undefined };
  };
  const started_at = task.started_at;
  assert.ok(started_at);
  assert.deepEqual(
    [await times("in_review"), await times("complete"), await times("in_progress"), await times("complete"), await times("in_review")],
    [false, true, false, true, false].map((ended) => ({ started_at, ended })),
  );
});

test("TASK-18, TASK-29: a completed task has an end and a running agent; evidence is verified, a word is a claim", async () => {
  await using host = await startHost();
  const task = await create(host);
  const [session] = await host.system.services.node.sessions.list();
  const complete = (commit?: string) => host.call("task.complete", { id: task.id, ...(commit && { commit }) });
  assert.deepEqual(await complete(), { id: task.id, status: "complete", completion: "claimed" });
  const done = await look(host, task.id);
  assert.deepEqual([done.status, done.completion, Boolean(done.ended_at)], ["complete", "claimed", true]);
  assert.ok(isAlive(session?.pid ?? 0));
  assert.equal((await complete("0123456789abcdef0123456789abcdef01234567")).completion, "claimed");
  assert.equal((await complete(commit(task.worktree_path, { "work.txt": "done" }))).completion, "verified");
  await host.call("task.revert", { id: task.id });
  assert.equal((await look(host, task.id)).completion, undefined);
  await host.call("task.advance", { id: task.id });
  assert.equal((await look(host, task.id)).completion, "claimed");
});

onBothStores("TASK-21: a rename, a result and a status set at the same moment all survive, a hundred times", async (store) => {
  const tasks = new Tasks(store, new Events(store, new TestClock()), new TestClock());
  const row = await tasks.insert({ ...ROW, worktree: "/w/1" });
  for (let round = 0; round < 100; round++) {
    const status = round % 2 === 0 ? "in_review" : "in_progress";
    await Promise.all([tasks.rename(row, `name ${round}`), tasks.setResult(row, String(round)), tasks.setStatus(row, status)]);
    const now = await tasks.byId(String(row.id));
    assert.deepEqual([now.name, now.result, now.status], [`name ${round}`, String(round), status]);
  }
});

test("TASK-22: a pinned task stays where it was in the list and says so", async () => {
  await using host = await startHost({ rest: true });
  const first = await create(host, { name: "first" });
  const second = await create(host, { name: "second" });
  await host.call("task.pin", { id: second.id });
  const listed = ((await (await host.rest("GET", "/api/tasks")).json()) as { tasks: Task[] }).tasks;
  assert.deepEqual(
    listed.map(({ id, pinned }) => ({ id, pinned })),
    [
      { id: first.id, pinned: false },
      { id: second.id, pinned: true },
    ],
  );
  await host.call("task.pin", { id: second.id, pinned: false });
  assert.equal((await look(host, second.id)).pinned, false);
});

test("TASK-23: elapsed time is one whole unit and never negative", () => {
  const ran = (seconds: number) => elapsed(0, seconds * 1000, 0);
  assert.deepEqual(
    [
      ran(0),
      ran(59),
      ran(60),
      ran(3599),
      ran(3600),
      ran(86_399),
      ran(86_400),
      ran(-5),
      elapsed(null, null, 5),
      elapsed(1000, null, 61_000),
    ],
    ["0s", "59s", "1m", "59m", "1h", "23h", "1d", "0s", undefined, "1m"],
  );
});

test("TASK-28: a result holds 65,536 bytes of canonical JSON; one more is refused and the old one stays", async () => {
  await using host = await startHost();
  const { id } = await create(host);
  const text = (bytes: number) => "x".repeat(bytes - 2); // and two quotes
  await host.call("task.set_result", { id, result: text(65_536) });
  await assert.rejects(host.call("task.set_result", { id, result: text(65_537) }), /at most 65536 bytes/);
  assert.equal((await look(host, id)).result, text(65_536));
  assert.deepEqual(await host.call("task.set_result", { id, result: { b: 1, a: [2] } }), { id, bytes: '{"a":[2],"b":1}'.length });
  assert.equal((await host.system.services.tasks.byId(id)).result, '{"a":[2],"b":1}');
});

test("SUPERVISOR-27: ending task 1 of one instance leaves task 1 of another alone", async () => {
  await using first = await startHost();
  await using second = await startHost();
  const [here, there] = [await create(first), await create(second)];
  assert.equal(here.id, there.id);
  await first.call("task.stop", { id: here.id });
  const [session] = await second.system.services.node.sessions.list();
  assert.ok(session && session.exit === null && isAlive(session.pid));
});
