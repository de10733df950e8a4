/** The main job with real agents: Argus gives each its worktree, shows its screen, stops it, and resumes its conversation after its own restart. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { startModelServer } from "../../fixtures/model-server/server.ts";
import { endSupervisor, type Host, startHost } from "../../packages/daemon/src/host.ts";
import { prepare } from "./harness.ts";
import { CLIS, type Cli } from "./install.ts";
import { allGone } from "./terminal.ts";

const LIST_TASKS = { kind: "mcp", server: "argus", tool: "task_list", input: {} } as const;
const TYPED_LIMIT_MS = 60_000; // as in terminal.ts

/** The visible screen of a task, or an empty one while its session starts. */
async function screenOf(host: Host, id: string): Promise<string> {
  const screen = await host.call<{ rows: string[] }>("session.screen", { id }).catch(() => ({ rows: [] }));
  return screen.rows.join("\n");
}

async function shows(host: Host, id: string, text: string): Promise<void> {
  const deadline = Date.now() + TYPED_LIMIT_MS;
  while (!(await screenOf(host, id)).includes(text)) {
    if (Date.now() > deadline) assert.fail(`The screen never showed ${JSON.stringify(text)}:\n${await screenOf(host, id)}`);
    await new Promise((resolve) => setTimeout(resolve, 50)); // between two looks; the limit above is what counts
  }
}

/** As a person does it: type, see it in the prompt line, press Enter. */
async function say(host: Host, id: string, text: string): Promise<void> {
  await host.call("session.input", { id, text });
  await shows(host, id, text);
  await host.call("session.input", { id, text: "\r" });
}

for (const cli of ["argus-agent", ...CLIS] as (Cli | "argus-agent")[]) {
  test(`SESSION-46, SUPERVISOR-01: ${cli} works in its worktree under Argus, survives a restart of the daemon, stops, and resumes its conversation`, async (context) => {
    const root = realpathSync(mkdtempSync(path.join(tmpdir(), "argus-e2e-")));
    const home = path.join(root, "argus");
    const user = path.join(root, "user");
    for (const folder of [home, user]) mkdirSync(folder);
    const mark = `E2E_MARK=${path.basename(root)}`;
    try {
      await using server = await startModelServer({ scripts: { tasks: [{ tool: LIST_TASKS }, { text: "MCP-DONE" }] } });
      const { command, env } =
        cli === "argus-agent"
          ? {
              command: "argus-agent",
              env: { HOME: user, ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: "fake", ANTHROPIC_MODEL: "claude-fake" },
            }
          : await prepare(cli, { home: user, cwd: path.join(home, "repo"), modelUrl: server.url });
      const [name, value] = mark.split("=") as [string, string];
      await using host = await startHost({ home, env: { ...env, [name]: value, ENABLE_TOOL_SEARCH: "false" } });
      try {
        await host.call("backend.create", { name: "real", command, prompt_flag: "", model: "" });
        const { id } = await host.call<{ id: string }>("task.create", {
          project: "demo",
          name: "Real work",
          prompt: "please SCRIPT:touch",
          backend: "real",
          cols: 110,
          rows: 36,
        });
        await shows(host, id, "TOUCH-DONE");
        const task = await host.call<Task>("task.get", { id });
        assert.equal(readFileSync(path.join(task.worktree_path, "made.txt"), "utf8"), "made-by-script\n");

        await host.restart();
        await shows(host, id, "TOUCH-DONE");

        await host.call("task.stop", { id });
        // The id of a harness that makes its own is taken from its records once the run has ended.
        const stopped = await host.until(id, (row) => row.status === "in_review" && row.session_id !== undefined, "the conversation's id");
        await host.call("task.resume", { id, cols: 110, rows: 36 });
        await shows(host, id, "TOUCH-DONE");
        const resumed = await host.call<Task>("task.get", { id });
        assert.equal(resumed.session_id, stopped.session_id);
        assert.equal(resumed.status, "in_progress");
        await say(host, id, "SCRIPT:hello");
        await shows(host, id, "Hello from the scripted model.");
        const asked = await server.seen((request) => request.script === "hello" && !request.side);
        assert.match(JSON.stringify(asked.body), /please SCRIPT:touch/, "the earlier turn is part of the request");
        await context.test(`TOKEN-18: ${cli} is told of its task by Argus's own tools`, async () => {
          // Claude Code connects to its MCP servers behind the user's back: before it is idle the tools may be missing.
          await host.until(id, (row) => row.idle, "the agent to be idle");
          await say(host, id, "SCRIPT:tasks");
          await shows(host, id, "MCP-DONE");
          const told = await server.seen((request) => request.script === "tasks" && request.step === 1);
          assert.match(JSON.stringify(told.body), /Real work/, "the agent was told of its own task by Argus");
        });
        await host.call("task.stop", { id });
      } finally {
        await endSupervisor(home);
      }
      await allGone(mark);
    } finally {
      rmSync(root, { recursive: true, force: true, maxRetries: 5 });
    }
  });
}
