/** A fresh clone on a machine with only an older Node, npm and git: from `npm start` to a finished task, as a new user meets it. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, freePort } from "../../packages/cli/test/scratch.ts";
import { endSupervisor, isAlive } from "../../packages/daemon/src/host.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "argus-clone-"));
const clone = path.join(folder, "argus");
const home = path.join(folder, "h");
const tmux = ["-L", `argus-clone-${process.pid}`, "-f", "/dev/null"];
let env: Record<string, string>;
const children: ChildProcess[] = [];

/** Absolute path of a program of the machine, not of this clone. */
function installed(program: string): string {
  const found = (process.env.PATH ?? "")
    .split(":")
    .filter((one) => !one.includes("node_modules"))
    .map((one) => path.join(one, program))
    .find((file) => fs.existsSync(file));
  return found ?? assert.fail(`${program} is not on PATH`);
}

before(async () => {
  execFileSync("git", ["clone", "-q", ROOT, clone]);
  const bin = path.join(folder, "bin");
  fs.mkdirSync(bin);
  for (const program of ["node", "npm", "git"]) fs.symlinkSync(fs.realpathSync(installed(program)), path.join(bin, program));
  fs.mkdirSync(path.join(folder, "user"));
  env = {
    PATH: `${bin}:/usr/bin:/bin`,
    HOME: path.join(folder, "user"),
    TERM: "xterm-256color",
    LANG: "C.UTF-8",
    ARGUS_HOME: home,
    ARGUS_API_PORT: String(await freePort()),
    ARGUS_MCP_PORT: String(await freePort()),
    // Packages already fetched on this machine are not fetched again.
    npm_config_cache: process.env.npm_config_cache ?? path.join(os.userInfo().homedir, ".npm"),
    npm_config_update_notifier: "false",
  };
  console.log(`# Node ${execFileSync(path.join(bin, "node"), ["--version"], { encoding: "utf8" }).trim()}`);
});

after(async () => {
  for (const { exitCode, signalCode, pid } of children) if (exitCode === null && signalCode === null && pid) process.kill(-pid, "SIGKILL");
  execFile("tmux", [...tmux, "kill-server"], () => {});
  const pidFile = path.join(home, "daemon.pid");
  if (fs.existsSync(pidFile)) process.kill(Number(fs.readFileSync(pidFile, "utf8")), "SIGKILL");
  const pids = await endSupervisor(home);
  await eventually(() => !pids.some(isAlive), "the supervisor to end");
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

interface Running {
  child: ChildProcess;
  text(): string;
  until(what: RegExp): Promise<RegExpExecArray>;
  exited: Promise<number | null>;
}

function start(file: string, ...args: string[]): Running {
  const child = spawn(file, args, { cwd: clone, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  children.push(child);
  let text = "";
  child.stdout?.on("data", (part) => (text += part));
  child.stderr?.on("data", (part) => (text += part));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  let over = false;
  void exited.then(() => (over = true));
  return {
    child,
    text: () => text,
    exited,
    until: (what) =>
      eventually(
        () => {
          const found = what.exec(text);
          if (!found && over) assert.fail(`${file} ${args.join(" ")} ended without ${what}: ${text}`);
          return found;
        },
        `${what} in the output of ${file} ${args.join(" ")}: ${text}`,
      ),
  };
}

async function argus(...args: string[]): Promise<string> {
  const run = start(path.join(clone, "argus"), ...args);
  assert.equal(await run.exited, 0, `argus ${args.join(" ")}: ${run.text()}`);
  return run.text();
}

const json = async <T>(...args: string[]) => JSON.parse(await argus(...args, "--json")) as T;

const finished = (id: string) =>
  eventually(async () => {
    const task = await json<{ status: string; worktree_path: string }>("task", "get", id);
    return ["in_review", "complete"].includes(task.status) && task;
  }, `task ${id} to finish`);

test("LIFECYCLE-04: npm start installs, starts everything and prints the address with a login link that works once", async () => {
  const first = start("npm", "start");
  const [, url = "", code = ""] = await first.until(/Open +(http:\/\/127\.0\.0\.1:\d+)\/#login=(\S+)/);
  assert.match(first.text(), /Installing dependencies/);
  assert.match(first.text(), /Argus is up\./);
  assert.ok(first.text().includes(`${home}/api-token`));
  assert.equal(new URL(url).port, env.ARGUS_API_PORT);
  const login = () =>
    fetch(`${url}/api/login`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ code }) });
  const reply = await login();
  assert.equal(reply.status, 200);
  const { token } = (await reply.json()) as { token: string };
  assert.equal((await fetch(`${url}/api/status`, { headers: { authorization: `Bearer ${token}` } })).status, 200);
  assert.equal((await login()).status, 401, "a second time it is refused");
  const page = await fetch(url);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<script type="module"/, "the page is built");

  // Ending the command leaves the daemon running.
  process.kill(-(first.child.pid as number), "SIGINT"); // as Ctrl-C does: to everybody in front of the terminal
  await first.exited;
  assert.match(await argus("daemon", "status"), /daemon +running/);
});

test("LIFECYCLE-04: ./argus is the command line, and the main job is done with it: project, task, difference, end", async () => {
  const repository = path.join(folder, "repository");
  fs.mkdirSync(repository);
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], { cwd: repository, stdio: "pipe" });
  git("init", "-q", "-b", "main");
  fs.writeFileSync(path.join(repository, "README.md"), "# Mine\n");
  git("add", "-A");
  git("commit", "-q", "-m", "Start");
  await argus("project", "create", "mine", repository, "--backend", "shell");
  const { id } = await json<{ id: string }>("task", "create", "mine", "echo made by an agent > note.txt");
  const task = await finished(id);
  assert.equal(fs.readFileSync(path.join(task.worktree_path, "note.txt"), "utf8"), "made by an agent\n");
  assert.ok(!fs.existsSync(path.join(repository, "note.txt")), "the repository itself is untouched");
  assert.match(await argus("git", "status", id), /note\.txt/);
  assert.match(await argus("task", "list"), new RegExp(`${id} +\\S+.* mine `));
  await argus("task", "delete", id);
  assert.ok(!fs.existsSync(task.worktree_path));
});

