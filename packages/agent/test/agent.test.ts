/** The agent as people and Argus meet it: in a terminal, against a scripted model, interrupted, killed and resumed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startModelServer } from "../../../fixtures/model-server/server.ts";
import { cleanEnv, gone, openAgent, type Scratch, scratch } from "./terminal.ts";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const PROMPT = "› ";

const configured = (url: string, dialect = "openai") => ({
  ARGUS_AGENT_BASE_URL: url,
  ARGUS_AGENT_API_KEY: "fake-key",
  ARGUS_AGENT_MODEL: "fake-model",
  ARGUS_AGENT_DIALECT: dialect,
});

function print(where: Scratch, args: string[], extra: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], { cwd: where.cwd, env: cleanEnv(where, extra) }, (error, out, err) =>
      resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
    child.stdin?.end();
  });
}

function sessionLines(where: Scratch, id: string): any[] {
  const text = readFileSync(path.join(where.home, "sessions", `${id}.jsonl`), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

for (const dialect of ["openai", "anthropic"]) {
  test(`SESSION-09: argus-agent edits a file when an ${dialect} model says so, then waits, and two Ctrl-C end it with 0`, async () => {
    using where = scratch();
    writeFileSync(path.join(where.cwd, "greet.txt"), "hello world\n");
    const edit = { path: "greet.txt", old_text: "world", new_text: "peacock" };
    await using server = await startModelServer({
      scripts: { edit: [{ text: "Editing.", tool: { kind: "call", name: "edit_file", input: edit } }, { text: "EDIT-DONE" }] },
    });
    await using agent = openAgent(where, ["--session-id", "one", "--", "SCRIPT:edit"], configured(server.url, dialect));
    await agent.until("● edit_file greet.txt");
    await agent.until("EDIT-DONE");
    await agent.until(PROMPT);
    assert.equal(readFileSync(path.join(where.cwd, "greet.txt"), "utf8"), "hello peacock\n");
    agent.write("\x03");
    await agent.until("Press Ctrl-C again");
    agent.write("\x03");
    assert.equal((await agent.exited).exitCode, 0);
    assert.deepEqual(
      sessionLines(where, "one").map((line) => line.message?.role ?? line.type),
      ["session", "user", "assistant", "tool", "assistant"],
    );
    assert.equal(statSync(path.join(where.home, "sessions", "one.jsonl")).mode & 0o777, 0o600);
    assert.ok(!agent.raw().includes("\x1b[?1049h"), "no alternate screen");
  });
}

test("SESSION-46: after SIGKILL in the middle of a turn, --resume goes on with the conversation and says what was cut off", async () => {
  using where = scratch();
  const slow = { kind: "shell", command: "touch started; sleep 600" } as const;
  await using server = await startModelServer({ scripts: { slow: [{ text: "Starting.", tool: slow }, { text: "SLOW-RESUMED" }] } });
  const env = configured(server.url);
  {
    await using agent = openAgent(where, ["--session-id", "cut", "--", "SCRIPT:slow"], env);
    await agent.until("● shell touch started");
    agent.kill("SIGKILL");
    await agent.exited;
  }
  await using agent = openAgent(where, ["--resume", "cut"], env);
  await agent.until("Resumed cut");
  await agent.until("The last turn was cut off");
  await agent.until(PROMPT);
  agent.write("\r");
  await agent.until("SLOW-RESUMED");
  const last = server.requests.at(-1)?.body.messages.at(-1);
  assert.equal(last.role, "tool");
  assert.match(last.content, /Whether it finished is unknown/);
  agent.write("\x04");
  assert.equal((await agent.exited).exitCode, 0);
});

test("SESSION-46: a half-written last line is dropped on resume and the conversation goes on behind it", async () => {
  using where = scratch();
  await using server = await startModelServer();
  assert.equal((await print(where, ["--session-id", "half", "-p", "first"], configured(server.url))).out, "You said: first\n");
  const file = path.join(where.home, "sessions", "half.jsonl");
  writeFileSync(file, '{"type":"message","message":{"role":"us', { flag: "a" });
  assert.equal((await print(where, ["--resume", "half", "-p", "second"], configured(server.url))).out, "You said: second\n");
  assert.deepEqual(
    sessionLines(where, "half").map((line) => line.message?.text ?? line.type),
    ["session", "first", "You said: first", "second", "You said: second"],
  );
});

test("SESSION-09: Ctrl-C interrupts a model that is still talking, and the agent takes the next prompt", async () => {
  using where = scratch();
  await using server = await startModelServer();
  await using agent = openAgent(where, ["--", "SCRIPT:hang"], configured(server.url));
  await agent.until("HANGING");
  agent.write("\x03");
  await agent.until("Interrupted.");
  await agent.until(PROMPT);
  agent.write("SCRIPT:hello");
  agent.write("\r");
  await agent.until("Hello from the scripted model.");
  agent.write("/exit\r");
  assert.equal((await agent.exited).exitCode, 0);
});

test("SESSION-44: Ctrl-C ends a running command with everything it started", async () => {
  using where = scratch();
  const command = "sleep 600 & echo $! > child.pid; echo RE''ADY; wait";
  await using agent = openAgent(where, []);
  await agent.until(PROMPT);
  agent.write(`$ ${command}\r`);
  await agent.until("READY");
  const child = Number(readFileSync(path.join(where.cwd, "child.pid"), "utf8"));
  agent.write("\x03");
  await agent.until("Interrupted.");
  await gone(child);
  agent.write("\x04");
  await agent.exited;
});

test("SESSION-09: without a model the agent says so, runs the commands a prompt spells out, and the ones typed", async () => {
  using where = scratch();
  await using agent = openAgent(where, ["--", "Please do this:\n```sh\necho one > made.txt\n```\n$ echo two >> made.txt"]);
  await agent.until("No model is configured; I run the commands of your prompt");
  await agent.until("Ran all 2 commands");
  await agent.until(PROMPT);
  assert.equal(readFileSync(path.join(where.cwd, "made.txt"), "utf8"), "one\ntwo\n");
  agent.write("what do you think?\r");
  await agent.until("No model is configured, so I cannot think for you.");
  await agent.until("ARGUS_AGENT_BASE_URL");
  agent.write("! cat made.txt\r");
  await agent.until("● shell cat made.txt");
  await agent.until("two");
  agent.write("/status\r");
  await agent.until("none configured");
  agent.write("/exit\r");
  assert.equal((await agent.exited).exitCode, 0);
});

test("SESSION-08: a pasted prompt of several lines arrives byte for byte, and typing ahead is queued", async () => {
  using where = scratch();
  await using server = await startModelServer();
  await using agent = openAgent(where, [], configured(server.url));
  await agent.until(PROMPT);
  agent.write("\x1b[200~first $(touch p)\rsecond 'q' \\ é\x1b[201~");
  agent.write("\r");
  const request = await server.seen((one) => one.dialect === "chat");
  assert.equal(request.body.messages.at(-1).content, "first $(touch p)\nsecond 'q' \\ é");
  assert.ok(!existsSync(path.join(where.cwd, "p")));
  await agent.until("You said");
  await agent.until(PROMPT);
  agent.write("SCRIPT:hang\r");
  await agent.until("HANGING");
  agent.write("later\r");
  await agent.until("queued: later");
  agent.write("\x03");
  await agent.until("You said: later");
  agent.write("\x04");
  await agent.exited;
});

test("MCP-01: the tools of the configured MCP server are offered and called with its token", async () => {
  using where = scratch();
  const calls: any[] = [];
  const mcp = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(parts).toString());
    calls.push({ method, name: params?.name, token: request.headers.authorization });
    if (id === undefined) return response.writeHead(202).end();
    const results: Record<string, unknown> = {
      initialize: { protocolVersion: "2025-06-18", capabilities: {}, serverInfo: { name: "t", version: "1" } },
      "tools/list": { tools: [{ name: "task_list", description: "Lists tasks", inputSchema: { type: "object", properties: {} } }] },
      "tools/call": { content: [{ type: "text", text: "task seven" }] },
    };
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", id, result: results[method] })}\n\n`);
  });
  await new Promise<void>((resolve) => mcp.listen(0, "127.0.0.1", resolve));
  try {
    await using server = await startModelServer({
      scripts: { ask: [{ tool: { kind: "call", name: "task_list", input: {} } }, { text: "MCP-DONE" }] },
    });
    const env = {
      ...configured(server.url),
      ARGUS_MCP_URL: `http://127.0.0.1:${(mcp.address() as AddressInfo).port}/mcp`,
      ARGUS_MCP_TOKEN: "task-token",
    };
    const { code, out } = await print(where, ["-p", "SCRIPT:ask"], env);
    assert.deepEqual([code, out], [0, "MCP-DONE\n"]);
    assert.deepEqual(calls.at(-1), { method: "tools/call", name: "task_list", token: "Bearer task-token" });
    assert.equal(server.requests.at(-1)?.body.messages.at(-1).content, "task seven");
  } finally {
    mcp.closeAllConnections();
    await new Promise((resolve) => mcp.close(resolve));
  }
});

test("argus-agent: errors say what would work and use the project's exit statuses", async () => {
  using where = scratch();
  const cases: [string[], number, RegExp][] = [
    [["--resume", "nobody"], 6, /There is no session nobody.*--session-id nobody/],
    [["--session-id", "../x"], 2, /cannot be a session id/],
    [["--session-id", "a", "--resume", "b"], 2, /Both --session-id and --resume/],
    [["--nonsense"], 2, /--help/],
  ];
  for (const [args, code, says] of cases) {
    const result = await print(where, [...args, "-p", "x"]);
    assert.equal(result.code, code, args.join(" "));
    assert.match(result.err, says);
  }
  await using server = await startModelServer({ scripts: { no: [{ status: 401 }], bad: [{ status: 400 }] } });
  const unauthorized = await print(where, ["-p", "SCRIPT:no"], configured(server.url));
  assert.equal(unauthorized.code, 4);
  assert.match(unauthorized.err, /refused the key \(401: The script says 401\.\)/);
  const refused = await print(where, ["-p", "SCRIPT:bad"], configured(server.url));
  assert.equal(refused.code, 5);
  assert.match(refused.err, /did not answer \(400: The script says 400\.\)/);
});
