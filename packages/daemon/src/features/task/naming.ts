/** Gives a task that was created without a name a short one, in the background; a person's own name always wins. */
import { randomInt } from "node:crypto";
import type { Node } from "@argus/runner";
import type { Log } from "../../kernel/log.ts";
import type { TaskRow } from "./tables.ts";
import type { Tasks } from "./tasks.ts";
import { ADJECTIVES, NOUNS, STOP_WORDS } from "./words.ts";

const LONGEST = 30;
const TIME_LIMIT_MS = 30_000;
/** A name is not worth more, and a runaway call must not cost more. */
const CEILING_USD = "0.01";
/** The beginning says what a task is about. */
const SHOWN_PROMPT = 4000;
const FALLBACK_WORDS = 4;
const WISH =
  "Answer with a name for the task that the user describes: two to four lower-case words joined by hyphens, at most 30 characters, nothing else.";

/** One small call without tools, settings, project files or history. */
const COMMAND = [
  "claude",
  "-p",
  "--model",
  "haiku",
  "--tools",
  "",
  "--strict-mcp-config",
  "--disable-slash-commands",
  "--setting-sources",
  "",
  "--no-session-persistence",
  "--system-prompt",
  WISH,
  "--output-format",
  "text",
  "--max-budget-usd",
  CEILING_USD,
];

export class Naming {
  #node: Node;
  #tasks: Tasks;
  #log: Log;
  #stopping = new AbortController();
  /** One after the other: a plan of fifty tasks must not start fifty programs. */
  #tail: Promise<void> = Promise.resolve();

  constructor(node: Node, tasks: Tasks, log: Log) {
    this.#node = node;
    this.#tasks = tasks;
    this.#log = log;
  }

  /** Returns at once. */
  name(row: TaskRow): void {
    this.#tail = this.#tail.then(() => this.#name(row)).catch((err) => this.#log.warn({ err, task: row.id }, "task not named"));
  }

  /** Resolves when everything asked for so far is named. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#tail;
  }

  async #name(row: TaskRow): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const wanted = (await this.#ask(row.prompt)) ?? fallbackSlug(row.prompt);
    if (this.#stopping.signal.aborted) return;
    await this.#tasks.renameIf(row.id, row.name, wanted);
  }

  async #ask(prompt: string): Promise<string | null> {
    if (!(await this.#node.processes.which("claude"))) return null;
    const answer = await this.#node.processes
      .run(COMMAND, { input: prompt.slice(0, SHOWN_PROMPT), timeoutMs: TIME_LIMIT_MS, maxBytes: 4096, signal: this.#stopping.signal })
      .catch(() => null);
    return answer?.code === 0 ? acceptableName(answer.stdout) : null;
  }
}

/** Without the quotes and full stops that models like to add; null unless what is left is a plain short slug (TASK-07). */
export function acceptableName(text: string): string | null {
  const name = text.replace(/^[\s"'`.,:;!?*]+|[\s"'`.,:;!?*]+$/g, "");
  return name.length <= LONGEST && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(name) ? name : null;
}

/** TASK-08: the first four words that mean something; three random ones when none does. */
export function fallbackSlug(prompt: string, pick: (count: number) => number = randomInt): string {
  const words = prompt
    .toLowerCase()
    .replace(/['’]/g, "")
    .split(/[^a-z0-9]+/)
    .filter((word) => word.length > 1 && !STOP_WORDS.has(word))
    .slice(0, FALLBACK_WORDS);
  while (words.length > 1 && words.join("-").length > LONGEST) words.pop();
  const slug = words.join("-").slice(0, LONGEST);
  if (slug) return slug;
  const one = (list: readonly string[]) => list[pick(list.length)] as string;
  return [one(ADJECTIVES), one(NOUNS), one(NOUNS)].join("-");
}
