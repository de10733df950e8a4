/** The model of someone who has none: it runs the commands a prompt spells out, and says plainly that it cannot think. */
import type { Message } from "./conversation.ts";
import type { ModelClient, Step } from "./model.ts";

const NO_MODEL = `No model is configured, so I cannot think for you. I can run commands you type:

  $ ls              runs a command (so does ! ls, or /run ls)
  /read README.md   shows a file
  /diff             shows what changed here
  /help             lists the rest

A prompt whose lines start with "$ ", or that has a fenced sh block, is run line by line.
To give me a model, set ARGUS_AGENT_BASE_URL, ANTHROPIC_API_KEY or OPENAI_API_KEY and start me again (argus-agent --help).`;

export function offlineModel(): ModelClient {
  return {
    name: "offline",
    offline: true,
    async step({ messages, signal, onText }): Promise<Step> {
      signal.throwIfAborted();
      const step = nextStep(messages);
      onText(step.text);
      return step;
    },
  };
}

/** One command at a time: the next one is asked for when the one before succeeded. */
function nextStep(messages: Message[]): Step {
  const at = messages.findLastIndex((message) => message.role === "user" && message.ran !== true);
  const commands = commandsIn(messages[at]?.text ?? "");
  const results = messages.slice(at + 1).filter((message) => message.role === "tool");
  const failed = results.find((result) => result.failed);
  if (failed) return { text: `\`${commands[results.length - 1]}\` failed, so I stopped there.`, calls: [] };
  const command = commands[results.length];
  if (command === undefined) {
    if (commands.length === 0) return { text: NO_MODEL, calls: [] };
    return {
      text: `Ran ${commands.length === 1 ? "the command" : `all ${commands.length} commands`}. /diff shows what changed.`,
      calls: [],
    };
  }
  const text = results.length ? "" : "No model is configured; I run the commands of your prompt as they stand.";
  return { text, calls: [{ id: `offline-${at}-${results.length}`, name: "shell", input: { command } }] };
}

/** Commands spelled out in a prompt: lines after `$ `, and fenced blocks of a shell (whole, as one script; of a console, its `$ ` lines). */
export function commandsIn(prompt: string): string[] {
  const commands: string[] = [];
  let fence: { shell: boolean; lines: string[] } | null = null;
  for (const line of prompt.split("\n")) {
    const mark = /^\s*```\s*([A-Za-z]*)/.exec(line);
    if (mark && fence) {
      if (fence.shell && fence.lines.join("\n").trim()) commands.push(fence.lines.join("\n").trim());
      fence = null;
    } else if (mark) {
      fence = { shell: /^(sh|bash|shell|zsh)$/i.test(mark[1] ?? ""), lines: [] };
    } else if (fence?.shell) {
      fence.lines.push(line.replace(/^\s*\$ /, ""));
    } else {
      const command = /^\s*\$ (.*\S)/.exec(line)?.[1];
      if (command) commands.push(command);
    }
  }
  return commands;
}
