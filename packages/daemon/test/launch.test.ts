/** How an agent is launched: argument lists and environment as plain functions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Backend } from "@argus/protocol";
import { SEEDED } from "../src/features/backend/backends.ts";
import { assemble, childEnvironment, type LaunchRequest } from "../src/features/backend/launch.ts";
import { splitCommand } from "../src/features/backend/words.ts";

const MCP = { url: "http://127.0.0.1:7742/mcp", token: "secret", file: "/run/1.mcp.json" };
const BUILT_IN = { "argus-agent": ["node", "agent.ts"], "argus-shell": ["sh", "-c", "script", "argus-shell"] };

function launch(backend: string | Backend, more: Partial<LaunchRequest> = {}) {
  return assemble({
    backend: typeof backend === "string" ? { name: "one", command: backend, prompt_flag: "", model: "" } : backend,
    model: "",
    prompt: "do it",
    permissionMode: "bypass-active",
    resume: null,
    freshId: "fresh",
    mcp: null,
    harnesses: {},
    builtIn: BUILT_IN,
    ...more,
  });
}

/** pi has no MCP client of its own; ours comes as an extension. */
const PI_EXTENSION = fileURLToPath(import.meta.resolve("@argus/agent/pi-extension"));

test("SESSION-04: the launch of each seeded backend, fresh: command, permissions, model, MCP, session, prompt", () => {
  const argv = Object.fromEntries(SEEDED.map((backend) => [backend.name, launch(backend, { model: "m", mcp: MCP }).argv]));
  const codexMcp = [
    "-c",
    'mcp_servers.argus.url="http://127.0.0.1:7742/mcp"',
    "-c",
    'mcp_servers.argus.bearer_token_env_var="ARGUS_MCP_TOKEN"',
  ];
  assert.deepEqual(argv, {
    claude: [
      "claude",
      "--dangerously-skip-permissions",
      "--model",
      "m",
      "--mcp-config",
      "/run/1.mcp.json",
      "--session-id",
      "fresh",
      "--",
      "do it",
    ],
    codex: ["codex", "--dangerously-bypass-approvals-and-sandbox", "--model", "m", ...codexMcp, "--no-daemon", "--", "do it"],
    pi: ["pi", "--model", "m", "--extension", PI_EXTENSION, "do it"],
    opencode: ["opencode", "--model", "m", "--prompt", "do it"],
    gemini: ["gemini", "--approval-mode", "yolo", "--model", "m", "--prompt-interactive", "do it"],
    argus: ["node", "agent.ts", "--model", "m", "--session-id", "fresh", "--", "do it"],
    shell: ["sh", "-c", "script", "argus-shell", "do it"],
  });
});

test("SESSION-04, SESSION-12, SESSION-13, SESSION-14: the launch of each seeded backend, resumed: no prompt, its own resume form", () => {
  const resumed = Object.fromEntries(
    SEEDED.map((backend) => {
      const made = launch(backend, { model: "m", resume: "old" });
      return [backend.name, { argv: made.argv, resumed: made.resumed }];
    }),
  );
  assert.deepEqual(resumed, {
    claude: { argv: ["claude", "--dangerously-skip-permissions", "--model", "m", "--resume", "old"], resumed: true },
    codex: {
      argv: ["codex", "resume", "--dangerously-bypass-approvals-and-sandbox", "--model", "m", "--no-daemon", "old"],
      resumed: true,
    },
    pi: { argv: ["pi", "--model", "m", "--session", "old"], resumed: true },
    opencode: { argv: ["opencode", "--model", "m", "--session", "old"], resumed: true },
    gemini: { argv: ["gemini", "--approval-mode", "yolo", "--model", "m", "--prompt-interactive", "do it"], resumed: false },
    argus: { argv: ["node", "agent.ts", "--model", "m", "--resume", "old"], resumed: true },
    shell: { argv: ["sh", "-c", "script", "argus-shell", "do it"], resumed: false },
  });
});

test("SESSION-05: each permission mode gives a Claude-style backend its flags", () => {
  const flags = Object.fromEntries(
    ["default", "acceptEdits", "plan", "bypass-allow", "bypass-active"].map((permissionMode) => [
      permissionMode,
      launch("claude", { permissionMode, prompt: "" }).argv.slice(1, -2),
    ]),
  );
  assert.deepEqual(flags, {
    default: ["--permission-mode", "default"],
    acceptEdits: ["--permission-mode", "acceptEdits"],
    plan: ["--permission-mode", "plan"],
    "bypass-allow": ["--allow-dangerously-skip-permissions", "--permission-mode", "plan"],
    "bypass-active": ["--dangerously-skip-permissions"],
  });
});

test("SESSION-06: permission flags only for a program named claude without one of its own, and none for an unknown mode", () => {
  const flagsOf = (command: string, permissionMode = "acceptEdits") =>
    launch(command, { permissionMode, prompt: "" }).argv.filter((word) => /permission/.test(word));
  assert.deepEqual(
    [
      flagsOf("claude"),
      flagsOf("/opt/claude"),
      flagsOf("/opt/claude --permission-mode plan"),
      flagsOf("claude --permission-mode=plan"),
      flagsOf("claude --dangerously-skip-permissions"),
      flagsOf("codex"),
      flagsOf("claude-wrapper"),
      flagsOf("claude", "nobody-knows"),
    ],
    [
      ["--permission-mode"],
      ["--permission-mode"],
      ["--permission-mode"],
      ["--permission-mode=plan"],
      ["--dangerously-skip-permissions"],
      [],
      [],
      [],
    ],
  );
});

