/** The real agent CLIs, alone in a terminal: what Argus's data records say about starting, resuming, MCP and ending them is true. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { startModelServer } from "../../fixtures/model-server/server.ts";
import { mcpLaunch, type Prepared, prepare } from "./harness.ts";
import { CLIS, type Cli } from "./install.ts";
import { startMcpServer } from "./mcp-server.ts";
import { type AgentTerminal, allGone, openTerminal } from "./terminal.ts";

const TOKEN = "task-token-0123456789abcdef";
const CLAUDE_ID = "11111111-2222-4333-8444-555555555555";

interface Place extends Disposable {
  home: string;
  cwd: string;
  mark: string;
}

/** A HOME, a repository in it and a worktree of that, as Argus would start an agent in. */
function place(): Place {
  const root = realpathSync(mkdtempSync(path.join(tmpdir(), "argus-e2e-")));
  const [home, repository, cwd] = ["home", "repository", "worktree"].map((name) => path.join(root, name)) as [string, string, string];
  for (const folder of [home, repository]) mkdirSync(folder);
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", repository, "-c", "user.name=t", "-c", "user.email=t@t", ...args], { stdio: "pipe" });
  git("init", "-q", "-b", "main");
  git("commit", "-q", "--allow-empty", "-m", "start");
  git("worktree", "add", "-q", cwd);
  return {
    home,
    cwd,
    mark: `ARGUS_TASK_ID=${path.basename(root)}`,
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  };
}

function start(where: Place, prepared: Prepared, argv: string[], extra: Record<string, string> = {}): AgentTerminal {
  const [name, value] = where.mark.split("=") as [string, string];
  const env = { ...prepared.env, TERM: "xterm-256color", COLORTERM: "truecolor", [name]: value, ...extra };
  return openTerminal({ argv, env, cwd: where.cwd });
}

/** Only when the turn is over: before, Ctrl-C interrupts the turn instead, and codex takes both for that. */
async function endByKeys(agent: AgentTerminal): Promise<void> {
  await agent.quiet();
  agent.write("\x03");
  agent.write("\x03");
  assert.equal((await agent.ended()).exitCode, 0);
}

/** The id a harness recorded for a working directory, found where its data record says. */
function conversationOf(cli: Cli, { home, cwd }: Place): string {
  if (cli === "claude") {
    const folder = path.join(home, ".claude", "projects", cwd.replace(/[^A-Za-z0-9]/g, "-"));
    return path.basename(readdirSync(folder).find((name) => name.endsWith(".jsonl")) as string, ".jsonl");
  }
  if (cli === "codex") {
    const database = new DatabaseSync(path.join(home, ".codex", "state_5.sqlite"), { readOnly: true });
    try {
      return String(database.prepare("select id from threads where cwd = ? order by updated_at_ms desc").get(cwd)?.id);
    } finally {
      database.close();
    }
  }
  const folder = path.join(home, ".pi", "agent", "sessions", `--${cwd.slice(1).replaceAll("/", "-")}--`);
  const [file] = readdirSync(folder).sort().reverse();
  return JSON.parse(readFileSync(path.join(folder, file as string), "utf8").split("\n")[0] as string).id;
}

for (const cli of CLIS) {
  const sessionArgs = cli === "claude" ? ["--session-id", CLAUDE_ID] : [];

  test(`SESSION-09, SESSION-12, SESSION-13, SESSION-14: ${cli} runs a turn, goes quiet, ends by keys and resumes its conversation`, async () => {
    using where = place();
    await using server = await startModelServer();
    const prepared = await prepare(cli, { ...where, modelUrl: server.url });
    {
      await using agent = start(where, prepared, [...prepared.command.split(" "), ...sessionArgs, "--", "please SCRIPT:touch"]);
      await agent.until("TOUCH-DONE");
      assert.equal(readFileSync(path.join(where.cwd, "made.txt"), "utf8"), "made-by-script\n");
      await endByKeys(agent);
    }
    const id = conversationOf(cli, where);
    if (cli === "claude") assert.equal(id, CLAUDE_ID);
    await using agent = start(where, prepared, prepared.resume(id));
    await agent.until("TOUCH-DONE");
    await agent.quiet();
    await agent.say("SCRIPT:hello");
    await agent.until("Hello from the scripted model.");
    const asked = await server.seen((request) => request.script === "hello" && !request.side);
    assert.match(JSON.stringify(asked.body), /please SCRIPT:touch/, "the earlier turn is part of the request");
    await endByKeys(agent);
    assert.equal(conversationOf(cli, where), id, "resuming did not start another conversation");
    await allGone(where.mark);
  });

  test(`TOKEN-18: ${cli} takes the MCP server from its launch alone, and the token is neither in argv nor in any file`, async () => {
    using where = place();
    const call = { kind: "mcp", server: "argus", tool: "task_list", input: {} } as const;
    await using server = await startModelServer({ scripts: { tasks: [{ tool: call }, { text: "MCP-DONE" }] } });
    await using mcp = await startMcpServer(TOKEN);
    const prepared = await prepare(cli, { ...where, modelUrl: server.url });
    const { args, env } = mcpLaunch(cli, mcp.url, TOKEN);
    await using agent = start(where, prepared, [...prepared.command.split(" "), ...args], env);
    await agent.quiet(); // claude connects in the background; its first turn may come too early for the tools
    await agent.say("SCRIPT:tasks");
    await agent.until("MCP-DONE");
    assert.deepEqual(
      mcp.calls.map((one) => one.name),
      ["task_list"],
    );
    assert.equal(mcp.refused, 0);
    assert.ok(!readFileSync(`/proc/${agent.pid}/cmdline`, "utf8").includes(TOKEN));
    await endByKeys(agent);
    for (const folder of [where.home, where.cwd]) assert.deepEqual(filesWith(folder, TOKEN), []);
    assert.equal(execFileSync("git", ["-C", where.cwd, "status", "--porcelain"], { encoding: "utf8" }), "");
  });

  test(`SESSION-11, SESSION-44: ${cli} in the middle of a turn ends on SIGTERM to its group, and no process of it is left`, async () => {
    using where = place();
    await using server = await startModelServer();
    const prepared = await prepare(cli, { ...where, modelUrl: server.url });
    await using agent = start(where, prepared, [...prepared.command.split(" "), ...sessionArgs, "--", "SCRIPT:hang"]);
    await agent.until("HANGING");
    process.kill(-agent.pid, "SIGTERM");
    await agent.ended();
    await allGone(where.mark);
  });
}

function filesWith(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => readFileSync(file).includes(text));
}
