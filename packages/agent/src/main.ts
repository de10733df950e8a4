#!/usr/bin/env node
/** Starts the agent: options, session, model, then a terminal or one printed answer. */
import { Conversation } from "./conversation.ts";
import { exitStatusOf, failure, sentenceOf } from "./failure.ts";
import type { Agent } from "./interactive.ts";
import { offlineModel } from "./offline.ts";
import { type Options, readOptions, USAGE } from "./options.ts";
import { endBackground } from "./shell.ts";

const SIGNAL_STATUS = { SIGTERM: 143, SIGHUP: 129, SIGINT: 130 } as const;

async function main(): Promise<number> {
  const options = await readOptions(process.argv.slice(2), process.env, process.cwd());
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const inTerminal = process.stdin.isTTY && process.stdout.isTTY && !options.print;
  const prompt = inTerminal ? options.prompt : await promptOf(options);
  const model = await openModel(options); // first: a session that could not start must not take its id
  const agent: Agent = { options, model, conversation: await openConversation(options) };
  if (inTerminal) {
    const { runInteractive } = await import("./interactive.ts");
    return runInteractive(agent, process.stdin, process.stdout);
  }
  const { runPrint } = await import("./print.ts");
  return runPrint(agent, prompt as string, new AbortController().signal);
}

/** Outside a terminal the prompt may come from standard input. */
async function promptOf(options: Options): Promise<string> {
  if (options.prompt) return options.prompt;
  if (process.stdin.isTTY) throw await failure("INVALID_INPUT", 'There is no prompt. Give one: argus-agent -p "what to do".');
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString("utf8").trim();
  if (!text)
    throw await failure(
      "INVALID_INPUT",
      'Standard input is no terminal and holds no prompt. Use a terminal, or argus-agent -p "what to do".',
    );
  return text;
}

function openConversation({ session, home, cwd }: Options): Promise<Conversation> {
  if (session.kind === "resume") return Conversation.resume(home, session.id);
  return Conversation.create(home, cwd, session.id ?? undefined);
}

async function openModel(options: Options) {
  if (!options.model) return offlineModel();
  const { openProvider } = await import("./provider.ts");
  return openProvider(options.model);
}

for (const [signal, status] of Object.entries(SIGNAL_STATUS)) {
  process.on(signal, () => {
    endBackground();
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.exit(status);
  });
}
try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`argus-agent: ${sentenceOf(error)}\n`);
  process.exitCode = await exitStatusOf(error);
}
endBackground();
process.exit();
