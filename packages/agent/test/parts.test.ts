/** The pure parts of the agent: options, the line editor, the screen's arithmetic, exact edits, bounded output. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Editor } from "../src/editor.ts";
import { readLines, replaceText, search } from "../src/files.ts";
import { fit } from "../src/model.ts";
import { commandsIn } from "../src/offline.ts";
import { modelSettings } from "../src/options.ts";
import { chooseModel } from "../src/provider.ts";
import { sanitize, visible } from "../src/screen.ts";
import { MAX_OUTPUT, runShell } from "../src/shell.ts";
import { gone, scratch } from "./terminal.ts";

test("argus-agent: the model comes from its own variables first, then from the vendors'", () => {
  const table: [Record<string, string>, string | null, unknown][] = [
    [{}, null, null],
    [
      { ARGUS_AGENT_BASE_URL: "http://h:1/", ARGUS_AGENT_MODEL: "a", OPENAI_API_KEY: "x" },
      null,
      { dialect: "openai", baseUrl: "http://h:1/v1", apiKey: "", model: "a" },
    ],
    [{ ANTHROPIC_API_KEY: "k" }, "m", { dialect: "anthropic", baseUrl: "https://api.anthropic.com/v1", apiKey: "k", model: "m" }],
    [
      { OPENAI_API_KEY: "k", OPENAI_BASE_URL: "http://h/api/v3" },
      null,
      { dialect: "openai", baseUrl: "http://h/api/v3", apiKey: "k", model: null },
    ],
  ];
  for (const [env, named, expected] of table) assert.deepEqual(modelSettings(env, named), expected);
  assert.equal(chooseModel(["text-embedding-3", "gpt-5", "gpt-5.2", "gpt-5.2-mini"]), "gpt-5.2");
  assert.equal(chooseModel(["qwen3:8b"]), "qwen3:8b");
});

test("argus-agent: commands are found in a prompt only where it spells them out", () => {
  const table: [string, string[]][] = [
    ["fix the $PATH handling", []],
    ["$ npm test\nthen\n  $ git status", ["npm test", "git status"]],
    ["```sh\ncd src\nls\n```\n```ts\nlet a = 1\n```", ["cd src\nls"]],
    ["```console\n$ make\nok\n```", ["make"]],
  ];
  for (const [prompt, expected] of table) assert.deepEqual(commandsIn(prompt), expected);
});

test("argus-agent: the editor keeps pastes, sequences and characters whole however their bytes are cut", () => {
  const input = "ab\x1b[D\x1b[200~x\ry\x1b[201~\u{1f600}\x7f\x1b]11;rgb:0/0/0\x07\x1b[?1;2c!\r";
  for (let cut = 1; cut < input.length; cut++) {
    const editor = new Editor();
    const events = [...editor.feed(input.slice(0, cut)), ...editor.feed(input.slice(cut))];
    const submitted = events.filter((event) => event.kind === "submit").map((event) => event.text);
    // a surrogate pair is never cut: the terminal's bytes are decoded before they come here
    if (input.charCodeAt(cut) < 0xdc00 || input.charCodeAt(cut) > 0xdfff) assert.deepEqual(submitted, ["ax\ny!b"], `cut at ${cut}`);
  }
});

test("argus-agent: the prompt line never wraps, wide characters included", () => {
  assert.deepEqual(visible("abcdef", 6, 4), { shown: "cdef", cursor: 4 });
  assert.deepEqual(visible("漢字漢字", 4, 5), { shown: "漢字", cursor: 4 });
  assert.deepEqual(visible("abc", 0, 10), { shown: "abc", cursor: 0 });
});

test("argus-agent: what programs print cannot steer the terminal", () => {
  assert.equal(sanitize("a\x1b[2Jb\x1b]0;evil\x07c\x9b31md\r\ne\rf\x07"), "abcd\nef");
});

test("argus-agent: an edit is exact, refuses what is ambiguous, and takes replacement patterns as text", async () => {
  using where = scratch();
  const file = path.join(where.cwd, "a.txt");
  writeFileSync(file, "one two one\n");
  assert.match((await replaceText(where.cwd, "a.txt", "one", "x", false)).text, /occurs 2 times/);
  assert.match((await replaceText(where.cwd, "a.txt", "three", "x", false)).text, /not found/);
  await replaceText(where.cwd, "a.txt", "two", "$& $1", false);
  assert.equal(readFileSync(file, "utf8"), "one $& $1 one\n");
  assert.equal((await readLines(where.cwd, "a.txt")).text, "1\tone $& $1 one");
  assert.equal((await search(where.cwd, "\\$1", ".", "*.txt", new AbortController().signal)).text, "a.txt:1: one $& $1 one");
});

test("argus-agent: long output keeps its beginning and its end, and a time limit ends the whole group", async () => {
  const signal = new AbortController().signal;
  const long = await runShell({ command: "echo FIRST; seq 100000; echo LAST", cwd: "/", timeoutMs: 60_000, signal });
  assert.ok(long.output.length < MAX_OUTPUT + 100);
  assert.match(long.output, /^FIRST\n[\s\S]*characters left out[\s\S]*LAST\n$/);
  const slow = await runShell({ command: "sleep 600 & echo $!; wait", cwd: "/", timeoutMs: 300, signal });
  assert.equal(slow.timedOut, true);
  await gone(Number(slow.output));
});

test("argus-agent: secrets of the agent are not in the environment of the commands it runs", async () => {
  process.env.ARGUS_MCP_TOKEN = "secret-token";
  try {
    const { output } = await runShell({ command: "env", cwd: "/", timeoutMs: 60_000, signal: new AbortController().signal });
    assert.ok(!output.includes("secret-token"));
  } finally {
    delete process.env.ARGUS_MCP_TOKEN;
  }
});

test("argus-agent: a conversation too long for the model loses its oldest tool outputs and nothing anybody said", () => {
  const old = { role: "tool", callId: "1", name: "shell", text: "x".repeat(5_000) } as const;
  const recent = { ...old, callId: "2" };
  const user = { role: "user", text: "y".repeat(5_000) } as const;
  const cut = fit([user, old, recent], 11_000);
  assert.deepEqual([cut[0], cut[2]], [user, recent]);
  assert.match(cut[1]?.text ?? "", /removed to stay within/);
});
