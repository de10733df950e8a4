/** A task from creation to its end, on a whole host. */
import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { agentOf, isAlive, startHost } from "../src/host.ts";

test("TASK-01: task.create replies once worktree, branch, row and agent exist, and the task is in progress", async () => {
  await using host = await startHost();
  const made = await host.call<{ id: string; status: string; branch: string }>("task.create", {
    project: "demo",
    prompt: "wait",
    name: "First task",
  });
  assert.equal(made.status, "in_progress");
  assert.equal(made.branch, "argus/First-task");
  const task = await host.call<{ worktree_path: string }>("task.get", { id: made.id });
  assert.ok(fs.existsSync(`${task.worktree_path}/README.md`));
  const [session] = await host.system.services.node.sessions.list();
  assert.ok(session && isAlive(session.pid));
});

test("TASK-14: an agent that names no task archives its own", async () => {
  await using host = await startHost();
  const task = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
  await host.as(agentOf(task)).call("task.archive", {});
  const after = await host.call("task.get", { id: task.id });
  assert.deepEqual({ archived: after.archived, status: after.status }, { archived: true, status: "in_progress" });
});

test("SUPERVISOR-27: ending task 1 of one instance leaves task 1 of another alone", async () => {
  await using first = await startHost();
  await using second = await startHost();
  const here = await first.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
  const there = await second.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
  assert.equal(here.id, there.id);
  await first.call("task.stop", { id: here.id });
  const [session] = await second.system.services.node.sessions.list();
  assert.ok(session && session.exit === null && isAlive(session.pid));
});
