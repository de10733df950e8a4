/** `argus demo`: a sample repository and three tasks, so that the main job can be seen where nothing is installed. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { connect } from "./connection.ts";
import type { Globals } from "./globals.ts";
import { argusHome } from "./home.ts";

const FILES: Record<string, string> = {
  "README.md": "# Tea timer\n\nA sample repository for trying Argus. Nothing in it matters.\n",
  "timer.js":
    "/** Seconds of a steeping time such as `3m` or `90s`. */\nexport function seconds(text) {\n  const [, amount, unit] = /^(\\d+)([ms])$/.exec(text);\n  return Number(amount) * (unit === 'm' ? 60 : 1);\n}\n",
  "timer.test.js":
    "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { seconds } from './timer.js';\n\ntest('minutes', () => assert.equal(seconds('3m'), 180));\ntest('seconds', () => assert.equal(seconds('90s'), 90));\n",
  "package.json": '{ "name": "tea-timer", "type": "module", "scripts": { "test": "node --test" } }\n',
};

const TASKS = [
  { name: "look-around", backend: "argus", prompt: "Show what is in this repository.\n$ ls -la\n$ cat README.md" },
  {
    name: "add-a-kettle",
    backend: "argus",
    prompt:
      "Add a file and show the difference.\n$ printf '# Kettle\\n\\nBoils water at 100 degrees.\\n' > kettle.md\n$ git status --short",
  },
  { name: "run-the-tests", backend: "shell", prompt: "node --test && echo 'The tests pass.'" },
];

export async function run(_args: string[], globals: Globals): Promise<number> {
  const connection = await connect(globals);
  try {
    const repository = path.join(argusHome(), "demo", "tea-timer");
    if (!fs.existsSync(path.join(repository, ".git"))) makeRepository(repository);
    const { projects } = await connection.call<{ projects: string[] }>("project.list");
    if (!projects.includes("demo")) await connection.call("project.create", { name: "demo", path: repository, backend: "argus" });
    const made: { id: string; name: string; status: string }[] = [];
    for (const task of TASKS) made.push(await connection.call("task.create", { project: "demo", upsert: true, ...task }));
    if (globals.json) process.stdout.write(`${JSON.stringify({ project: "demo", path: repository, tasks: made }, null, 2)}\n`);
    else {
      process.stdout.write(`Project demo at ${repository}\n`);
      for (const task of made) process.stdout.write(`  task ${task.id}  ${task.name}  ${task.status}\n`);
      process.stdout.write(
        `\nWatch one:   argus attach ${made[0]?.id ?? 1}   (Ctrl-Q leaves it)\nList them:   argus task list\nIn a browser: argus login\n`,
      );
    }
    return 0;
  } finally {
    connection.close();
  }
}

function makeRepository(folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(FILES)) fs.writeFileSync(path.join(folder, name), text);
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Argus demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false", ...args], {
      cwd: folder,
      stdio: "pipe",
    });
  git("init", "-q", "-b", "main");
  git("add", "-A");
  git("commit", "-q", "-m", "Start the tea timer");
}
