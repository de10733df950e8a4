import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { childEnvironment, run, runRaw, which } from "../src/processes.ts";
import { ended, scratch, write } from "./scratch.ts";

const node = process.execPath;
const LONG = 60_000;

test("processes: arguments arrive untouched by a shell, with input, status and both outputs", async () => {
  using place = scratch();
  const script =
    "process.stdin.on('data', (d) => process.stdout.write(d)).on('end', () => { console.error(process.argv[1]); process.exitCode = 3; })";
  const result = await run([node, "-e", script, "$(touch p) `x` 'y'; exit"], { cwd: place.path, input: "in\u0000put", timeoutMs: LONG });
  assert.deepEqual(result, {
    code: 3,
    signal: null,
    stdout: "in\u0000put",
    stderr: "$(touch p) `x` 'y'; exit\n",
    timedOut: false,
    truncated: false,
  });
});

test("processes: at the time limit the whole group goes, also what ignores SIGTERM", async () => {
  using place = scratch();
  const pids = join(place.path, "pids");
  const script = `trap '' TERM; echo $$ >> ${pids}; (trap '' TERM; sleep 300 & echo $! >> ${pids}; wait) & echo before; wait; wait`;
  const result = await run(["sh", "-c", script], { cwd: place.path, timeoutMs: 300 });
  assert.deepEqual([result.timedOut, result.stdout], [true, "before\n"]);
  for (const pid of readFileSync(pids, "utf8").trim().split("\n")) await ended(Number(pid));
});

test("processes: an abort ends the group and rejects with its reason, after the process is gone", async () => {
  using place = scratch();
  const file = join(place.path, "pid");
  const stop = new AbortController();
  const running = run(["sh", "-c", `sleep 300 & echo $! > ${file}; wait`], { cwd: place.path, timeoutMs: LONG, signal: stop.signal });
  const failed = assert.rejects(running, /enough/);
  while (!existsSync(file) || readFileSync(file, "utf8") === "") await new Promise((resolve) => setTimeout(resolve, 10));
  stop.abort(new Error("enough"));
  await failed;
  await ended(Number(readFileSync(file, "utf8")));
  await assert.rejects(
    run(["sh", "-c", `echo > ${join(place.path, "ran")}`], { cwd: place.path, timeoutMs: LONG, signal: stop.signal }),
    /enough/,
  );
  assert.equal(existsSync(join(place.path, "ran")), false);
});

test("processes: output is cut at the limit, and a program is ended there when asked", async () => {
  using place = scratch();
  const flood =
    "const b = Buffer.alloc(65536, 120); const go = () => { while (process.stdout.write(b)); process.stdout.once('drain', go); }; go();";
  const stopped = await run([node, "-e", flood], { cwd: place.path, timeoutMs: LONG, maxBytes: 100_000, stopWhenFull: true });
  assert.deepEqual([stopped.stdout.length, stopped.truncated, stopped.timedOut], [100_000, true, false]);
  const whole = await runRaw([node, "-e", "process.stdout.write(Buffer.alloc(100_000, 0xff))"], {
    cwd: place.path,
    timeoutMs: LONG,
    maxBytes: 100_000,
  });
  assert.deepEqual([whole.code, whole.stdout.length, whole.stdout[99_999], whole.truncated], [0, 100_000, 255, false]);
});

test("processes: a missing program and a missing folder are named; a program that ignores its input is no error", async () => {
  using place = scratch();
  await assert.rejects(run(["no-such-program"], { cwd: place.path, timeoutMs: LONG }), { code: "NOT_FOUND", message: /no-such-program/ });
  await assert.rejects(run([node, "-v"], { cwd: join(place.path, "none"), timeoutMs: LONG }), { code: "NOT_FOUND", message: /none/ });
  assert.equal((await run(["true"], { cwd: place.path, input: "x".repeat(1_000_000), timeoutMs: LONG })).code, 0);
});

test("processes: a child gets our environment without our port, node and npm settings or git's location, and what is added", () => {
  const own = {
    PATH: "/bin",
    HOME: "/h",
    PORT: "1",
    NODE_ENV: "x",
    NODE_OPTIONS: "-r x",
    npm_config_cache: "c",
    GIT_DIR: "/g",
    ARGUS_TOKEN: "secret",
    GIT_INDEX_FILE: "i",
    GIT_SSH_COMMAND: "ssh",
    GIT_AUTHOR_NAME: "me",
  };
  assert.deepEqual(childEnvironment({ PORT: "42000", A: "b" }, own), {
    PATH: "/bin",
    HOME: "/h",
    GIT_SSH_COMMAND: "ssh",
    GIT_AUTHOR_NAME: "me",
    PORT: "42000",
    A: "b",
  });
});

test("processes: a program is found on PATH only when it is an executable file in an absolute folder", async () => {
  using place = scratch();
  write(join(place.path, "one/tool"), "x", 0o644);
  mkdirSync(join(place.path, "two/tool"), { recursive: true });
  write(join(place.path, "three/tool"), "x", 0o755);
  const path = ["one", "two", "three"].map((name) => join(place.path, name)).join(":");
  assert.equal(await which("tool", path), join(place.path, "three/tool"));
  assert.equal(await which("tool", `.:${join(place.path, "one")}`), null);
  assert.equal(await which(join(place.path, "three/tool")), join(place.path, "three/tool"));
  assert.equal(await which("three/tool", place.path), null);
  assert.equal(await which("gh-not-installed"), null);
});

test("SUPERVISOR-28: auxiliary programs are waited for, also those that were killed", { skip: process.platform !== "linux" }, async () => {
  using place = await scratch();
  const results = await Promise.all([
    ...Array.from({ length: 20 }, () => run(["true"], { cwd: place.path, timeoutMs: 20_000 })),
    ...Array.from({ length: 5 }, () => run(["sleep", "1000000"], { cwd: place.path, timeoutMs: 50 })),
  ]);
  assert.equal(results.filter((result) => result.timedOut).length, 5);
  const zombies = readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return state === "Z" && Number(parent) === process.pid;
    } catch {
      return false; // ended while we looked
    }
  });
  assert.deepEqual(zombies, []);
});
