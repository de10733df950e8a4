/** The end of tasks: destroyed with a safety copy, pruned when safe, forked before they go. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { agentOf, isAlive, startHost } from "../src/host.ts";
import { agent, commit, create, ENDS, git, look, printed, traces } from "./scratch.ts";

type Pruned = { pruned: number; worktrees: number; orphans: number; kept: { id: string; reason: string }[] };

/** Every file below the folder that is named after the task. */
function filesOf(folder: string, id: string): string[] {
  return fs.readdirSync(folder).filter((name) => name === id || name.startsWith(`${id}.`));
}

test("TASK-24, WORKTREE-24: destroying a running task leaves no agent, worktree, branch, row, run, log or secret", async () => {
  await using host = await startHost();
  const before = await traces(host);
  const { id } = await create(host, { name: "gone" });
  const [session] = await host.system.services.node.sessions.list();
  await host.eventually(async () => (await printed(host, id)).includes("idle"), "its first words");
  assert.deepEqual(await host.call("task.delete", { id }), { status: "deleted", saved_ref: null });
  assert.equal(isAlive(session?.pid ?? assert.fail()), false);
  await assert.rejects(look(host, id), /task not found/);
  assert.deepEqual(await traces(host), before);
  assert.deepEqual(filesOf(path.join(host.home, "sessions"), id), []);
});

test("TASK-24, WORKTREE-26: unsaved work of a destroyed task is kept under a ref and can be recovered equal", async () => {
  await using host = await startHost();
  const task = await create(host, { name: "dirty" });
  commit(task.worktree_path, { "committed.txt": "one" });
  fs.writeFileSync(path.join(task.worktree_path, "README.md"), "# Changed\n");
  fs.writeFileSync(path.join(task.worktree_path, "untracked.bin"), Buffer.from([0, 255, 1]));
  const deleted = await host.call("task.delete", { id: task.id });
  assert.deepEqual(deleted, { status: "deleted", saved_ref: `refs/argus/trash/${task.id}` });
  assert.equal(fs.existsSync(task.worktree_path), false);
  const back = await host.call<{ path: string; branch: string }>("worktree.recover", { id: task.id });
  assert.equal(back.branch, `argus/recovered-${task.id}`);
  assert.equal(fs.readFileSync(path.join(back.path, "committed.txt"), "utf8"), "one");
  assert.equal(fs.readFileSync(path.join(back.path, "README.md"), "utf8"), "# Changed\n");
  assert.deepEqual([...fs.readFileSync(path.join(back.path, "untracked.bin"))], [0, 255, 1]);
  assert.equal(git(back.path, "status", "--porcelain"), "M README.md\n?? untracked.bin");
  await assert.rejects(host.call("worktree.recover", { id: "999" }), /No project has a safety copy of task "999"/);
});

