/** Print mode: one prompt, the answer on standard output, what was done on standard error, for scripts. */
import { sentenceOf } from "./failure.ts";
import type { Agent } from "./interactive.ts";
import { connectMcp } from "./mcp.ts";
import { sanitize } from "./screen.ts";
import { LOCAL_TOOLS } from "./tools.ts";
import { runTurn } from "./turn.ts";

const INTERRUPTED_STATUS = 130; // what shells report for Ctrl-C
const GAVE_UP_STATUS = 1;

/** Resolves with the exit status; rejects when the model cannot be asked. */
export async function runPrint(agent: Agent, prompt: string, signal: AbortSignal): Promise<number> {
  const { options, conversation, model } = agent;
  const tell = (line: string) => process.stderr.write(`${sanitize(line)}\n`);
  const extra = options.mcp
    ? await connectMcp(
        options.mcp,
        LOCAL_TOOLS.map((tool) => tool.name),
        signal,
      ).catch((error) => {
        tell(`The MCP server's tools are missing this time: ${sentenceOf(error)}`);
        return [];
      })
    : [];
  conversation.append({ role: "user", text: prompt });
  const end = await runTurn({
    conversation,
    model,
    tools: [...LOCAL_TOOLS, ...extra],
    cwd: options.cwd,
    signal,
    events: {
      text: (delta) => process.stdout.write(delta),
      textEnd: () => process.stdout.write("\n"),
      toolStart: (call, about) => tell(`● ${call.name} ${about.split("\n")[0]}`),
      toolEnd: (_call, result) => {
        if (result.failed) tell(result.text);
      },
    },
  });
  if (end === "interrupted") return INTERRUPTED_STATUS;
  if (end === "too-many-steps") tell("I stopped: that took more steps than one turn may have.");
  return end === "done" ? 0 : GAVE_UP_STATUS;
}
