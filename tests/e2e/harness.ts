/** Prepares a scratch HOME in which a real agent CLI talks to the scripted model server and asks no first-run questions. */
import { chmod, mkdir, realpath, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Cli, install } from "./install.ts";

export interface Prepare {
  /** Scratch HOME; files are written below it. */
  home: string;
  /** Every folder the CLI will be started in, absolute and without links: trust is recorded per folder. */
  cwd: string;
  /** As the model server gives it: no trailing slash, no version. */
  modelUrl: string;
}
export interface Prepared {
  /** What a backend's `command` would be in Argus, permission flags included. */
  command: string;
  /** The whole environment the CLI needs; add TERM and what the launch brings. */
  env: Record<string, string>;
  /** The whole argument list that resumes conversation `id`, in the order Argus assembles it. */
  resume(id: string): string[];
}

const FAKE_KEY = "sk-ant-fake-000000000000000000000000";

/** Installs the CLI when it is not there yet (about 1 GB for all three, once per machine). */
export async function prepare(cli: Cli, where: Prepare): Promise<Prepared> {
  const program = await wrapped(cli, await install(cli, (line) => console.error(line)), where.home);
  const env = {
    HOME: where.home,
    PATH: process.env.PATH ?? "/usr/bin:/bin",
    LANG: "C.UTF-8",
    // Nothing of the machine's own model settings may leak in; a proxy would see loopback traffic.
    NO_PROXY: "127.0.0.1",
  };
  if (cli === "claude") return prepareClaude(program, env, where);
  if (cli === "codex") return prepareCodex(program, env, where);
  return preparePi(program, env, where);
}

/** pi and codex start with `env node`, and pi needs a newer one than some machines have on PATH: a launcher of the same name brings ours. */
async function wrapped(cli: Cli, program: string, home: string): Promise<string> {
  if (cli === "claude") return program;
  const launcher = path.join(home, "bin", cli);
  await save(launcher, `#!/bin/sh\nexec "${process.execPath}" "${await realpath(program)}" "$@"\n`);
  await chmod(launcher, 0o700);
  return launcher;
}

async function prepareClaude(program: string, env: Record<string, string>, { home, cwd, modelUrl }: Prepare): Promise<Prepared> {
  await save(path.join(home, ".claude.json"), {
    hasCompletedOnboarding: true,
    theme: "dark",
    bypassPermissionsModeAccepted: true,
    customApiKeyResponses: { approved: [FAKE_KEY.slice(-20)], rejected: [] },
    projects: { [cwd]: { hasTrustDialogAccepted: true } },
  });
  return {
    command: `${program} --dangerously-skip-permissions`,
    env: {
      ...env,
      ANTHROPIC_BASE_URL: modelUrl,
      ANTHROPIC_API_KEY: FAKE_KEY,
      ANTHROPIC_MODEL: "claude-fake",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      DISABLE_AUTOUPDATER: "1",
      IS_SANDBOX: "1", // root may not skip permissions otherwise
    },
    resume: (id) => [program, "--dangerously-skip-permissions", "--resume", id],
  };
}

async function prepareCodex(program: string, env: Record<string, string>, { home, cwd, modelUrl }: Prepare): Promise<Prepared> {
  const config = `model = "fake-model"
model_provider = "fake"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "${modelUrl}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
[projects.${JSON.stringify(cwd)}]
trust_level = "trusted"
`;
  await save(path.join(home, ".codex", "config.toml"), config);
  return {
    command: `${program} --no-daemon --dangerously-bypass-approvals-and-sandbox`,
    env: { ...env, FAKE_KEY: "fake" },
    resume: (id) => [program, "resume", "--dangerously-bypass-approvals-and-sandbox", "--no-daemon", id],
  };
}

async function preparePi(program: string, env: Record<string, string>, { home, modelUrl }: Prepare): Promise<Prepared> {
  const model = {
    id: "fake-model",
    name: "Fake",
    reasoning: false,
    input: ["text"],
    contextWindow: 128_000,
    maxTokens: 8_192,
    cost: { input: 1, output: 2, cacheRead: 0, cacheWrite: 0 },
  };
  const fake = { baseUrl: `${modelUrl}/v1`, api: "openai-completions", apiKey: "fake", models: [model] };
  await save(path.join(home, ".pi", "agent", "models.json"), { providers: { fake } });
  return {
    command: `${program} --model fake/fake-model`,
    env: { ...env, PI_OFFLINE: "1" },
    resume: (id) => [program, "--model", "fake/fake-model", "--session", id],
  };
}

async function save(file: string, content: unknown): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content, null, 2), { mode: 0o600 });
}

const PI_EXTENSION = fileURLToPath(new URL("../../packages/agent/src/pi-extension.ts", import.meta.url));

/** How a CLI is given one HTTP MCP server for one launch: arguments that anybody may see, and the token in the environment. */
export function mcpLaunch(cli: Cli, url: string, token: string): { args: string[]; env: Record<string, string> } {
  const env = { ARGUS_MCP_URL: url, ARGUS_MCP_TOKEN: token };
  if (cli === "codex") {
    return { args: ["-c", `mcp_servers.argus.url="${url}"`, "-c", 'mcp_servers.argus.bearer_token_env_var="ARGUS_MCP_TOKEN"'], env };
  }
  if (cli === "pi") return { args: ["--extension", PI_EXTENSION], env };
  // Claude Code puts the variable's value in place of the reference when it reads the configuration.
  const argus = { type: "http", url, headers: { Authorization: `Bearer \${ARGUS_MCP_TOKEN}` } };
  // Without this it shows MCP tools to the model only after a search; the scripted model does not search.
  return { args: ["--mcp-config", JSON.stringify({ mcpServers: { argus } })], env: { ...env, ENABLE_TOOL_SEARCH: "false" } };
}
