/** Assembles the argument list and environment of an agent from backend, harness record, task and settings. Pure. */
import path from "node:path";
import type { Backend } from "@argus/protocol";
import type { PERMISSION_MODES } from "../config/index.ts";
import { type Harness, harnessOf } from "./harness.ts";
import { splitCommand } from "./words.ts";

export interface LaunchRequest {
  backend: Backend;
  /** The task's own model; empty means the backend's. */
  model: string;
  prompt: string;
  permissionMode: string;
  /** Conversation to continue; null starts a fresh one. */
  resume: string | null;
  /** Id of the fresh conversation where Argus makes it. */
  freshId: string;
  mcp: { url: string; token: string; file: string } | null;
  /** Shell command that reports a state given as its last word; null for none. It finds address and token in the MCP file. */
  hook?: string | null;
  harnesses: Record<string, Record<string, unknown>>;
  /** Argument lists of the programs Argus brings itself, by name. */
  builtIn: Record<string, string[]>;
}

export interface Launch {
  argv: string[];
  /** Additions to the environment. */
  env: Record<string, string>;
  harness: Harness;
  /** File that must exist before the start, or null. */
  mcpFile: { path: string; text: string } | null;
  /** False when a conversation was to be continued and the harness has no way to. */
  resumed: boolean;
}

const PERMISSION_FLAGS = ["--permission-mode", "--dangerously-skip-permissions", "--allow-dangerously-skip-permissions"];

/** Order: command, permission flags, model, MCP, session or resume arguments, prompt on a fresh start (SESSION-04). */
export function assemble(request: LaunchRequest): Launch {
  const { backend, mcp } = request;
  const words = splitCommand(backend.command);
  const program = path.basename(words.argv[0] as string);
  const harness = harnessOf(program, request.harnesses);
  const has = (flags: string[]) => words.argv.some((word) => flags.some((flag) => word === flag || word.startsWith(`${flag}=`)));
  const fill = (text: string) =>
    text
      .replaceAll("{url}", mcp?.url ?? "")
      .replaceAll("{token}", mcp?.token ?? "")
      .replaceAll("{file}", mcp?.file ?? "");

  const extra: string[] = [];
  if (!has(PERMISSION_FLAGS)) extra.push(...(harness.permissions[request.permissionMode as (typeof PERMISSION_MODES)[number]] ?? []));
  const model = request.model || backend.model;
  if (harness.modelFlag && model && !has([harness.modelFlag])) extra.push(harness.modelFlag, model);
  if (mcp) extra.push(...harness.mcpArgs.map(fill));
  if (mcp && request.hook && harness.hookArgs[0] && !has([harness.hookArgs[0]]))
    extra.push(...harness.hookArgs.map((arg) => arg.replaceAll("{hooks}", hooksOf(harness, request.hook as string))));
  for (const flag of harness.quietArgs) if (!has([flag])) extra.push(flag);

  const resumed = request.resume !== null && harness.resumeArgs !== null;
  const conversation = resumed
    ? (harness.resumeArgs as string[]).map((arg) => arg.replaceAll("{id}", request.resume as string))
    : harness.mintsId
      ? harness.freshArgs.map((arg) => arg.replaceAll("{id}", request.freshId))
      : [];
  const prompt: string[] = [];
  if (!resumed && request.prompt !== "") {
    if (backend.prompt_flag) prompt.push(backend.prompt_flag, request.prompt);
    else prompt.push(...(harness.promptSeparator ? [harness.promptSeparator] : []), request.prompt);
  }
  // The appended words never become shell text: with a shell template they arrive as "$@".
  const appended = [...extra, ...conversation, ...prompt];
  const own = request.builtIn[words.argv[0] as string];
  let argv: string[];
  if (words.shell) argv = ["sh", "-c", `${backend.command} "$@"`, program, ...appended];
  else {
    const [first, ...rest] = words.argv as [string, ...string[]];
    argv =
      resumed && harness.resumeFirst
        ? [...(own ?? [first]), ...conversation.slice(0, 1), ...rest, ...extra, ...conversation.slice(1)]
        : [...(own ?? [first]), ...rest, ...appended];
  }
  const env: Record<string, string> = { ...(words.shell ? {} : words.env) };
  if (mcp) for (const [name, value] of Object.entries(harness.env)) env[name] = fill(value);
  return {
    argv,
    env,
    harness,
    resumed,
    mcpFile:
      mcp && harness.mcpFile
        ? {
            path: mcp.file,
            text: JSON.stringify(harness.mcpFile, (_key, value: unknown) => (typeof value === "string" ? fill(value) : value)),
          }
        : null,
  };
}

/** A hook that hangs must not hold up the agent longer than this. */
const HOOK_TIMEOUT_S = 5;

/** Settings of hooks in the form Claude Code reads; harnesses that copy it can be given the same. */
function hooksOf(harness: Harness, command: string): string {
  const entry = (state: string) => [{ hooks: [{ type: "command", command: `${command} ${state}`, timeout: HOOK_TIMEOUT_S }] }];
  return JSON.stringify({ hooks: Object.fromEntries(Object.entries(harness.hooks).map(([event, state]) => [event, entry(state)])) });
}

/** Names a child must not inherit: the daemon's own port and tokens (the built-in agent's settings are the user's), and what npm and the launcher put there (SESSION-02). */
const DROPPED = /^(PORT|NODE_ENV|NODE_OPTIONS|NODE_COMPILE_CACHE|INIT_CWD|npm_.*|ARGUS_(?!AGENT_).*)$/i;

export function childEnvironment(daemon: NodeJS.ProcessEnv, more: Record<string, string>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(daemon)) if (value !== undefined && !DROPPED.test(name)) env[name] = value;
  // npm puts the tree's own tools first on PATH; an agent must find the user's.
  if (env.PATH)
    env.PATH = env.PATH.split(":")
      .filter((dir) => !dir.endsWith("/node_modules/.bin") && !dir.includes("node-gyp-bin"))
      .join(":");
  return { ...env, TERM: "xterm-256color", COLORTERM: "truecolor", ...more };
}
