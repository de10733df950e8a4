/** What faces read of a worktree, and what that costs. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startHost } from "../src/host.ts";
import { commit, create, program } from "./scratch.ts";

test("WORKTREE-22: lists of a hundred tasks, looked at for ten seconds by several faces, start at most twenty git processes", async (t) => {
  await using host = await startHost({ rest: true });
  const { tasks } = host.system.services;
  const real = execFileSync("/bin/sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
  const one = await create(host, { name: "one" });
  const { id: _1, created_at: _2, archived: _3, ...row } = await tasks.byId(one.id);
  for (let n = 0; n < 99; n++) await tasks.insert({ ...row, name: `${n}`, worktree: `${one.worktree_path}/${n}` });

  const calls = path.join(host.home, "git-calls");
  const counted = path.dirname(program(host, "git", `#!/bin/sh\necho "$*" >> ${calls}\nexec ${real} "$@"\n`));
  const PATH = process.env.PATH;
  process.env.PATH = `${counted}:${PATH}`;
  t.after(() => {
    process.env.PATH = PATH;
  });
  await host.call("git.status", { id: one.id });
  assert.ok(fs.readFileSync(calls, "utf8").includes("status"), "git is counted");
  fs.rmSync(calls);

  for (let second = 0; second < 10; second++) {
    const views = await Promise.all([
      host.call<{ tasks: unknown[] }>("task.list"),
      host.rest("GET", "/api/tasks?archived=all").then((reply) => reply.json() as Promise<{ tasks: unknown[] }>),
      host.rest("GET", "/api/status"),
    ]);
    assert.deepEqual([views[0].tasks.length, views[1].tasks.length], [100, 100]);
    host.clock.advance(1000);
    await host.system.services.sessions.poll();
  }
  const spawned = fs.existsSync(calls) ? fs.readFileSync(calls, "utf8").trim().split("\n") : [];
  assert.ok(spawned.length <= 20, spawned.join("\n"));
});

test("REST-47, REST-48, REST-49: status, diff and files of a task's worktree, and what they say when it is gone", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host, { name: "work" });
  commit(task.worktree_path, { "committed.txt": "one\n" });
  fs.writeFileSync(path.join(task.worktree_path, "README.md"), "# Changed\n");
  fs.mkdirSync(path.join(task.worktree_path, "folder"));
  fs.writeFileSync(path.join(task.worktree_path, "folder", "new.txt"), "two\n");
  const get = async (at: string) => {
    const reply = await host.rest("GET", `/api/tasks/${task.id}/${at}`);
    return { status: reply.status, body: (await reply.json()) as Record<string, string> };
  };
  const { body } = await get("git/status");
  assert.deepEqual([body.task_id, body.status], [task.id, " M README.md\n?? folder/\n"]);
  assert.ok(body.diff?.includes("+# Changed") && !body.diff.includes("committed.txt"));
  assert.ok(body.branch_diff?.includes("+one") && body.branch_diff.includes("+# Changed"));
  assert.deepEqual(body.branch_files?.trim().split("\n").sort(), ["A\tcommitted.txt", "A\tfolder/new.txt", "M\tREADME.md"]);
  const diff = (await get("git/diff?path=folder/new.txt")).body;
  assert.deepEqual([diff.path, diff.diff?.includes("+two")], ["folder/new.txt", true]);
  assert.deepEqual([(await get("git/diff")).status, (await get("git/diff?path=../../x")).status], [400, 400]);
  assert.deepEqual((await get("files?dir=folder")).body.files as unknown, [{ path: "folder/new.txt", status: "??", is_dir: false }]);
  fs.rmSync(task.worktree_path, { recursive: true });
  for (const at of ["git/status", "git/diff?path=README.md", "files"]) {
    const gone = await get(at);
    assert.deepEqual(
      [gone.status, gone.body.error],
      [404, `The worktree of task ${task.id} is gone: ${task.worktree_path} does not exist.`],
    );
  }
});
