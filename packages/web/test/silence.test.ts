/** The page's terminal asks nobody and answers nobody: the server's terminal answers an agent's questions once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import headless from "@xterm/headless";
import { isColourQuery, silenceQueries } from "../src/terminal/silence.ts";

const QUESTIONS = {
  "what are you": "\x1b[c\x1b[0c\x1b[>c\x1b[=c\x1b[>q",
  "where is the cursor": "\x1b[6n\x1b[5n\x1b[?6n\x1b[?996n",
  "which modes": "\x1b[4$p\x1b[?2026$p\x1b[?u",
  "which colours": "\x1b]4;1;?\x07\x1b]10;?\x1b\\\x1b]11;?\x07\x1b]12;?\x07",
  settings: "\x1bP$qm\x1b\\\x1bP+q544e\x1b\\",
  "how large": "\x1b[14t\x1b[16t\x1b[18t",
};

async function replies(silent: boolean, text: string): Promise<{ said: string; row: string }> {
  const terminal = new headless.Terminal({ allowProposedApi: true, cols: 40, rows: 5, windowOptions: { getWinSizeChars: true } });
  let said = "";
  terminal.onData((data) => (said += data));
  if (silent) silenceQueries(terminal.parser);
  await new Promise<void>((resolve) => terminal.write(`before ${text}after`, resolve));
  const row = terminal.buffer.active.getLine(0)?.translateToString(true) ?? "";
  terminal.dispose();
  return { said, row };
}

test("no question of an agent is answered by a viewer, and none leaves a trace on the screen", async () => {
  const talkative = await replies(false, Object.values(QUESTIONS).join(""));
  assert.notEqual(talkative.said, "", "without the silence this terminal answers");
  for (const [what, text] of Object.entries(QUESTIONS))
    assert.deepEqual(await replies(true, text), { said: "", row: "before after" }, what);
});

test("what changes the terminal still works, and what a person types passes", async () => {
  const terminal = new headless.Terminal({ allowProposedApi: true, cols: 20, rows: 5 });
  silenceQueries(terminal.parser);
  const typed: string[] = [];
  terminal.onData((data) => typed.push(data));
  await new Promise<void>((resolve) => terminal.write("\x1b]0;title\x07\x1b[2;3Hx\x1b[?1h\x1b]11;#112233\x07", resolve));
  terminal.input("a");
  assert.deepEqual(
    [terminal.buffer.active.getLine(1)?.translateToString(true), terminal.modes.applicationCursorKeysMode, typed],
    ["  x", true, ["a"]],
  );
  terminal.dispose();
});

test("a question mark asks for a colour only where a value would stand", () => {
  assert.deepEqual(["?", "1;?", "?;?", "1;#fff", "rgb:1/2/3", "what?"].map(isColourQuery), [true, true, true, false, false, false]);
});
