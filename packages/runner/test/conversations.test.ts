import assert from "node:assert/strict";
import { utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { conversations } from "../src/conversations.ts";
import { scratch, write } from "./scratch.ts";

const CWD = "/home/me/.argus/worktrees/my project/fix_it";
const lines = (...values: unknown[]) => `${values.map((value) => JSON.stringify(value)).join("\n")}\n`;
const id = (digit: number) => `${String(digit).repeat(8)}-aaaa-4bbb-8ccc-${"0".repeat(12)}`;
const at = (path: string, seconds: number) => utimesSync(path, seconds, seconds);
const short = (list: { id: string; title: string; updatedAt: number }[]) => list.map(({ id, title, updatedAt }) => [id, title, updatedAt]);

test("conversations: Claude's conversations of a folder come newest first, titled by summary or first words, and touching one makes it the newest", async () => {
  using home = scratch();
  const folder = join(home.path, ".claude/projects/-home-me--argus-worktrees-my-project-fix-it");
  const user = (content: unknown, more = {}) => ({ type: "user", isSidechain: false, message: { role: "user", content }, ...more });
  const transcripts: [number, string][] = [
    [
      1,
      lines(
        { type: "mode" },
        user("<command-name>/clear</command-name>"),
        user("x", { isMeta: true }),
        user([
          { type: "tool_result", content: "no" },
          { type: "text", text: "Fix\n the   login" },
        ]),
      ),
    ],
    [2, lines(user("first words"), { type: "summary", summary: "Login repaired", leafUuid: "x" })],
    [3, `${lines(user("a".repeat(300)))}{"type":"user","message":{"con`],
    [4, lines({ type: "user", isSidechain: true, message: { content: "a sub-agent" } })],
  ];
  for (const [number, text] of transcripts) {
    write(join(folder, `${id(number)}.jsonl`), text);
    at(join(folder, `${id(number)}.jsonl`), number * 100);
  }
  write(join(folder, "notes.txt"), "x");
  write(join(folder, "empty.jsonl"), "");
  const list = () => conversations.list("claude", CWD, home.path);
  assert.deepEqual(short(await list()), [
    [id(3), `${"a".repeat(119)}…`, 300_000],
    [id(2), "Login repaired", 200_000],
    [id(1), "Fix the login", 100_000],
  ]);
  const oldest = (await list()).at(-1);
  await conversations.touch(oldest ?? assert.fail());
  assert.equal((await list())[0]?.id, id(1));
});

function codexTable(home: string, rows: { id: string; cwd: string; at: number; name?: string; archived?: number; source?: string }[]) {
  write(join(home, ".codex/state_4.sqlite"), "not a database");
  write(join(home, ".codex/state_12.sqlite"), "");
  const database = new DatabaseSync(join(home, ".codex/state_12.sqlite"));
  database.exec(
    "pragma journal_mode=wal; create table threads (id text primary key, rollout_path text, cwd text, title text, name text, updated_at integer, archived integer default 0, thread_source text)",
  );
  const insert = database.prepare("insert into threads values (?, ?, ?, ?, ?, ?, ?, ?)");
  for (const row of rows)
    insert.run(row.id, `/x/${row.id}.jsonl`, row.cwd, "first words", row.name ?? null, row.at, row.archived ?? 0, row.source ?? "user");
  return database;
}

test("SESSION-13: codex's threads of a folder come from the newest state table, newest first, also while codex has it open", async () => {
  using home = scratch();
  using _ = codexTable(home.path, [
    { id: id(1), cwd: CWD, at: 100, name: "Named" },
    { id: id(2), cwd: CWD, at: 300 },
    { id: id(3), cwd: "/elsewhere", at: 900 },
    { id: id(4), cwd: CWD, at: 900, archived: 1 },
    { id: id(5), cwd: CWD, at: 900, source: "subagent" },
    { id: "'; drop table threads", cwd: CWD, at: 900 },
  ]);
  const found = await conversations.list("codex", CWD, home.path);
  assert.deepEqual(short(found), [
    [id(2), "first words", 300_000],
    [id(1), "Named", 100_000],
  ]);
  assert.equal(found[0]?.file, `/x/${id(2)}.jsonl`);
});

test("SESSION-13: without a table codex's transcripts are read, by the folder in their first line", async () => {
  using home = scratch();
  const meta = (number: number, cwd: string) => ({
    type: "session_meta",
    payload: { id: id(number), cwd, base_instructions: { text: "x".repeat(30_000) } },
  });
  const said = (words: string) => ({
    type: "response_item",
    payload: { type: "message", role: "user", content: [{ type: "input_text", text: words }] },
  });
  const rollout = (day: string, number: number, text: string) => {
    const path = join(home.path, `.codex/sessions/2026/11/${day}/rollout-2026-11-${day}T10-00-00-${id(number)}.jsonl`);
    write(path, text);
    at(path, number * 100);
    return path;
  };
  rollout("01", 1, lines(meta(1, CWD), said("<environment_context>x</environment_context>"), said("old one")));
  rollout("02", 2, lines(meta(2, "/elsewhere"), said("other")));
  const newest = rollout("03", 3, lines(meta(3, CWD), { type: "event_msg", payload: { type: "user_message", message: "new one" } }));
  rollout("04", 4, "broken");
  const found = await conversations.list("codex", CWD, home.path);
  assert.deepEqual(short(found), [
    [id(3), "new one", 300_000],
    [id(1), "old one", 100_000],
  ]);
  assert.equal(found[0]?.file, newest);
});

test("SESSION-14: pi's sessions of a folder come newest first, with the id in their first line", async () => {
  using home = scratch();
  const folder = join(home.path, ".pi/agent/sessions/--home-me-.argus-worktrees-my project-fix_it--");
  const session = (name: string, seconds: number, words: string, ...more: unknown[]) => {
    const path = join(folder, `2026-11-21T14-05-58-977Z_${name}.jsonl`);
    const message = (role: string, text: string) => ({ type: "message", message: { role, content: [{ type: "text", text }] } });
    write(path, lines({ type: "session", version: 3, id: name, cwd: CWD }, message("system", "you are"), message("user", words), ...more));
    at(path, seconds);
  };
  session(id(1), 100, "first");
  session("chosen-id", 200, "second", { type: "session_info", name: "Named" });
  assert.deepEqual(short(await conversations.list("pi", CWD, home.path)), [
    ["chosen-id", "Named", 200_000],
    [id(1), "first", 100_000],
  ]);
});

test("SESSION-14: opencode's sessions come from its database, or from the files of older versions", async () => {
  using home = scratch();
  const root = join(home.path, ".local/share/opencode");
  const session = (name: string, directory: string, updated: number, more = {}) =>
    write(
      join(root, "storage/session/p1", `${name}.json`),
      JSON.stringify({ id: name, title: name, directory, time: { updated }, ...more }),
    );
  session("ses_1", CWD, 1_700_000_000_000);
  session("ses_2", CWD, 1_700_000_001_000);
  session("ses_3", CWD, 1_700_000_002_000, { parentID: "ses_2" });
  session("ses_4", "/elsewhere", 1_700_000_003_000);
  assert.deepEqual(
    (await conversations.list("opencode", CWD, home.path)).map(({ id }) => id),
    ["ses_2", "ses_1"],
  );
  using database = new DatabaseSync(join(root, "opencode.db"));
  database.exec("create table session (id text, directory text, title text, parent_id text, time_updated integer)");
  database.prepare("insert into session values ('ses_9', ?, 'Title', null, 1700000004000)").run(CWD);
  assert.deepEqual(short(await conversations.list("opencode", CWD, home.path)), [["ses_9", "Title", 1_700_000_004_000]]);
});

test("conversations: missing, broken and unknown stores give nothing and never an error", async () => {
  using home = scratch();
  write(join(home.path, ".codex/state_5.sqlite"), "not a database");
  write(join(home.path, ".claude/projects"), "a file");
  write(join(home.path, ".pi/agent/sessions/--home-me-.argus-worktrees-my project-fix_it--/x.jsonl/y"), "");
  for (const store of ["claude", "codex", "pi", "opencode", "__proto__", "nothing"])
    assert.deepEqual(await conversations.list(store as "claude", CWD, home.path), []);
});
