/** The life of tasks over REST, endpoint by endpoint. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { TASK_STATUSES, Task } from "@argus/protocol";
import { type Host, startHost } from "../src/host.ts";
import type { Json } from "./doors.ts";

interface Reply<T = Json> {
  status: number;
  body: T;
}

async function send<T = Json>(host: Host, method: string, at: string, body?: unknown): Promise<Reply<T>> {
  const response = await host.rest(method, `/api/${at}`, body);
  return { status: response.status, body: (await response.json()) as T };
}

async function make(host: Host, name: string, more: Json = {}): Promise<string> {
  const { status, body } = await send<{ id: string }>(host, "POST", "tasks", { project: "demo", name, backend: "fixture-idle", ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return body.id;
}

/** A task that never had an agent, for what needs many rows and no process. */
async function quiet(host: Host, name: string): Promise<string> {
  const id = await make(host, name);
  await host.call("task.stop", { id });
  return id;
}

test("REST-15, REST-16: status counts, and the list is filtered by status, project and archived", async () => {
  await using host = await startHost({ rest: true });
  assert.deepEqual((await send(host, "GET", "status")).body, {
    ok: true,
    sessions: { running: 0, idle: 0 },
    tasks: { pending: 0, in_progress: 0, in_review: 0, complete: 0 },
  });
  await host.call("project.create", { name: "other", path: host.repo });
  const living = await make(host, "living");
  const complete = await quiet(host, "complete");
  const archived = await quiet(host, "archived");
  const elsewhere = await make(host, "elsewhere", { project: "other" });
  await host.call("task.stop", { id: elsewhere });
  await host.call("task.set_status", { id: complete, status: "complete" });
  await host.call("task.archive", { id: archived, archived: true });
  host.clock.advance(4000);
  await host.until(living, (task) => task.idle, "the living one to be idle");
  assert.deepEqual((await send(host, "GET", "status")).body, {
    ok: true,
    sessions: { running: 1, idle: 1 },
    tasks: { pending: 0, in_progress: 1, in_review: 1, complete: 1 },
  });
  const ids = async (query: string) => (await send<{ tasks: Task[] }>(host, "GET", `tasks${query}`)).body.tasks.map((task) => task.id);
  for (const [query, wanted] of [
    ["", [living, complete, elsewhere]],
    ["?status=complete", [complete]],
    ["?project=other", [elsewhere]],
    ["?project=demo&status=in_progress", [living]],
    ["?archived=1", [archived]],
    ["?archived=all", [living, complete, archived, elsewhere]],
    ["?status=pending", []],
  ] as const)
    assert.deepEqual(await ids(query), wanted, query);
  assert.equal((await send(host, "GET", "tasks?status=nonsense")).status, 400);
  assert.equal((await send(host, "GET", "tasks?archived=maybe")).status, 400);
});

test("REST-17, REST-22: a task has its promised fields in every status, without empty strings; an unknown one is 404", async () => {
  await using host = await startHost({ rest: true });
  const id = await make(host, "whole", { prompt: "do it" });
  for (const status of TASK_STATUSES) {
    await host.call("task.set_status", { id, status });
    const { body } = await send(host, "GET", `tasks/${id}`);
    const task = Task.parse(body);
    assert.equal(task.status, status);
    for (const field of [
      "id",
      "name",
      "project",
      "branch",
      "backend",
      "archived",
      "pinned",
      "worktree_path",
      "prompt",
      "idle",
      "base_branch",
      "depends_on",
    ])
      assert.ok(field in body, field);
    assert.match(task.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.deepEqual(
      Object.entries(body).filter(([, value]) => value === ""),
      [],
    );
  }
  assert.deepEqual(await send(host, "GET", "tasks/999"), {
    status: 404,
    body: { error: "task not found", code: "NOT_FOUND", details: { id: "999" } },
  });
});

test("REST-19: creating answers 201 with id, name and status, and 400 for what is missing or unknown", async () => {
  await using host = await startHost({ rest: true });
  const created = await send(host, "POST", "tasks", { name: "n", prompt: "p", project: "demo", backend: "fixture-idle", model: "m" });
  assert.equal(created.status, 201);
  assert.partialDeepStrictEqual(created.body, { name: "n", status: "in_progress" });
  for (const body of [
    { name: "x" },
    { project: "demo" },
    { project: "demo", prompt: "  " },
    { project: "demo", name: "x", backend: "no-such" },
  ])
    assert.equal((await send(host, "POST", "tasks", body)).status, 400, JSON.stringify(body));
  assert.equal((await send<{ tasks: unknown[] }>(host, "GET", "tasks?archived=all")).body.tasks.length, 1, "nothing was half made");
});

function form(fields: Record<string, string | string[]>, files: [name: string, size: number][]): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) data.append(name, one);
  for (const [name, size] of files) data.append("files", new Blob([Buffer.alloc(size, "x")]), name);
  return data;
}

