/** What the user can ask without a model: run a command, show a file, the changes, the state. */
import { readLines } from "./files.ts";
import type { Agent } from "./interactive.ts";
import type { Screen } from "./screen.ts";
import { runShell } from "./shell.ts";

export interface CommandContext {
  agent: Agent;
  screen: Screen;
  signal: AbortSignal;
}

const HELP = `$ <command>       run a command here (also ! <command>, /run <command>)
/read <file>      show a file
/diff             what changed since the last commit, new files included
/status           model, session, folder
/help             this
/exit             quit (also Ctrl-D, or Ctrl-C twice)
Ctrl-C interrupts what is running. Alt-Enter starts a new line. Everything else you type is for the model.`;
const BY_HAND_MS = 30 * 60_000; // the user is watching and has Ctrl-C
const TOLD_CHARACTERS = 4_000; // of a hand-run command's output that the model hears about
// `git add -N` would touch the index, so new files are shown one by one against nothing.
const DIFF =
  "git --no-pager diff --stat --patch HEAD -- . 2>/dev/null || git --no-pager diff --stat --patch -- .; " +
  'git ls-files --others --exclude-standard -z | xargs -0 -r -I{} git --no-pager diff --no-index -- /dev/null "{}"; true';

/** `done` when the text was a command, `exit` when it asked to end, `prompt` when it is for the model. */
export async function runCommand(said: string, context: CommandContext): Promise<"done" | "exit" | "prompt"> {
  const { screen, agent } = context;
  const text = said.trim();
  const direct = /^(?:[$!] ?|\/run )([^\n]+)$/.exec(text)?.[1];
  if (direct) {
    await byHand(direct.trim(), context);
    return "done";
  }
  const [word, ...rest] = text.split(/\s+/);
  switch (word) {
    case "/exit":
    case "/quit":
      return "exit";
    case "/help":
      for (const line of HELP.split("\n")) screen.line(line);
      return "done";
    case "/read": {
      const { text: content, failed } = await readLines(agent.options.cwd, rest.join(" ") || ".");
      screen.line(content, failed ? "red" : undefined);
      return "done";
    }
    case "/diff": {
      const { output } = await runShell({ command: DIFF, cwd: agent.options.cwd, timeoutMs: BY_HAND_MS, signal: context.signal });
      screen.line(output.trimEnd() || "Nothing changed.");
      return "done";
    }
    case "/status":
      for (const line of statusOf(agent)) screen.line(line);
      return "done";
  }
  if (/^\/[a-z]+$/.test(text)) {
    screen.line(`There is no command ${text}. /help lists them.`, "red");
    return "done";
  }
  return "prompt";
}

async function byHand(command: string, { agent, screen, signal }: CommandContext): Promise<void> {
  screen.tool("shell", command);
  const result = await runShell({
    command,
    cwd: agent.options.cwd,
    timeoutMs: BY_HAND_MS,
    signal,
    onOutput: (text) => screen.text(text),
  });
  screen.freshLine();
  const ended = result.signal ?? result.code;
  if (ended !== 0) screen.line(`[${result.signal ? `ended by ${ended}` : `exit status ${ended}`}]`, "red");
  const heard = result.output.slice(-TOLD_CHARACTERS);
  agent.conversation.append({
    role: "user",
    ran: true,
    text: `I ran \`${command}\` myself; it ended with ${ended} and printed:\n${heard}`,
  });
}

function statusOf({ options, conversation, model }: Agent): string[] {
  const used = conversation.messages.reduce(
    (sum, message) => {
      const usage = message.role === "assistant" ? message.usage : undefined;
      return { input: sum.input + (usage?.input ?? 0), output: sum.output + (usage?.output ?? 0) };
    },
    { input: 0, output: 0 },
  );
  return [
    `model     ${model.offline ? "none configured (argus-agent --help says how)" : `${model.name} at ${options.model?.baseUrl}`}`,
    `session   ${conversation.id}, ${conversation.messages.length} messages, ${used.input} tokens in, ${used.output} out`,
    `file      ${conversation.file}`,
    `folder    ${options.cwd}`,
    `mcp       ${options.mcp?.url ?? "none"}`,
  ];
}
