/** Backends: stored, overridden by config.toml, and launched for real. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type Host, startHost } from "../src/host.ts";
import { agent, CLAUDE, create, look, program, said } from "./scratch.ts";

type Listed = { name: string; command: string; prompt_flag: string; model: string; available: boolean };

const list = async (host: Host) => (await host.call<{ backends: Listed[] }>("backend.list")).backends;
const PRINTS = `#!/usr/bin/env node
console.log("args " + JSON.stringify(process.argv.slice(2)));
console.log("env " + JSON.stringify(process.env));
process.stdin.resume();
`;

test("REST-66: backends are listed with what a form needs, and whether their program is there", async () => {
  await using host = await startHost();
  await agent(host, "here", PRINTS, { model: "m" });
  await host.call("backend.create", { name: "missing", command: "no-such-program --fast", prompt_flag: "-p" });
  const listed = (await list(host)).filter(({ name }) => ["test-here", "missing", "shell", "argus"].includes(name));
  assert.partialDeepStrictEqual(listed, [
    { name: "argus", available: true },
    { name: "missing", command: "no-such-program --fast", prompt_flag: "-p", model: "", available: false },
    { name: "shell", available: true },
    { name: "test-here", command: path.join(host.home, "bin", "here"), prompt_flag: "", model: "m", available: true },
  ]);
});

test("REST-67: only the master token changes backends, and the default one cannot be deleted", async () => {
  await using host = await startHost({ rest: true });
  const { code } = await host
    .call<{ code?: string; url?: string }>("token.login_link")
    .then((made) => ({ code: made.code ?? made.url?.split("#login=")[1] }));
  const login = (await (await host.rest("POST", "/api/login", { code, label: "phone" })).json()) as { token: string };
  const device = { authorization: `Bearer ${login.token}` };
  const writes = [
    ["POST", "/api/backends", { name: "mine", command: "my-agent" }, 201],
    ["PUT", "/api/backends/mine", { model: "fast" }, 200],
    ["DELETE", "/api/backends/mine", undefined, 200],
  ] as const;
  for (const [method, url, body] of writes) assert.equal((await host.rest(method, url, body, device)).status, 403, `${method} by a device`);
  for (const [method, url, body, status] of writes) assert.equal((await host.rest(method, url, body)).status, status, method);
  assert.equal((await host.rest("GET", "/api/backends", undefined, device)).status, 200);
  assert.equal((await host.rest("DELETE", "/api/backends/claude")).status, 409);
  assert.equal((await host.rest("POST", "/api/backends", { name: "pi", command: "pi" })).status, 409);
  assert.equal((await host.rest("POST", "/api/backends", { name: "odd", command: "agent 'open" })).status, 400);
});

test("CONFIG-05: a backend of config.toml replaces the stored one whole and is changed only there; a deleted seed stays deleted", async () => {
  await using host = await startHost({ rest: true });
  await host.call("backend.update", { name: "pi", model: "stored" });
  await host.call("backend.delete", { name: "gemini" });
  fs.writeFileSync(path.join(host.home, "config.toml"), '[backends.pi]\ncommand = "pi --file"\n[backends.new]\ncommand = "new"\n');
  assert.partialDeepStrictEqual(
    (await list(host)).find(({ name }) => name === "pi"),
    { command: "pi --file", model: "" },
  );
  for (const name of ["pi", "new"])
    assert.match(
      ((await (await host.rest("PUT", `/api/backends/${name}`, { model: "x" })).json()) as { error: string }).error,
      /set by config.toml/,
    );
  fs.rmSync(path.join(host.home, "config.toml"));
  await host.restart();
  const names = (await list(host)).map(({ name }) => name);
  assert.deepEqual([names.includes("gemini"), names.includes("new"), names.includes("pi")], [false, false, true]);
});

test("SESSION-02: an agent gets the daemon's environment and its own, and none of the daemon's port and secrets", async () => {
  const secrets = {
    ARGUS_TOKEN: "top-secret",
    ARGUS_ALLOW: "x",
    NODE_OPTIONS: "--no-warnings",
    PORT: "1",
    NODE_ENV: "x",
    npm_config_x: "1",
    TERM: "dumb",
  };
  await using host = await startHost({ env: { ...secrets, MINE: "kept" } });
  const task = await create(host, { backend: await agent(host, "prints", PRINTS) });
  const env = await said<Record<string, string>>(host, task.id, "env");
  assert.partialDeepStrictEqual(env, { MINE: "kept", TERM: "xterm-256color", COLORTERM: "truecolor", ARGUS_TASK_ID: task.id });
  for (const name of Object.keys(secrets)) if (name !== "TERM") assert.equal(env[name], undefined, name);
  assert.equal(env.ARGUS_DATABASE, undefined);
  assert.ok(!JSON.stringify(env).includes(host.token), "the master token");
});

test("SESSION-08: prompts arrive byte for byte, with a flag, without one, through a shell template, and not at all when empty", async () => {
  await using host = await startHost();
  const file = program(host, "prints", PRINTS);
  await host.call("backend.create", { name: "plain", command: file });
  await host.call("backend.create", { name: "flag", command: `${file} --base`, prompt_flag: "-p" });
  await host.call("backend.create", { name: "template", command: `A=$(echo 1) ${file}` });
  const hard = "-x 'one' \"two\"\nthree $(touch p) `touch q` \\ ä 😀";
  const argsOf = async (backend: string, prompt: string) => {
    const task = await create(host, { backend, prompt, name: `${backend} ${prompt.length}` });
    const args = await said<string[]>(host, task.id, "args");
    assert.deepEqual(
      fs.readdirSync(task.worktree_path).filter((name) => /^[pq]$/.test(name)),
      [],
    );
    return args;
  };
  assert.deepEqual(
    [
      await argsOf("plain", hard),
      await argsOf("flag", hard),
      await argsOf("template", hard),
      await argsOf("plain", ""),
      await argsOf("flag", ""),
    ],
    [["--", hard], ["--base", "-p", hard], ["--", hard], [], ["--base"]],
  );
});

test("SESSION-07, SESSION-12: a Claude-style agent starts with an id stored before, resumes with it and no prompt, and takes a changed model at each start", async () => {
  await using host = await startHost();
  const backend = await agent(host, "claude", CLAUDE, { model: "opus" });
  const { id } = await create(host, { backend, prompt: "hello" });
  const first = await said<string[]>(host, id, "args");
  const { session_id } = await look(host, id);
  const mcp = first[first.indexOf("--mcp-config") + 1] ?? "";
  assert.deepEqual(first, [
    "--dangerously-skip-permissions",
    "--model",
    "opus",
    "--mcp-config",
    mcp,
    "--settings",
    first[first.indexOf("--settings") + 1] ?? "",
    "--session-id",
    session_id,
    "--",
    "hello",
  ]);
  assert.equal(fs.statSync(mcp).mode & 0o777, 0o600);
  await host.call("task.stop", { id });
  await host.call("backend.update", { name: backend, model: "sonnet" });
  await host.system.services.config.store({ "defaults.permission_mode": "plan" });
  await host.call("task.resume", { id });
  const second = await host.eventually(async () => {
    const args = await said<string[]>(host, id, "args");
    return args.includes("--resume") && args;
  }, "the second start");
  assert.deepEqual(
    second.filter((_arg, n) => n !== 5 && n !== 7), // names of files
    ["--permission-mode", "plan", "--model", "sonnet", "--mcp-config", "--settings", "--resume", session_id],
  );
});

test("SESSION-10: a harness that only config.toml knows is resumed with the conversation it recorded", async () => {
  await using host = await startHost();
  fs.writeFileSync(
    path.join(host.home, "config.toml"),
    '[harnesses.mine]\nprogram = "mine"\nfresh_args = ["--session-id", "{id}"]\nmints_id = true\nresume_args = ["--resume", "{id}"]\nconversations = "claude"\n',
  );
  const backend = await agent(host, "mine", CLAUDE);
  const { id } = await create(host, { backend, prompt: "hello" });
  const first = await said<string[]>(host, id, "args");
  const { session_id } = await look(host, id);
  assert.deepEqual(first, ["--session-id", session_id, "--", "hello"]);
  await host.call("task.stop", { id });
  assert.equal((await host.call<{ note?: string }>("task.resume", { id })).note, undefined);
  const again = await host.eventually(async () => {
    const args = await said<string[]>(host, id, "args");
    return args[0] === "--resume" && args;
  }, "the second start");
  assert.deepEqual(again, ["--resume", session_id]);
  assert.equal((await host.call<{ conversations: unknown[] }>("session.conversations", { id })).conversations.length, 1);
});

test("SESSION-13: codex resumes the newest thread it recorded for this worktree, keeping its flags", async () => {
  await using host = await startHost();
  const backend = await agent(host, "codex", PRINTS, { args: "--dangerously-bypass-approvals-and-sandbox", model: "m" });
  const task = await create(host, { backend });
  const codex = path.join(host.home, "user", ".codex");
  fs.mkdirSync(codex, { recursive: true });
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(path.join(codex, "state_5.sqlite"));
  db.exec(
    "create table threads (id text primary key, cwd text, title text, first_user_message text, rollout_path text, archived integer default 0, created_at integer, updated_at integer, updated_at_ms integer, source text)",
  );
  const id = (n: number) => `0199a213-81c0-7800-8aa1-bbab2a03500${n}`;
  const now = Date.now() + 60_000;
  const add = db.prepare(
    "insert into threads (id, cwd, title, first_user_message, rollout_path, created_at, updated_at, updated_at_ms, source) values (?, ?, 't', 't', '', ?, ?, ?, 'cli')",
  );
  for (const [n, cwd, age] of [
    [1, task.worktree_path, 20_000],
    [2, task.worktree_path, 10_000],
    [3, "/elsewhere", 0],
  ] as const) {
    const at = now - age;
    add.run(id(n), cwd, Math.floor(at / 1000), Math.floor(at / 1000), at);
  }
  db.close();
  await host.call("task.stop", { id: task.id });
  assert.equal((await look(host, task.id)).session_id, id(2));
  await host.call("task.resume", { id: task.id });
  const args = await host.eventually(async () => {
    const found = await said<string[]>(host, task.id, "args");
    return found[0] === "resume" && found;
  }, "the second start");
  assert.deepEqual(
    args.filter((arg, at) => arg !== "-c" && args[at - 1] !== "-c"),
    ["resume", "--dangerously-bypass-approvals-and-sandbox", "--model", "m", "--no-daemon", id(2)],
  );
});
