/** The names of tasks that were given none. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { acceptableName, fallbackSlug } from "../src/features/task/naming.ts";
import { STOP_WORDS } from "../src/features/task/words.ts";
import { type Host, startHost } from "../src/host.ts";
import { create, git, look, program } from "./scratch.ts";

/** Records how it was called (arguments, folder, input) and answers what stands in `<home>/answer`. */
const CLAUDE = `#!/usr/bin/env node
const fs = require("node:fs");
const home = process.env.HOME + "/..";
fs.appendFileSync(home + "/calls", JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), files: fs.readdirSync("."), input: fs.readFileSync(0, "utf8") }) + "\\n");
(function wait() { fs.existsSync(home + "/answer") ? process.stdout.write(fs.readFileSync(home + "/answer", "utf8")) : setTimeout(wait, 20); })();
`;

const calls = (host: Host) =>
  fs
    .readFileSync(path.join(host.home, "calls"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { args: string[]; cwd: string; files: string[]; input: string });
const answer = (host: Host, text: string) => fs.writeFileSync(path.join(host.home, "answer"), text);

test("TASK-06: one small claude call without tools, in an empty temporary folder, gives the task its name; branch and folder stay", async () => {
  await using host = await startHost({ autoName: true });
  program(host, "claude", CLAUDE);
  answer(host, "`fix-login-page`.\n");
  const prompt = "Please fix the login page, it breaks for users without a name";
  const task = await create(host, { prompt });
  const named = await host.until(task.id, ({ name }) => name !== task.name, "the name");
  assert.deepEqual([named.name, named.branch, named.worktree_path], ["fix-login-page", task.branch, task.worktree_path]);
  assert.equal(git(task.worktree_path, "branch", "--show-current"), task.branch);
  const made = calls(host);
  const [call] = made;
  assert.equal(made.length, 1);
  const value = (flag: string) => call?.args[call.args.indexOf(flag) + 1];
  assert.ok(call?.args.includes("-p"));
  assert.deepEqual([value("--model"), value("--tools"), value("--max-budget-usd")], ["haiku", "", "0.01"]);
  assert.deepEqual([call?.input, call?.files, fs.existsSync(call?.cwd ?? "")], [prompt, [], false]);
});

test("TASK-06: without claude, and with one that fails, the task works on under a slug", async (t) => {
  const bin = fs.mkdtempSync(path.join(os.tmpdir(), "argus-bin-"));
  t.after(() => fs.rmSync(bin, { recursive: true }));
  for (const name of ["git", "sh", "sleep"])
    fs.symlinkSync(execFileSync("/bin/sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim(), path.join(bin, name));
  await using without = await startHost({ autoName: true, env: { PATH: bin } });
  await using failing = await startHost({ autoName: true });
  program(failing, "claude", "#!/bin/sh\necho good-name\nexit 1\n");
  for (const host of [without, failing]) {
    const task = await create(host, { prompt: "Please fix the login page of the web shop" });
    const named = await host.until(task.id, ({ name }) => name !== task.name, "the name");
    assert.deepEqual([named.name, named.status], ["fix-login-page-web", "in_progress"]);
  }
});

test("TASK-06: a task that was given a name keeps it", async () => {
  await using host = await startHost({ autoName: true });
  program(host, "claude", CLAUDE);
  answer(host, "other-name");
  const own = await create(host, { name: "My own name" });
  const automatic = await create(host, { prompt: "something else" });
  await host.until(automatic.id, ({ name }) => name === "other-name", "the automatic name");
  assert.equal((await look(host, own.id)).name, "My own name");
  assert.equal(calls(host).length, 1);
});

test("TASK-07: an answer that is no slug is not used, and a rename by the user meanwhile wins", async () => {
  await using host = await startHost({ autoName: true });
  program(host, "claude", CLAUDE);
  answer(host, "Bad Name!");
  const bad = await create(host, { prompt: "write more tests" });
  const named = await host.until(bad.id, ({ name }) => name !== bad.name, "the name");
  assert.equal(named.name, "write-tests");

  fs.rmSync(path.join(host.home, "answer"));
  const late = await create(host, { prompt: "sort the list" });
  await host.eventually(() => calls(host).length === 2, "the second call");
  await host.call("task.rename", { id: late.id, name: "Mine" });
  answer(host, "too-late");
  // Names are made one after the other, so when the next one has its name this one had its chance.
  const next = await create(host, { prompt: "third" });
  await host.until(next.id, ({ name }) => name === "too-late", "the third name");
  assert.equal((await look(host, late.id)).name, "Mine");
});

test("TASK-07: what is accepted as a name", () => {
  const table: Record<string, string | null> = {
    "fix-login": "fix-login",
    '"fix-login".\n': "fix-login",
    "`a1-b2`": "a1-b2",
    ["x".repeat(30)]: "x".repeat(30),
    ["x".repeat(31)]: null,
    "Bad Name!": null,
    "fix--login": null,
    "-fix": null,
    fix_login: null,
    "a\nb": null,
    "": null,
  };
  assert.deepEqual(Object.fromEntries(Object.keys(table).map((text) => [text, acceptableName(text)])), table);
});

test("TASK-08: the fallback slug is the first four words that mean something, within 30 characters, or three random ones", () => {
  const table: Record<string, string> = {
    "Please fix the login page of the web shop": "fix-login-page-web",
    "Don't break it: add a TEST for q & the (new) parser!": "break-add-test-new",
    "Fix\n\n  the\tbug": "fix-bug",
    "internationalization documentation improvements": "internationalization",
    ["x".repeat(50)]: "x".repeat(30),
    "issue #1234": "issue-1234",
  };
  assert.deepEqual(Object.fromEntries(Object.keys(table).map((prompt) => [prompt, fallbackSlug(prompt)])), table);
  let n = 0;
  for (const prompt of ["🎉🎉", "", "the of a I", "漢字"])
    assert.match(
      fallbackSlug(prompt, (count) => n++ % count),
      /^[a-z]+-[a-z]+-[a-z]+$/,
    );
  assert.equal(
    fallbackSlug("🎉", () => 0),
    "amber-acorn-acorn",
  );
  assert.ok(STOP_WORDS.size >= 100);
});
