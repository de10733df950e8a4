/** Reads the command line and the environment, so that nothing else in the agent does. */
import { homedir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { failure, sentenceOf } from "./failure.ts";

export type ModelDialect = "openai" | "anthropic";
export interface ModelSettings {
  dialect: ModelDialect;
  baseUrl: string;
  apiKey: string;
  /** Null: the endpoint is asked what it has. */
  model: string | null;
}
export interface Options {
  cwd: string;
  /** Folder that holds `sessions/`. */
  home: string;
  /** Null when nothing is configured: the offline model answers. */
  model: ModelSettings | null;
  mcp: { url: string; token: string } | null;
  session: { kind: "new"; id: string | null } | { kind: "resume"; id: string };
  /** First prompt, or null. */
  prompt: string | null;
  /** Answer the prompt on standard output and end. */
  print: boolean;
  help: boolean;
}

export const USAGE = `argus-agent: a small coding agent for your terminal

  argus-agent [--model <name>] [--session-id <id> | --resume <id>] [-- <prompt>]
  argus-agent -p <prompt>        answer on standard output and end

Model, from the environment (first that is set wins):
  ARGUS_AGENT_BASE_URL           any OpenAI-compatible or Anthropic endpoint, such as http://127.0.0.1:11434/v1
  ARGUS_AGENT_DIALECT            openai (default) or anthropic
  ARGUS_AGENT_API_KEY, ARGUS_AGENT_MODEL
  ANTHROPIC_API_KEY              with ANTHROPIC_BASE_URL, ANTHROPIC_MODEL
  OPENAI_API_KEY                 with OPENAI_BASE_URL, OPENAI_MODEL
Without a model it runs the commands you give it and says so.

Sessions are kept in \${ARGUS_AGENT_HOME:-~/.argus/agent}/sessions/<id>.jsonl.`;

const SESSION_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/; // becomes a file name

/** Throws INVALID_INPUT with what would work. */
export async function readOptions(argv: string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Options> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    throw await failure("INVALID_INPUT", `${sentenceOf(error)}\nSee argus-agent --help.`);
  }
  const { values, positionals } = parsed;
  const resume = values.resume;
  const id = resume ?? values["session-id"] ?? null;
  if (resume !== undefined && values["session-id"] !== undefined) {
    throw await failure(
      "INVALID_INPUT",
      "Both --session-id and --resume were given. Use --resume to continue a session, --session-id to name a new one.",
    );
  }
  if (id !== null && !SESSION_ID.test(id)) {
    throw await failure("INVALID_INPUT", `"${id}" cannot be a session id. Use letters, digits, dot, dash and underscore, such as a UUID.`);
  }
  const words = [...(values.print === undefined ? [] : [values.print]), ...positionals];
  return {
    cwd,
    home: env.ARGUS_AGENT_HOME ?? path.join(env.ARGUS_HOME ?? path.join(homedir(), ".argus"), "agent"),
    model: modelSettings(env, values.model ?? null),
    mcp: env.ARGUS_MCP_URL ? { url: env.ARGUS_MCP_URL, token: env.ARGUS_MCP_TOKEN ?? "" } : null,
    session: resume === undefined ? { kind: "new", id } : { kind: "resume", id: resume },
    prompt: words.length ? words.join(" ") : null,
    print: values.print !== undefined,
    help: values.help === true,
  };
}

function parse(argv: string[]) {
  return parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      model: { type: "string", short: "m" },
      "session-id": { type: "string" },
      resume: { type: "string", short: "r" },
      print: { type: "string", short: "p" },
      help: { type: "boolean", short: "h" },
    },
  });
}

/** Which endpoint to talk to, or null. Pure; exported for its table of tests. */
export function modelSettings(env: NodeJS.ProcessEnv, named: string | null): ModelSettings | null {
  if (env.ARGUS_AGENT_BASE_URL) {
    const dialect = env.ARGUS_AGENT_DIALECT === "anthropic" ? "anthropic" : "openai";
    const model = named ?? (env.ARGUS_AGENT_MODEL || null);
    return { dialect, baseUrl: versioned(env.ARGUS_AGENT_BASE_URL), apiKey: env.ARGUS_AGENT_API_KEY ?? "", model };
  }
  if (env.ANTHROPIC_API_KEY) {
    const baseUrl = versioned(env.ANTHROPIC_BASE_URL || "https://api.anthropic.com");
    return { dialect: "anthropic", baseUrl, apiKey: env.ANTHROPIC_API_KEY, model: named ?? (env.ANTHROPIC_MODEL || null) };
  }
  if (env.OPENAI_API_KEY) {
    const baseUrl = versioned(env.OPENAI_BASE_URL || "https://api.openai.com");
    return { dialect: "openai", baseUrl, apiKey: env.OPENAI_API_KEY, model: named ?? (env.OPENAI_MODEL || null) };
  }
  return null;
}

/** Vendors disagree on whether a base address ends in the version; a bare host gets `/v1`, anything longer is taken as meant. */
function versioned(base: string): string {
  const trimmed = base.replace(/\/+$/, "");
  return /^https?:\/\/[^/]+$/.test(trimmed) ? `${trimmed}/v1` : trimmed;
}