test("REST-21: a form with files makes a task with them in .context and in its prompt; each limit holds to the byte", async () => {
  await using host = await startHost({ rest: true });
  const parent = await quiet(host, "parent");
  await host.call("task.set_status", { id: parent, status: "complete" });
  const fields = { name: "files", prompt: "look", project: "demo", backend: "fixture-idle", depends_on: [parent], plan_slug: "plan" };
  const { status, body } = await send<{ id: string }>(
    host,
    "POST",
    "tasks",
    form(fields, [
      ["a.txt", 3],
      ["b.txt", 0],
    ]),
  );
  assert.equal(status, 201, JSON.stringify(body));
  const task = (await send<Task>(host, "GET", `tasks/${body.id}`)).body;
  assert.match(task.prompt, /^look[^]*\.context\/a\.txt[^]*\.context\/b\.txt/);
  assert.deepEqual([task.depends_on, task.plan_slug], [[parent], "plan"]);
  assert.equal(fs.readFileSync(path.join(task.worktree_path, ".context", "a.txt"), "utf8"), "xxx");

  const MB = 1_000_000;
  const upload = async (files: [string, number][]) => (await send(host, "POST", `tasks/${body.id}/upload`, form({}, files))).status;
  const some = (count: number, size: number) => Array.from({ length: count }, (_, n): [string, number] => [`${n}`, size]);
  assert.deepEqual(
    [
      await upload(some(1, 10 * MB)),
      await upload(some(1, 10 * MB + 1)),
      await upload(some(5, 10 * MB)),
      await upload([...some(5, 10 * MB), ["last", 1]]),
      await upload(some(20, 1)),
      await upload(some(21, 1)),
      await upload([]),
    ],
    [200, 413, 200, 413, 200, 413, 400],
  );
  const before = (await send<{ tasks: unknown[] }>(host, "GET", "tasks?archived=all")).body.tasks.length;
  const refused = await send(host, "POST", "tasks", form({ name: "big", project: "demo" }, some(21, 1)));
  assert.equal(refused.status, 413);
  assert.equal((await send<{ tasks: unknown[] }>(host, "GET", "tasks?archived=all")).body.tasks.length, before);
});

test("REST-23, REST-24, REST-25: stop, resume, heal and restart answer as promised, and a running one is 409", async () => {
  await using host = await startHost({ rest: true });
  const id = await make(host, "x");
  const { worktree_path } = (await send<Task>(host, "GET", `tasks/${id}`)).body;
  assert.equal((await send(host, "POST", `tasks/${id}/resume`)).status, 409);
  await host.call("task.set_status", { id, status: "in_review" });
  assert.partialDeepStrictEqual((await send(host, "POST", `tasks/${id}/resume`)).body, { status: "healed" });
  for (let n = 0; n < 2; n++) {
    assert.deepEqual(await send(host, "POST", `tasks/${id}/stop`), { status: 200, body: { status: "stopped" } });
    assert.equal((await send<Task>(host, "GET", `tasks/${id}`)).body.status, "in_review");
  }
  const resumed = await send<{ status: string; pid: number }>(host, "POST", `tasks/${id}/resume`);
  assert.deepEqual([resumed.status, resumed.body.status], [200, "resumed"]);
  assert.equal(fs.readlinkSync(`/proc/${resumed.body.pid}/cwd`), worktree_path);
  await host.call("task.stop", { id });
  await host.call("task.set_status", { id, status: "complete" });
  const again = await send<{ status: string; pid: number }>(host, "POST", `tasks/${id}/restart`);
  assert.deepEqual([again.status, again.body.status], [200, "resumed"]);
  assert.equal(fs.readlinkSync(`/proc/${again.body.pid}/cwd`), worktree_path, "in the same worktree");
  assert.equal((await send<Task>(host, "GET", `tasks/${id}`)).body.status, "in_progress");
});