test("TASK-24: a task is destroyed although its worktree or its project is gone", async () => {
  await using host = await startHost();
  const [one, two] = [await create(host, { name: "one" }), await create(host, { name: "two" })];
  const branches = () => git(host.repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/argus");
  const tip = commit(one.worktree_path, { "work.txt": "only on the branch" });
  fs.rmSync(one.worktree_path, { recursive: true });
  assert.deepEqual(await host.call("task.delete", { id: one.id }), { status: "deleted", saved_ref: `refs/argus/trash/${one.id}` });
  assert.equal(git(host.repo, "rev-parse", `refs/argus/trash/${one.id}^1`), tip);
  assert.equal(branches(), "argus/two");
  await host.call("project.delete", { name: "demo", force: true });
  await host.call("task.delete", { id: two.id });
  assert.deepEqual([branches(), fs.existsSync(two.worktree_path)], ["", false]);
  assert.deepEqual(await host.call("task.list", { archived: "all" }), { tasks: [] });
});

test("TASK-24: a task that is destroyed from several sides at once is destroyed once", async () => {
  await using host = await startHost();
  const { id, worktree_path } = await create(host);
  fs.writeFileSync(path.join(worktree_path, "new.txt"), "");
  const replies = await Promise.all([1, 2, 3].map(() => host.call("task.delete", { id })));
  assert.deepEqual(
    new Set(replies.map((reply) => JSON.stringify(reply))),
    new Set([JSON.stringify({ status: "deleted", saved_ref: `refs/argus/trash/${id}` })]),
  );
  const told = await host.system.services.store.db.selectFrom("events").select("id").where("type", "=", "task.deleted").execute();
  assert.equal(told.length, 1);
});

test("WORKTREE-29: with ui.cleanup_worktrees off, destroying and pruning keep worktree and branch", async () => {
  await using host = await startHost();
  await host.system.services.config.store({ "ui.cleanup_worktrees": false });
  const [one, two] = [await create(host, { name: "one" }), await create(host, { name: "two" })];
  await host.call("task.delete", { id: one.id });
  await host.call("task.complete", { id: two.id });
  await host.call("task.stop", { id: two.id });
  assert.deepEqual(await host.call("task.prune"), { pruned: 1, worktrees: 0, orphans: 0, kept: [] });
  assert.deepEqual(git(host.repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/argus").split("\n"), ["argus/one", "argus/two"]);
  assert.ok(fs.existsSync(one.worktree_path) && fs.existsSync(two.worktree_path));
});

test("TASK-25, WORKTREE-27: prune takes every complete task whose work is safe and says why it kept each other", async () => {
  await using host = await startHost();
  const backend = await agent(host, "ends", ENDS);
  const make = async (name: string, prompt: string) => {
    const task = await create(host, { name, backend, prompt });
    if (prompt === "0") await host.until(task.id, ({ status }) => status === "complete");
    return task;
  };
  const safe = [await make("safe 1", "0"), await make("safe 2", "0")];
  const dirty = await make("dirty", "0");
  fs.writeFileSync(path.join(dirty.worktree_path, "new.txt"), "");
  const ahead = await make("ahead", "0");
  commit(ahead.worktree_path, { "work.txt": "only here" });
  const live = await make("live", "wait");
  await host.call("task.complete", { id: live.id });
  const open = await make("open", "wait");
  assert.deepEqual(await host.call<Pruned>("task.prune"), {
    pruned: 2,
    worktrees: 2,
    orphans: 0,
    kept: [
      { id: dirty.id, reason: "it has uncommitted changes" },
      { id: ahead.id, reason: "1 commit is on no remote and not in the base branch" },
      { id: live.id, reason: "its agent still runs" },
    ],
  });
  assert.deepEqual(
    (await host.call<{ tasks: { id: string }[] }>("task.list")).tasks.map(({ id }) => id),
    [dirty.id, ahead.id, live.id, open.id],
  );
  for (const task of [dirty, ahead, live, open]) assert.ok(fs.existsSync(task.worktree_path));
  for (const task of safe) assert.equal(fs.existsSync(task.worktree_path), false);
});

test("TASK-25: prune takes archived complete tasks too, and an empty house gives zeros", async () => {
  await using host = await startHost();
  assert.deepEqual(await host.call("task.prune"), { pruned: 0, worktrees: 0, orphans: 0, kept: [] });
  const { id } = await create(host);
  await host.call("task.stop", { id });
  await host.call("task.complete", { id });
  await host.call("task.archive", { id });
  assert.deepEqual(await host.call("task.prune"), { pruned: 1, worktrees: 1, orphans: 0, kept: [] });
});

test("WORKTREE-28: the sweep removes only clean folders that no task names, and nothing when the tasks cannot be listed", async (t) => {
  await using host = await startHost();
  const root = path.join(host.home, "worktrees", "demo");
  const task = await create(host, { name: "kept" });
  git(host.repo, "worktree", "add", "-q", "-b", "argus/orphan", path.join(root, "orphan"));
  git(host.repo, "worktree", "add", "-q", "-b", "argus/unsaved", path.join(root, "unsaved"));
  fs.writeFileSync(path.join(root, "unsaved", "new.txt"), "");
  fs.mkdirSync(path.join(root, "plain"));
  const list = t.mock.method(host.system.services.tasks, "list", () => Promise.reject(new Error("disk I/O error")));
  await assert.rejects(host.call("task.prune"));
  list.mock.restore();
  assert.ok(fs.existsSync(path.join(root, "orphan")));

  const result = await host.call<Pruned>("task.prune");
  assert.deepEqual([result.pruned, result.orphans], [0, 1]);
  assert.deepEqual(result.kept.map(({ id }) => path.basename(id)).sort(), ["plain", "unsaved"]);
  assert.deepEqual(fs.readdirSync(root).sort(), ["kept", "plain", "unsaved"]);
  assert.ok(fs.existsSync(task.worktree_path));
});

test("WORKTREE-28: a worktree that is just being created is no orphan", async (t) => {
  await using host = await startHost();
  const { node } = host.system.services;
  const made = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const exclude = node.worktrees.exclude.bind(node.worktrees);
  t.mock.method(node.worktrees, "exclude", async (...args: Parameters<typeof exclude>) => {
    made.resolve();
    await go.promise;
    return exclude(...args);
  });
  const creating = create(host, { name: "young" });
  await made.promise;
  assert.partialDeepStrictEqual(await host.call("task.prune"), { orphans: 0 });
  go.resolve();
  assert.ok(fs.existsSync((await creating).worktree_path));
});

test("TASK-26, WORKTREE-18, WORKTREE-19: a fork starts at the source's tip with its uncommitted work and reads what the source did", async () => {
  await using host = await startHost();
  const talker = await agent(host, "talker", "#!/bin/sh\nprintf 'the answer is 42\\r\\n'\nexec sleep 1000000\n");
  const source = await create(host, { name: "source", backend: talker, prompt: "find the answer" });
  await host.eventually(async () => (await printed(host, source.id)).includes("42"), "the source's output");
  const tip = commit(source.worktree_path, { "done.txt": "committed" });
  fs.writeFileSync(path.join(source.worktree_path, "README.md"), "# Edited\n");
  fs.writeFileSync(path.join(source.worktree_path, "new.bin"), Buffer.from([0, 1, 255]));

  const { id } = await host.call<{ id: string }>("task.fork", { id: source.id });
  const fork = await look(host, id);
  const read = (name: string) => fs.readFileSync(path.join(fork.worktree_path, ".context", name), "utf8");
  assert.equal(git(fork.worktree_path, "rev-parse", "HEAD"), tip);
  assert.equal(git(fork.worktree_path, "status", "--porcelain"), "M README.md\n?? new.bin");
  assert.deepEqual([...fs.readFileSync(path.join(fork.worktree_path, "new.bin"))], [0, 1, 255]);
  assert.deepEqual(fs.readdirSync(path.join(fork.worktree_path, ".context")).sort(), [
    "fork-diff.patch",
    "fork-output.md",
    "fork-source.md",
  ]);
  for (const text of ["source", "in_progress", "argus/source", "find the answer"]) assert.ok(read("fork-source.md").includes(text), text);
  assert.ok(read("fork-output.md").includes("the answer is 42"));
  for (const text of ["+# Edited", "+committed"]) assert.ok(read("fork-diff.patch").includes(text), text);
  for (const text of ["find the answer", "./.context/fork-source.md", "./.context/fork-output.md", "./.context/fork-diff.patch"])
    assert.ok(fork.prompt.includes(text), text);
  assert.equal(fork.prompt.includes("belongs to the project"), false);
});

test("TASK-26, WORKTREE-18: a fork of a silent task without changes names only the file that exists, and without carry nothing comes along", async () => {
  await using host = await startHost();
  const silent = await agent(host, "silent", "#!/bin/sh\nexec sleep 1000000\n");
  const source = await create(host, { name: "source", backend: silent });
  const plain = await look(host, (await host.call<{ id: string }>("task.fork", { id: source.id, name: "plain" })).id);
  assert.deepEqual(fs.readdirSync(path.join(plain.worktree_path, ".context")), ["fork-source.md"]);
  assert.deepEqual([plain.prompt.includes("fork-output.md"), plain.prompt.includes("fork-diff.patch")], [false, false]);
  fs.writeFileSync(path.join(source.worktree_path, "README.md"), "# Edited\n");
  const bare = await look(host, (await host.call<{ id: string }>("task.fork", { id: source.id, name: "bare", carry: "none" })).id);
  assert.equal(git(bare.worktree_path, "status", "--porcelain"), "");
});

test("WORKTREE-18: the diff of a fork is cut at 64 KiB and says so", async () => {
  await using host = await startHost();
  const source = await create(host, { name: "source" });
  fs.writeFileSync(path.join(source.worktree_path, "long.txt"), "a line of text\n".repeat(10_000));
  const fork = await look(host, (await host.call<{ id: string }>("task.fork", { id: source.id })).id);
  const patch = fs.readFileSync(path.join(fork.worktree_path, ".context", "fork-diff.patch"), "utf8");
  assert.ok(patch.length < 64 * 1024 + 100 && patch.endsWith("[cut here: the diff is longer]\n"));
});

test("TASK-26, TASK-27: a fork into another project says so; forks get names of their own, the backend, and are announced", async () => {
  await using host = await startHost();
  const other = path.join(host.home, "other");
  fs.mkdirSync(other);
  git(other, "init", "-q", "-b", "main");
  commit(other, { "other.txt": "" });
  await host.call("project.create", { name: "other", path: other, backend: "fixture-idle" });
  const source = await create(host, { name: "source", backend: "fixture-echo" });
  const forks = [];
  for (const more of [{}, {}, { name: "mine", prompt: "do something else", project: "other" }])
    forks.push(await look(host, (await host.call<{ id: string }>("task.fork", { id: source.id, ...more })).id));
  assert.deepEqual(
    forks.map(({ name, backend, project, branch }) => ({ name, backend, project, branch })),
    [
      { name: "source-fork", backend: "fixture-echo", project: "demo", branch: "argus/source-fork" },
      { name: "source-fork-2", backend: "fixture-echo", project: "demo", branch: "argus/source-fork-2" },
      { name: "mine", backend: "fixture-echo", project: "other", branch: "argus/mine" },
    ],
  );
  const [, , mine] = forks;
  assert.ok(mine?.prompt.includes("The source belongs to the project demo; this worktree belongs to other."));
  assert.ok(mine?.prompt.includes("do something else") && !mine?.prompt.includes("wait"));
  assert.ok(fs.existsSync(path.join(mine?.worktree_path ?? "", "other.txt")));
  const events = await host.system.services.store.db
    .selectFrom("events")
    .select(["task_id", "payload"])
    .where("type", "=", "task.forked")
    .execute();
  assert.deepEqual(
    events.map((event) => ({ ...event, payload: JSON.parse(event.payload) })),
    forks.map(({ id }) => ({ task_id: id, payload: { source: source.id } })),
  );
});

test("MCP-32: each verb of the task list has a tool with the same effect", async () => {
  await using host = await startHost();
  const source = await create(host, { name: "source" });
  const me = host.as(agentOf(source));
  const tools = new Map(host.system.gate.registry.manifest().map(({ mcp, name }) => [mcp, name]));
  const use = <T>(tool: string, input: object) => me.call<T>(tools.get(tool) ?? assert.fail(`there is no tool ${tool}`), input);
  const fork = await use<{ id: string; status: string }>("task_fork", { id: source.id, name: "copy", prompt: "other", project: "demo" });
  assert.equal(fork.status, "in_progress");
  await use("task_pin", { id: fork.id, pinned: true });
  assert.equal((await look(host, fork.id)).pinned, true);
  for (const tool of ["task_resume", "task_restart"]) {
    await use("task_stop", { id: fork.id });
    assert.equal((await look(host, fork.id)).status, "in_review");
    await use(tool, { id: fork.id });
    assert.equal((await look(host, fork.id)).status, "in_progress");
  }
  await use("task_set_status", { id: fork.id, status: "complete" });
  assert.equal((await look(host, fork.id)).status, "complete");
  for (const tool of ["task_create", "task_archive", "task_rename", "task_complete", "task_delete", "task_prune"])
    assert.ok(tools.has(tool), tool);
});
