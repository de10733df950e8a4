/** The task tools parameter by parameter, and how an agent comes to them. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { type Host, startHost } from "../src/host.ts";
import { type Json, rpc, tool } from "./doors.ts";

const create = async (host: Host, name: string, more: Json = {}) =>
  (await tool(host, "task_create", { project: "demo", prompt: "p", name, ...more })).structuredContent as { id: string };
const ids = async (host: Host, filter: Json = {}) =>
  ((await tool(host, "task_list", filter)).structuredContent.tasks as Task[]).map((task) => task.id);

test("MCP-18: task_create takes each of its parameters, makes the row that REST makes, and refuses 101 dependencies", async () => {
  await using host = await startHost({ rest: true });
  const parent = await create(host, "parent");
  const input = { project: "demo", prompt: "work", model: "m", base_branch: "main", depends_on: [parent.id], plan_slug: "plan" };
  const made = (await tool(host, "task_create", { ...input, name: "one" })).structuredContent;
  assert.deepEqual(Object.keys(made).sort(), ["branch", "id", "name", "project", "status"]);
  assert.deepEqual([made.name, made.project, made.status, made.branch], ["one", "demo", "pending", "argus/one"]);
  const again = (await tool(host, "task_create", { ...input, name: "one", upsert: true })).structuredContent;
  assert.equal(again.id, made.id, "upsert finds the one of this name");
  const over = (await (await host.rest("POST", "/api/tasks", { ...input, name: "two" })).json()) as { id: string };
  const row = async (id: unknown) => {
    const { prompt, model, base_branch, depends_on, plan_slug, status, project, backend } = await host.call<Task>("task.get", { id });
    return { prompt, model, base_branch, depends_on, plan_slug, status, project, backend };
  };
  assert.deepEqual(await row(made.id), await row(over.id));
  assert.partialDeepStrictEqual(await row(made.id), {
    prompt: "work",
    model: "m",
    base_branch: "main",
    depends_on: [parent.id],
    plan_slug: "plan",
  });
  const many = (count: number) =>
    rpc(host, "tools/call", {
      name: "task_create",
      arguments: { ...input, name: "many", depends_on: Array.from({ length: count }, () => parent.id) },
    });
  assert.equal((await many(101)).body.error?.code, -32602);
  assert.equal((await many(100)).body.error, undefined);
  assert.match(
    (await rpc(host, "tools/call", { name: "task_create", arguments: { ...input, project: undefined } })).body.error?.message ?? "",
    /project is required/,
  );
});

test("MCP-20, MCP-30: task_list filters by status, project and plan, leaves archived ones out, and plan labels are set and cleared", async () => {
  await using host = await startHost();
  await host.call("project.create", { name: "other", path: host.repo, backend: "fixture-idle" });
  const [a, b, c] = [await create(host, "a"), await create(host, "b"), await create(host, "c", { project: "other" })];
  await tool(host, "task_stop", { id: b.id });
  assert.deepEqual(await ids(host), [a.id, b.id, c.id]);
  assert.deepEqual(await ids(host, { status: "in_review" }), [b.id]);
  assert.deepEqual(await ids(host, { project: "other" }), [c.id]);
  assert.deepEqual((await tool(host, "task_set_plan_slug", { id: a.id, plan_slug: "release" })).structuredContent, {
    plan_slug: "release",
  });
  assert.deepEqual(await ids(host, { plan_slug: "release" }), [a.id]);
  const [listed] = (await tool(host, "task_list", { plan_slug: "release" })).structuredContent.tasks as Task[];
  assert.equal(listed?.plan_slug, "release");
  await tool(host, "task_set_plan_slug", { id: a.id, plan_slug: "" });
  assert.deepEqual(await ids(host, { plan_slug: "release" }), []);
  await tool(host, "task_archive", { id: b.id, archived: true });
  assert.deepEqual(await ids(host), [a.id, c.id]);
});

test("MCP-21: task_get shows prompt, result and what blocks it, a deleted parent marked as missing", async () => {
  await using host = await startHost();
  const [one, two] = [await create(host, "one"), await create(host, "two")];
  const child = await create(host, "child", { depends_on: [one.id, two.id], prompt: "later" });
  await tool(host, "task_set_result", { id: child.id, result: { pr: 7 } });
  await host.call("task.delete", { id: one.id, force: true });
  const task = (await tool(host, "task_get", { id: child.id })).structuredContent;
  assert.deepEqual([task.prompt, task.result], ["later", { pr: 7 }]);
  assert.deepEqual((task.blocked_by as string[]).toSorted(), [`${one.id} (missing)`, two.id].toSorted());
});

test("MCP-22, MCP-23, MCP-24, MCP-25: stop, archive, rename and complete do what they say and nothing else", async () => {
  await using host = await startHost();
  const { id } = await create(host, "x");
  const look = () => host.call<Task>("task.get", { id });
  const { worktree_path, branch } = await look();
  const archived = async (more: Json) => (await tool(host, "task_archive", more)).structuredContent.archived;
  assert.deepEqual(
    [
      await archived({ id, archived: true }),
      await archived({ id, archived: false }),
      await archived({ cwd: worktree_path }),
      await archived({ id }),
    ],
    [true, false, true, false],
  );
  assert.deepEqual((await tool(host, "task_rename", { cwd: path.join(worktree_path, "src"), name: "new" })).structuredContent, {
    name: "new",
  });
  assert.partialDeepStrictEqual(await look(), { name: "new", worktree_path, branch: branch as string });
  const { pid } = await host
    .call<{ pid: number }>("session.attach", { id })
    .then(() => host.system.services.sessions.live.get(Number(id)) as { pid: number });
  assert.partialDeepStrictEqual((await tool(host, "task_complete", { cwd: worktree_path })).structuredContent, { id, status: "complete" });
  const complete = await look();
  assert.ok(complete.ended_at, "its end is stamped");
  assert.equal(process.kill(pid, 0), true, "the agent goes on");
  await host.call("task.set_status", { id, status: "in_progress" });
  for (let n = 0; n < 2; n++) assert.deepEqual((await tool(host, "task_stop", { id })).structuredContent, { status: "stopped" });
  assert.equal((await look()).status, "in_review");
});

test("MCP-31: task_set_result keeps any JSON value of at most 64 KiB", async () => {
  await using host = await startHost();
  const { id } = await create(host, "x");
  const { worktree_path } = await host.call<Task>("task.get", { id });
  for (const result of [{ a: [1, { b: null }] }, "text", 3, false, []]) {
    assert.equal((await tool(host, "task_set_result", { cwd: worktree_path, result })).isError, undefined);
    assert.deepEqual((await host.call<Task>("task.get", { id })).result, result);
  }
  assert.equal((await tool(host, "task_set_result", { id, result: "x".repeat(65_534) })).structuredContent.bytes, 65_536);
  assert.equal((await tool(host, "task_set_result", { id, result: "x".repeat(65_535) })).isError, true);
});

/** Stand-ins for agents: each reads what it was given the way the real one does, lists the tools and stays. */
const LIST = `
const list = async (url, token) => {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json", accept: "application/json, text/event-stream", authorization: "Bearer " + token }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "task_get", arguments: {} } }) });
  const { result } = await response.json();
  console.log("I am task " + result.structuredContent.id);
  require("node:fs").writeFileSync(process.env.TOLD + "-" + result.structuredContent.id, token);
  setInterval(() => {}, 1e6);
};
const args = process.argv.slice(2);
`;
const AGENTS: Record<string, string> = {
  claude: `${LIST}
const { mcpServers } = JSON.parse(require("node:fs").readFileSync(args[args.indexOf("--mcp-config") + 1], "utf8"));
list(mcpServers.argus.url, mcpServers.argus.headers.Authorization.replace("Bearer ", ""));`,
  codex: `${LIST}
const set = Object.fromEntries(args.filter((one) => one.startsWith("mcp_servers.argus.")).map((one) => [one.slice(18, one.indexOf("=")), JSON.parse(one.slice(one.indexOf("=") + 1))]));
list(set.url, process.env[set.bearer_token_env_var]);`,
  anything: `${LIST}
list(process.env.ARGUS_MCP_URL, process.env.ARGUS_MCP_TOKEN);`,
};

