/** What Argus knows of each coding agent, as data; `[harnesses.<name>]` of config.toml adds or overrides one (SESSION-10). */
import { fileURLToPath } from "node:url";
import { isTable, type PERMISSION_MODES } from "../config/index.ts";

export interface Harness {
  /** Base name of the program this record is for. */
  program: string;
  /** `{id}` is replaced. */
  freshArgs: string[];
  /** Argus makes the conversation id before the first start (claude); otherwise it is captured after the run. */
  mintsId: boolean;
  /** Arguments that continue conversation `{id}`; null when the harness cannot. */
  resumeArgs: string[] | null;
  /** Where resume arguments go: behind the flags, or right after the program as a sub-command (codex). */
  resumeFirst: boolean;
  /** Stands before a positional prompt, so that `-x` is no flag; empty for programs that do not know it. */
  promptSeparator: string;
  /** Takes `--model <value>`. */
  modelFlag: string;
  /** Argument lists by `defaults.permission_mode`. */
  permissions: Partial<Record<(typeof PERMISSION_MODES)[number], string[]>>;
  /** Layout of the transcripts, for capturing the id. */
  conversations: "claude" | "codex" | "pi" | "opencode" | null;
  /** Arguments that hand over the MCP server for this launch only; `{url}` and `{file}` are replaced. */
  mcpArgs: string[];
  /** Content of `{file}` (0600, outside the worktree); `{url}` and `{token}` are replaced inside strings. */
  mcpFile: unknown;
  /** Arguments that set hooks for this launch only; `{hooks}` is the JSON of them (SESSION-24). */
  hookArgs: string[];
  /** State that an event of the harness's hooks stands for. */
  hooks: Record<string, string>;
  /** More environment; `{url}` and `{token}` are replaced. */
  env: Record<string, string>;
  /** Switches that keep it from starting background processes of its own (SESSION-11). */
  quietArgs: string[];
}

const PLAIN: Harness = {
  program: "",
  freshArgs: [],
  mintsId: false,
  resumeArgs: null,
  resumeFirst: false,
  promptSeparator: "--",
  modelFlag: "",
  permissions: {},
  conversations: null,
  mcpArgs: [],
  mcpFile: null,
  hookArgs: [],
  hooks: {},
  env: { ARGUS_MCP_URL: "{url}", ARGUS_MCP_TOKEN: "{token}" },
  quietArgs: [],
};

const BUILT_IN: Harness[] = [
  {
    ...PLAIN,
    program: "claude",
    freshArgs: ["--session-id", "{id}"],
    mintsId: true,
    resumeArgs: ["--resume", "{id}"],
    modelFlag: "--model",
    permissions: {
      default: ["--permission-mode", "default"],
      acceptEdits: ["--permission-mode", "acceptEdits"],
      plan: ["--permission-mode", "plan"],
      "bypass-allow": ["--allow-dangerously-skip-permissions", "--permission-mode", "plan"],
      "bypass-active": ["--dangerously-skip-permissions"],
    },
    conversations: "claude",
    mcpArgs: ["--mcp-config", "{file}"],
    mcpFile: { mcpServers: { argus: { type: "http", url: "{url}", headers: { Authorization: "Bearer {token}" } } } },
    hookArgs: ["--settings", "{hooks}"],
    hooks: { UserPromptSubmit: "working", PostToolUse: "working", Notification: "needs_input", Stop: "idle" },
    env: {},
  },
  {
    ...PLAIN,
    program: "codex",
    resumeArgs: ["resume", "{id}"],
    resumeFirst: true,
    modelFlag: "--model",
    conversations: "codex",
    mcpArgs: ["-c", 'mcp_servers.argus.url="{url}"', "-c", 'mcp_servers.argus.bearer_token_env_var="ARGUS_MCP_TOKEN"'],
    env: { ARGUS_MCP_TOKEN: "{token}" },
    quietArgs: ["--no-daemon"],
  },
  {
    ...PLAIN,
    program: "pi",
    resumeArgs: ["--session", "{id}"],
    promptSeparator: "",
    modelFlag: "--model",
    conversations: "pi",
    // pi speaks no MCP of its own; the extension brings the tools of ARGUS_MCP_URL to it.
    mcpArgs: ["--extension", fileURLToPath(import.meta.resolve("@argus/agent/pi-extension"))],
  },
  { ...PLAIN, program: "opencode", resumeArgs: ["--session", "{id}"], modelFlag: "--model", conversations: "opencode" },
  { ...PLAIN, program: "gemini", modelFlag: "--model" },
  {
    ...PLAIN,
    program: "argus-agent",
    freshArgs: ["--session-id", "{id}"],
    mintsId: true,
    resumeArgs: ["--resume", "{id}"],
    modelFlag: "--model",
  },
  { ...PLAIN, program: "argus-shell", promptSeparator: "" },
];

/** The record for a program, with overrides of the user's file laid over it; unknown programs get the plain one. */
export function harnessOf(program: string, overrides: Record<string, Record<string, unknown>>): Harness {
  const base = BUILT_IN.find((harness) => harness.program === program) ?? { ...PLAIN, program };
  const override = Object.entries(overrides).find(
    ([name, entry]) => (typeof entry.program === "string" ? entry.program : name) === program,
  )?.[1];
  if (!override) return base;
  return {
    ...base,
    freshArgs: texts(override.fresh_args) ?? base.freshArgs,
    mintsId: typeof override.mints_id === "boolean" ? override.mints_id : base.mintsId,
    resumeArgs: texts(override.resume_args) ?? base.resumeArgs,
    resumeFirst: typeof override.resume_first === "boolean" ? override.resume_first : base.resumeFirst,
    promptSeparator: typeof override.prompt_separator === "string" ? override.prompt_separator : base.promptSeparator,
    modelFlag: typeof override.model_flag === "string" ? override.model_flag : base.modelFlag,
    permissions: { ...base.permissions, ...tableOf(override.permissions, texts) },
    conversations: STORES.find((store) => store === override.conversations) ?? base.conversations,
    mcpArgs: texts(override.mcp_args) ?? base.mcpArgs,
    mcpFile: override.mcp_file ?? base.mcpFile,
    hookArgs: texts(override.hook_args) ?? base.hookArgs,
    hooks: tableOf(override.hooks, (value) => (typeof value === "string" ? value : null)) ?? base.hooks,
    env: tableOf(override.env, (value) => (typeof value === "string" ? value : null)) ?? base.env,
    quietArgs: texts(override.quiet_args) ?? base.quietArgs,
  };
}

const STORES = ["claude", "codex", "pi", "opencode"] as const;

/** The entries of a table whose values have the right type, or null when it is no table. */
function tableOf<T>(value: unknown, read: (value: unknown) => T | null): Record<string, T> | null {
  if (!isTable(value)) return null;
  return Object.fromEntries(Object.entries(value).flatMap(([name, entry]) => (read(entry) === null ? [] : [[name, read(entry) as T]])));
}

function texts(value: unknown): string[] | null {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string") ? (value as string[]) : null;
}