test("SESSION-07: the task's model, else the backend's, unless the command names one; unknown programs get none", () => {
  const modelOf = (command: string, task: string, backend: string) => {
    const { argv } = launch({ name: "one", command, prompt_flag: "", model: backend }, { model: task, prompt: "" });
    return argv.flatMap((word, at) => (word === "--model" ? [argv[at + 1]] : []));
  };
  assert.deepEqual(
    [
      modelOf("claude", "", ""),
      modelOf("claude", "", "b"),
      modelOf("codex", "t", "b"),
      modelOf("pi", "t", ""),
      modelOf("claude --model own", "t", "b"),
      modelOf("my-agent", "t", "b"),
    ],
    [[], ["b"], ["t"], ["t"], ["own"], []],
  );
});

test("SESSION-08: a prompt is one argument, after its flag or a separator, and an empty one adds nothing", () => {
  const hard = "-x 'quoted' \"double\"\nline two $(touch p)";
  assert.deepEqual(
    [
      launch("my-agent", { prompt: hard }).argv,
      launch("pi", { prompt: "x" }).argv,
      launch({ name: "one", command: "my-agent", prompt_flag: "-p", model: "" }, { prompt: hard }).argv,
      launch("my-agent", { prompt: "" }).argv,
      launch({ name: "one", command: "my-agent", prompt_flag: "-p", model: "" }, { prompt: "" }).argv,
      launch("cat | my-agent --fast", { prompt: hard }).argv,
    ],
    [
      ["my-agent", "--", hard],
      ["pi", "x"],
      ["my-agent", "-p", hard],
      ["my-agent"],
      ["my-agent"],
      ["sh", "-c", 'cat | my-agent --fast "$@"', "cat", "--", hard],
    ],
  );
});

test("SESSION-10: a record of config.toml adds a harness or changes a known one, without a build", () => {
  const harnesses = {
    mine: {
      program: "my-agent",
      fresh_args: ["--conversation", "{id}"],
      mints_id: true,
      resume_args: ["continue", "{id}"],
      resume_first: true,
      prompt_separator: "",
      model_flag: "-m",
      permissions: { plan: ["--careful"] },
      conversations: "claude",
      mcp_args: ["--tools", "{url}", "--tool-file", "{file}"],
      mcp_file: { url: "{url}", key: "{token}" },
      env: { TOOL_TOKEN: "{token}" },
      quiet_args: ["--no-background"],
    },
    pi: { resume_args: ["--again", "{id}"] },
  };
  const fresh = launch("my-agent --base", { harnesses, mcp: MCP, model: "m", permissionMode: "plan" });
  assert.deepEqual(fresh.argv, [
    "my-agent",
    "--base",
    "--careful",
    "-m",
    "m",
    "--tools",
    MCP.url,
    "--tool-file",
    MCP.file,
    "--no-background",
    "--conversation",
    "fresh",
    "do it",
  ]);
  assert.deepEqual(fresh.env, { TOOL_TOKEN: "secret" });
  assert.deepEqual(fresh.mcpFile, { path: MCP.file, text: JSON.stringify({ url: MCP.url, key: "secret" }) });
  assert.equal(fresh.harness.conversations, "claude");
  assert.deepEqual(launch("my-agent --base", { harnesses, resume: "old" }).argv.slice(0, 4), [
    "my-agent",
    "continue",
    "--base",
    "--no-background",
  ]);
  assert.deepEqual(launch("pi", { harnesses, resume: "old" }).argv, ["pi", "--again", "old"]);
});

test("SESSION-02: a child gets the daemon's environment and its terminal, without ports, npm's settings and the daemon's own secrets", () => {
  const env = childEnvironment(
    {
      HOME: "/home/me",
      LANG: "C",
      PATH: "/work/node_modules/.bin:/usr/bin",
      PORT: "1",
      NODE_ENV: "test",
      NODE_OPTIONS: "--inspect",
      npm_config_user_agent: "npm",
      npm_lifecycle_event: "start",
      TERM: "dumb",
      ARGUS_TOKEN: "secret",
      ARGUS_HOME: "/home/me/.argus",
      ARGUS_DATABASE: "postgres://user:password@host/db",
    },
    { ARGUS_TASK_ID: "7" },
  );
  assert.deepEqual(env, {
    HOME: "/home/me",
    LANG: "C",
    PATH: "/usr/bin",
    TERM: "xterm-256color",
    COLORTERM: "truecolor",
    ARGUS_TASK_ID: "7",
  });
});

test("a command line is split the way a shell would, and says when it needs one", () => {
  assert.deepEqual(splitCommand(`A=1 B='two words' agent "a b" c\\ d ''`), {
    env: { A: "1", B: "two words" },
    argv: ["agent", "a b", "c d", ""],
    shell: false,
  });
  assert.equal(splitCommand("agent > file").shell, true);
  assert.equal(splitCommand('agent "$HOME"').shell, true);
  assert.equal(splitCommand("agent '$HOME'").shell, false);
  assert.throws(() => splitCommand("agent 'open"), /unclosed single quote/);
  assert.throws(() => splitCommand("  "), /names no program/);
});
