/** The agent in a terminal: reads prompts, shows turns, and is quiet when it waits. */
import { runCommand } from "./commands.ts";
import type { Conversation } from "./conversation.ts";
import { Editor } from "./editor.ts";
import { sentenceOf } from "./failure.ts";
import { connectMcp } from "./mcp.ts";
import type { ModelClient } from "./model.ts";
import type { Options } from "./options.ts";
import { Screen } from "./screen.ts";
import { LOCAL_TOOLS, type Tool } from "./tools.ts";
import { runTurn, type TurnEvents } from "./turn.ts";

export interface Agent {
  options: Options;
  conversation: Conversation;
  model: ModelClient;
}

// While a turn runs the title is repeated: an outer program that watches for silence sees that we are not waiting for it.
const HEARTBEAT_MS = 1_000;
const SHOWN_LINES = 20; // of a tool's output; all of it is in the session file
const SHOWN_MESSAGES = 6; // of a resumed conversation

/** Runs until the user ends it; resolves with the exit status. */
export async function runInteractive(agent: Agent, stdin: NodeJS.ReadStream, stdout: NodeJS.WriteStream): Promise<number> {
  const { options, conversation, model } = agent;
  const screen = new Screen(stdout, process.env);
  const editor = new Editor();
  const queue: string[] = options.prompt ? [options.prompt] : [];
  let running: AbortController | null = null;
  let quitting = false; // one Ctrl-C was pressed and nothing since
  let ended = false;
  let wake = () => {};
  let tools: Tool[] | null = null;

  const quit = () => {
    ended = true;
    running?.abort(new Error("The user ended the agent."));
    wake();
  };
  const onData = (chunk: string) => {
    for (const event of editor.feed(chunk)) {
      if (event.kind !== "interrupt" && event.kind !== "changed") quitting = false;
      if (event.kind === "interrupt") {
        if (quitting) return quit();
        quitting = true;
        if (running) {
          running.abort(new Error("The user interrupted."));
        } else if (editor.text) {
          editor.clear();
          quitting = false;
        } else {
          screen.hidePrompt();
          screen.line("Press Ctrl-C again to quit.", "dim");
        }
      } else if (event.kind === "end") {
        return quit();
      } else if (event.kind === "clear") {
        if (!running) screen.clear();
      } else if (event.kind === "submit" && (event.text.trim() || (conversation.cutOff && !running))) {
        queue.push(event.text);
        if (running) screen.line(`queued: ${event.text}`, "dim");
        else screen.hidePrompt(event.text);
        wake();
      }
    }
    if (chunk !== "\x03") quitting = false;
    if (!running && !ended && queue.length === 0) screen.prompt(editor);
  };
  const onResize = () => {
    if (!running && !ended) screen.prompt(editor);
  };

  stdin.setEncoding("utf8");
  stdin.setRawMode?.(true);
  stdin.on("data", onData);
  stdin.once("end", quit);
  stdout.on("resize", onResize);
  screen.open();
  screen.line(`argus-agent · ${model.offline ? "no model configured" : model.name} · ${options.cwd}`, "dim");
  if (options.session.kind === "resume") showHistory(screen, conversation);
  else if (!options.prompt)
    screen.line(model.offline ? "I can run commands you type: $ ls, or /help." : "Say what to do, or /help.", "dim");
  if (queue[0] !== undefined) screen.hidePrompt(queue[0]);

  const inTurn = async (work: (signal: AbortSignal) => Promise<void>) => {
    const abort = new AbortController();
    running = abort;
    screen.title("argus-agent: working");
    const beat = setInterval(() => screen.title("argus-agent: working"), HEARTBEAT_MS);
    try {
      await work(abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) screen.line(`✕ ${sentenceOf(error)}`, "red");
    } finally {
      clearInterval(beat);
      running = null;
      if (abort.signal.aborted && !ended) screen.line("Interrupted.", "dim");
    }
  };

  try {
    while (!ended) {
      const said = queue.shift();
      if (said === undefined) {
        screen.title("argus-agent: waiting");
        screen.prompt(editor);
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length || ended) resolve();
        });
        wake = () => {};
        continue;
      }
      await inTurn(async (signal) => {
        const command = await runCommand(said, { agent, screen, signal });
        if (command === "exit") return quit();
        if (command === "done") return;
        if (said.trim()) conversation.append({ role: "user", text: said });
        conversation.cutOff = false;
        tools ??= [...LOCAL_TOOLS, ...(await mcpTools(options, screen, signal))];
        const end = await runTurn({ conversation, model, tools, cwd: options.cwd, signal, events: eventsOn(screen) });
        if (end === "too-many-steps")
          screen.line('I stopped: that took more steps than one turn may have. Say "go on" if it should continue.', "dim");
      });
    }
  } finally {
    stdin.off("data", onData);
    stdout.off("resize", onResize);
    screen.close();
    stdin.setRawMode?.(false);
    stdin.pause();
  }
  return 0;
}

/** The tools of the configured MCP server; without it the agent goes on and says so. */
async function mcpTools(options: Options, screen: Screen, signal: AbortSignal): Promise<Tool[]> {
  if (!options.mcp) return [];
  try {
    return await connectMcp(
      options.mcp,
      LOCAL_TOOLS.map((tool) => tool.name),
      signal,
    );
  } catch (error) {
    signal.throwIfAborted();
    screen.line(`The MCP server's tools are missing this time: ${sentenceOf(error)}`, "dim");
    return [];
  }
}

function eventsOn(screen: Screen): TurnEvents {
  return {
    text: (delta) => screen.text(delta),
    textEnd: () => screen.freshLine(),
    toolStart: (call, about) => screen.tool(call.name, about),
    toolEnd: (call, result) => showResult(screen, call.name, result.text, result.failed === true),
  };
}

function showResult(screen: Screen, name: string, text: string, failed: boolean): void {
  const lines = text.trimEnd().split("\n");
  // What a file holds is not news to its owner; what a command printed is.
  const wanted = name === "shell" || failed ? SHOWN_LINES : 1;
  const shown = name === "read_file" && !failed ? [`${lines.length} lines`] : lines.slice(-wanted);
  if (lines.length > shown.length && name === "shell") screen.line(`  … ${lines.length - shown.length} lines above`, "dim");
  for (const line of shown) screen.line(`  ${line}`, failed ? "red" : "dim");
}

function showHistory(screen: Screen, conversation: Conversation): void {
  screen.line(`Resumed ${conversation.id} (${conversation.messages.length} messages).`, "dim");
  for (const message of conversation.messages.slice(-SHOWN_MESSAGES)) {
    if (message.role === "user") screen.line(`› ${message.text}`, "bold");
    else if (message.role === "tool") showResult(screen, message.name, message.text, message.failed === true);
    else {
      if (message.text) screen.line(message.text);
      for (const call of message.calls) screen.tool(call.name, String(call.input.command ?? call.input.path ?? ""));
    }
  }
  if (conversation.cutOff) screen.line("The last turn was cut off. Press Enter to go on with it, or say something else.", "dim");
}