test("REST-26: deleting removes agent, worktree, branch and row, and names the ref that keeps unsaved work", async () => {
  await using host = await startHost({ rest: true });
  const [clean, dirty] = [await make(host, "clean"), await make(host, "dirty")];
  const tree = async (id: string) => (await send<Task>(host, "GET", `tasks/${id}`)).body.worktree_path;
  const folders = [await tree(clean), await tree(dirty)];
  fs.writeFileSync(path.join(folders[1] as string, "unsaved.txt"), "work");
  assert.deepEqual(await send(host, "DELETE", `tasks/${clean}?force=1`), { status: 200, body: { status: "deleted", saved_ref: null } });
  const { body } = await send(host, "DELETE", `tasks/${dirty}?remote=1`);
  assert.match(String(body.saved_ref), /^refs\//);
  for (const folder of folders) assert.equal(fs.existsSync(folder), false);
  assert.equal((await send(host, "DELETE", `tasks/${clean}`)).status, 404);
  assert.deepEqual((await send(host, "GET", "status")).body.sessions, { running: 0, idle: 0 });
});

test("REST-27, REST-28, REST-31, REST-57: archive, rename, pin and plan label answer what is now so, also when nothing changes", async () => {
  await using host = await startHost({ rest: true });
  const id = await quiet(host, "x");
  const post = (verb: string, body?: unknown) => send(host, "POST", `tasks/${id}/${verb}`, body);
  for (const [verb, archived] of [
    ["archive", true],
    ["archive", true],
    ["unarchive", false],
    ["unarchive", false],
  ] as const)
    assert.deepEqual(await post(verb), { status: 200, body: { archived } });
  for (const [length, status] of [
    [0, 400],
    [1, 200],
    [200, 200],
    [201, 400],
  ] as const) {
    const name = "n".repeat(length);
    const reply = await post("rename", { name });
    assert.equal(reply.status, status, String(length));
    if (status === 200) assert.deepEqual(reply.body, { name });
  }
  for (const pinned of [true, true, false]) {
    assert.deepEqual(await post("pin", { pinned }), { status: 200, body: { pinned } });
    assert.equal((await send<{ tasks: Task[] }>(host, "GET", "tasks")).body.tasks[0]?.pinned, pinned);
  }
  for (const plan_slug of ["release", ""]) {
    assert.deepEqual(await post("plan-slug", { plan_slug }), { status: 200, body: { plan_slug } });
    assert.equal((await send<Task>(host, "GET", `tasks/${id}`)).body.plan_slug, plan_slug || undefined);
  }
});

test("REST-29: a fork over REST and one over the local socket's operation are alike, with the context of their source", async () => {
  await using host = await startHost({ rest: true });
  const id = await make(host, "source", { prompt: "the prompt" });
  await host.eventually(
    async () => (await host.call<{ text: string }>("session.output", { id }).catch(() => null))?.text.includes("idle"),
    "the source to speak",
  );
  const over = await send<{ id: string }>(host, "POST", `tasks/${id}/fork`, {});
  assert.equal(over.status, 201);
  assert.partialDeepStrictEqual(over.body, { name: "source-fork", status: "in_progress" });
  const other = await host.call<{ id: string }>("task.fork", { id });
  const seen = await Promise.all(
    [over.body.id, other.id].map(async (fork) => {
      const task = (await send<Task>(host, "GET", `tasks/${fork}`)).body;
      return { files: fs.readdirSync(path.join(task.worktree_path, ".context")).sort(), prompt: task.prompt, backend: task.backend };
    }),
  );
  assert.deepEqual(seen[0], seen[1]);
  assert.ok(seen[0]?.files.includes("fork-source.md") && seen[0].prompt.includes("the prompt"));
});

test("REST-30: every status leads to every other, and anything else is 400", async () => {
  await using host = await startHost({ rest: true });
  const id = await quiet(host, "x");
  for (const from of TASK_STATUSES)
    for (const to of TASK_STATUSES) {
      await host.call("task.set_status", { id, status: from });
      assert.deepEqual(await send(host, "POST", `tasks/${id}/status`, { status: to }), { status: 200, body: { status: to } });
      assert.equal((await send<Task>(host, "GET", `tasks/${id}`)).body.status, to);
    }
  for (const status of ["done", "", null]) assert.equal((await send(host, "POST", `tasks/${id}/status`, { status })).status, 400);
});

test("REST-32, REST-33: stop-all counts what it stopped, prune removes what is complete and says why it kept the rest", async () => {
  await using host = await startHost({ rest: true });
  const ids = [await make(host, "a"), await make(host, "b"), await make(host, "c"), await quiet(host, "ended")];
  assert.deepEqual(await send(host, "POST", "sessions/stop-all"), { status: 200, body: { stopped: 3 } });
  assert.deepEqual((await send(host, "POST", "sessions/stop-all")).body, { stopped: 0 });
  const [clean, dirty, living] = ids as [string, string, string];
  await host.call("task.resume", { id: living });
  const { worktree_path } = (await send<Task>(host, "GET", `tasks/${dirty}`)).body;
  fs.writeFileSync(path.join(worktree_path, "unsaved.txt"), "work");
  for (const id of [clean, dirty, living]) await host.call("task.set_status", { id, status: "complete" });
  const { status, body } = await send<{ pruned: number; worktrees: number; orphans: number; kept: { id: string; reason: string }[] }>(
    host,
    "POST",
    "maintenance/prune-completed",
  );
  assert.deepEqual([status, body.pruned, body.worktrees, body.orphans], [200, 1, 1, 0]);
  assert.deepEqual(
    body.kept.map((one) => [one.id, /uncommitted|still runs/.test(one.reason)]),
    [
      [dirty, true],
      [living, true],
    ],
  );
  assert.equal((await send(host, "GET", `tasks/${clean}`)).status, 404);
});

test("TASK-10: over REST the header Idempotency-Key makes a repeated request one task, and another body a conflict", async () => {
  await using host = await startHost({ rest: true });
  const post = async (name: string) => {
    const response = await host.rest("POST", "/api/tasks", { project: "demo", name }, { "idempotency-key": "k1" });
    return { status: response.status, body: (await response.json()) as Json };
  };
  const [first, second] = await Promise.all([post("once"), post("once")]);
  assert.deepEqual(first, second);
  assert.equal(first?.status, 201);
  assert.equal((await post("twice")).status, 409);
  assert.equal((await send<{ tasks: unknown[] }>(host, "GET", "tasks")).body.tasks.length, 1);
});