/** Every file below a folder with the hash of its content. */
function contents(folder: string): Record<string, string> {
  return Object.fromEntries(
    fs
      .readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => [file, createHash("sha256").update(fs.readFileSync(file)).digest("hex")]),
  );
}

test("MCP-12, MCP-13: an agent finds the server and itself by its launch alone: no file of user or repository changes, no token is in any argument list", {
  skip: process.platform !== "linux",
}, async () => {
  await using host = await startHost();
  const user = path.join(host.home, "user");
  for (const [file, text] of [
    [".claude.json", "{}"],
    [".codex/config.toml", "x = 1\n"],
  ] as const) {
    fs.mkdirSync(path.dirname(path.join(user, file)), { recursive: true });
    fs.writeFileSync(path.join(user, file), text);
  }
  const before = contents(user);
  const bin = path.join(host.home, "bin");
  fs.mkdirSync(bin);
  for (const [name, text] of Object.entries(AGENTS)) {
    fs.writeFileSync(path.join(bin, name), `#!${process.execPath}\n${text}`, { mode: 0o755 });
    const known = (await host.call<{ backends: { name: string }[] }>("backend.list")).backends.some((one) => one.name === name);
    const command = `TOLD=${host.home}/token ${path.join(bin, name)}`;
    await host.call(known ? "backend.update" : "backend.create", { name, command });
    const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: `as ${name}`, backend: name });
    await host.eventually(
      async () => (await host.call<{ text: string }>("session.output", { id }).catch(() => null))?.text.includes(`I am task ${id}`),
      `${name} to find itself`,
    );
    const token = fs.readFileSync(path.join(host.home, `token-${id}`), "utf8");
    assert.match(token, /^[0-9a-f]{64}$/);
    const told = fs.readdirSync("/proc").filter((pid) => {
      try {
        return /^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(token);
      } catch {
        return false; // ended meanwhile
      }
    });
    assert.deepEqual(told, [], `${name}: no argument list holds the token`);
    const { worktree_path } = await host.call<Task>("task.get", { id });
    assert.equal(execFileSync("git", ["status", "--porcelain", "--ignored"], { cwd: worktree_path, encoding: "utf8" }), "");
    const given = fs.globSync(path.join(host.home, "run", `${id}.*.mcp.json`));
    assert.equal(given.length, name === "claude" ? 1 : 0);
    for (const file of given) assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  }
  assert.deepEqual(contents(user), before);
  assert.deepEqual(execFileSync("git", ["status", "--porcelain"], { cwd: host.repo, encoding: "utf8" }), "");
});

test("MCP-19: of twenty calls of task_create at once at most five run, the others wait in order, and equal names never side by side", async (t) => {
  await using host = await startHost();
  const { worktrees } = host.system.services.node;
  let running = 0;
  let most = 0;
  const names: string[] = [];
  const twins = new Set<string>();
  const real = worktrees.create.bind(worktrees);
  t.mock.method(worktrees, "create", async (...args: Parameters<typeof real>) => {
    const { name } = args[0];
    names.push(name);
    assert.ok(!twins.has(name), `${name} runs twice`);
    twins.add(name);
    most = Math.max(most, ++running);
    try {
      return await real(...args);
    } finally {
      running--;
      twins.delete(name);
    }
  });
  const agent = host.as({ kind: "anonymous", id: "anonymous", tier: "write", surface: "mcp" });
  const made = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      agent.call<{ id: string }>("task.create", { project: "demo", prompt: "p", name: `task ${n % 10}`, upsert: true }),
    ),
  );
  assert.ok(most > 1 && most <= 5, `${most} at once`);
  assert.equal(new Set(made.map(({ id }) => id)).size, 10, "one task a name");
  assert.deepEqual(
    names,
    Array.from({ length: 10 }, (_, n) => `task ${n}`),
    "in the order they came",
  );
});
