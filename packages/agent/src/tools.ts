/** The six things the agent can do on this machine, as the model sees them. */
import { listFiles, readLines, replaceText, search, type ToolResult, writeWhole } from "./files.ts";
import type { ToolOffer } from "./model.ts";
import { runShell } from "./shell.ts";

export type { ToolResult } from "./files.ts";

export interface ToolContext {
  cwd: string;
  signal: AbortSignal;
}
export interface Tool extends ToolOffer {
  /** One line for the screen: what this call does. */
  describe(input: Record<string, unknown>): string;
  run(input: Record<string, unknown>, context: ToolContext): Promise<ToolResult>;
}

const DEFAULT_SHELL_S = 120; // a test suite
const MAX_SHELL_S = 1_800; // a cold build; longer work belongs into the background

const text = { type: "string" };
const number = { type: "number" };

export const LOCAL_TOOLS: Tool[] = [
  {
    name: "shell",
    description:
      "Run a command line with /bin/sh in the working directory and read its output. No input, no terminal. " +
      `Ends after timeout_s seconds (default ${DEFAULT_SHELL_S}, at most ${MAX_SHELL_S}).`,
    schema: object({ command: text, timeout_s: number }, ["command"]),
    describe: (input) => String(input.command ?? ""),
    async run(input, { cwd, signal }) {
      const command = need(input, "command");
      const seconds = Math.min(typeof input.timeout_s === "number" ? input.timeout_s : DEFAULT_SHELL_S, MAX_SHELL_S);
      const result = await runShell({ command, cwd, signal, timeoutMs: seconds * 1_000 });
      const ended = result.timedOut
        ? `[ended after ${seconds} s]`
        : result.signal
          ? `[ended by ${result.signal}]`
          : result.code === 0
            ? ""
            : `[exit status ${result.code}]`;
      const said = [result.output.trimEnd(), ended].filter(Boolean).join("\n");
      return { text: said || "(no output)", ...(ended && { failed: true }) };
    },
  },
  {
    name: "read_file",
    description: "Read a text file, with line numbers. offset is the first line (1-based), limit the number of lines.",
    schema: object({ path: text, offset: number, limit: number }, ["path"]),
    describe: (input) => String(input.path ?? ""),
    run: async (input, { cwd }) => readLines(cwd, need(input, "path"), count(input.offset), count(input.limit)),
  },
  {
    name: "write_file",
    description: "Create a file or replace all of it. Folders are made as needed.",
    schema: object({ path: text, content: text }, ["path", "content"]),
    describe: (input) => String(input.path ?? ""),
    run: async (input, { cwd }) => writeWhole(cwd, need(input, "path"), need(input, "content", true)),
  },
  {
    name: "edit_file",
    description: "Replace old_text, which must occur exactly once, by new_text. With all, replace every occurrence.",
    schema: object({ path: text, old_text: text, new_text: text, all: { type: "boolean" } }, ["path", "old_text", "new_text"]),
    describe: (input) => String(input.path ?? ""),
    run: async (input, { cwd }) =>
      replaceText(cwd, need(input, "path"), need(input, "old_text", true), need(input, "new_text", true), input.all === true),
  },
  {
    name: "list_files",
    description: "List one folder.",
    schema: object({ path: text }, []),
    describe: (input) => String(input.path ?? "."),
    run: async (input, { cwd }) => listFiles(cwd, typeof input.path === "string" ? input.path : "."),
  },
  {
    name: "search",
    description: "Find lines that match a JavaScript regular expression, below path (default: everything), in files matching glob.",
    schema: object({ pattern: text, path: text, glob: text }, ["pattern"]),
    describe: (input) => String(input.pattern ?? ""),
    run: async (input, { cwd, signal }) =>
      search(
        cwd,
        need(input, "pattern"),
        typeof input.path === "string" ? input.path : ".",
        typeof input.glob === "string" ? input.glob : null,
        signal,
      ),
  },
];

/** Runs a call and turns everything that can go wrong into a result the model can read. An abort is not: it ends the turn. */
export async function runTool(tools: Tool[], name: string, input: Record<string, unknown>, context: ToolContext): Promise<ToolResult> {
  const tool = tools.find((one) => one.name === name);
  if (!tool) return { text: `There is no tool ${name}. There are: ${tools.map((one) => one.name).join(", ")}.`, failed: true };
  try {
    return await tool.run(input, context);
  } catch (error) {
    context.signal.throwIfAborted();
    return { text: error instanceof Error ? error.message : String(error), failed: true };
  }
}

function object(properties: Record<string, unknown>, required: string[]): Record<string, unknown> {
  return { type: "object", properties, required, additionalProperties: false };
}

function need(input: Record<string, unknown>, name: string, mayBeEmpty = false): string {
  const value = input[name];
  if (typeof value === "string" && (value !== "" || mayBeEmpty)) return value;
  throw new Error(`The argument ${name} is missing or not a string.`);
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 1 ? Math.floor(value) : undefined;
}