test("LIFECYCLE-01: npm start at a terminal says it runs already, installs nothing, and ends in the list; an agent is opened, typed to and left, and goes on", async () => {
  const { id } = await json<{ id: string }>("task", "create", "mine", "exec cat", "--name", "parrot");
  execFileSync(
    "tmux",
    [...tmux, "new-session", "-d", "-x", "80", "-y", "24", "-c", clone, "npm start; echo left-with $?; exec sleep 1000"],
    { env },
  );
  const pane = () => execFileSync("tmux", [...tmux, "capture-pane", "-p"], { encoding: "utf8" });
  const keys = (...words: string[]) => execFileSync("tmux", [...tmux, "send-keys", ...words]);
  const shows = (what: RegExp) => eventually(() => what.exec(pane()), `${what} on the screen:\n${pane()}`);
  await shows(/parrot/);
  await shows(/enter open/);
  const lines = pane().split("\n");
  assert.ok(lines.every((line) => [...line].length <= 80));
  keys("Enter");
  await eventually(() => !/enter open/.test(pane()), "the agent's terminal");
  keys("-l", "polly wants a cracker");
  keys("Enter");
  await shows(/polly wants a cracker\n+.*polly wants a cracker/);
  keys("C-q");
  await shows(/enter open/);
  keys("q");
  await shows(/left-with 0/);
  const history = execFileSync("tmux", [...tmux, "capture-pane", "-p", "-S", "-200"], { encoding: "utf8" });
  assert.match(history, /Argus is running already\./);
  assert.ok(!history.includes("Installing dependencies"));
  const task = await json<{ status: string; state: { value: string } }>("task", "get", id);
  assert.equal(task.status, "in_progress", "the agent goes on");
  await argus("task", "delete", id);
});

test("LIFECYCLE-04: the demo's three tasks finish, npm test runs, and stopping leaves no daemon", async () => {
  assert.match(await argus("demo"), /task \d+ +look-around/);
  const { tasks } = await json<{ tasks: { id: string; name: string }[] }>("task", "list");
  assert.deepEqual(tasks.map((one) => one.name).sort(), ["add-a-kettle", "look-around", "run-the-tests"]);
  const tests = tasks.find((one) => one.name === "run-the-tests");
  await finished(tests?.id as string);
  assert.match(await argus("session", "output", tests?.id as string), /The tests pass\./);
  const kettle = tasks.find((one) => one.name === "add-a-kettle")?.id as string;
  await eventually(async () => /kettle\.md/.test(await argus("git", "status", kettle)), "the kettle's file");
  const quick = start("npm", "test", "--", "layers");
  assert.equal(await quick.exited, 0, quick.text());
  assert.match(quick.text(), /pass [1-9]/);
  await argus("session-supervisor", "stop", "--yes");
  await argus("daemon", "stop");
  const status = start(path.join(clone, "argus"), "daemon", "status");
  assert.equal(await status.exited, 1);
});
