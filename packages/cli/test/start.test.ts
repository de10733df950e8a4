/** The first start, stopping and starting again, as real processes. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { SocketClient } from "@argus/client/socket";
import { connectSupervisor } from "@argus/supervisor/client";
import { isAlive } from "../../daemon/src/host.ts";
import { eventually, Scratch } from "./scratch.ts";

test("LIFECYCLE-01: the first command on a fresh home makes database and backends, starts daemon and supervisor, and finds no task and no project", async () => {
  await using scratch = new Scratch();
  assert.deepEqual(await scratch.json("task", "list"), { tasks: [] });
  assert.ok(fs.existsSync(scratch.at("data.sql")));
  const { backends } = await scratch.json<{ backends: { name: string }[] }>("backend", "list");
  const names = backends.map((one) => one.name);
  for (const name of ["claude", "codex", "pi"]) assert.ok(names.includes(name), name);
  assert.deepEqual(await scratch.json("project", "list"), { projects: [] });
  const daemon = await scratch.json<{ pid: number; supervisor: { pid: number } }>("daemon", "status");
  assert.ok(isAlive(daemon.pid) && isAlive(daemon.supervisor.pid));
});

test("LIFECYCLE-02, SUPERVISOR-02, TOKEN-01: after use every folder of the home is 0700 and every file and socket 0600", async () => {
  await using scratch = new Scratch();
  const repo = scratch.repository();
  await scratch.ok("project", "create", "demo", repo, "--backend", "shell");
  const task = await scratch.json<{ id: string }>("task", "create", "demo", "echo hello");
  await eventually(() => fs.existsSync(scratch.at("sessions", `${task.id}.log`)), "the session's log");
  await scratch.ok("token", "mint", "phone");
  await scratch.ok("daemon", "restart");
  const seen: string[] = [];
  const wrong: string[] = [];
  const walk = (folder: string) => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const full = path.join(folder, entry.name);
      if (entry.isSymbolicLink()) continue;
      const mode = fs.statSync(full).mode & 0o777;
      seen.push(path.relative(scratch.argus, full));
      if (mode !== (entry.isDirectory() ? 0o700 : 0o600)) wrong.push(`${path.relative(scratch.argus, full)} ${mode.toString(8)}`);
      // Below worktrees lies what git checked out, with the repository's own modes.
      if (entry.isDirectory() && full !== scratch.at("worktrees")) walk(full);
    }
  };
  assert.equal(fs.statSync(scratch.argus).mode & 0o777, 0o700);
  walk(scratch.argus);
  assert.deepEqual(wrong, []);
  for (const name of ["api-token", "data.sql", "daemon.log", "daemon.sock", "supervisor.sock", "supervisor.log", `sessions/${task.id}.log`])
    assert.ok(seen.includes(name), name);
  assert.match(fs.readFileSync(scratch.at("api-token"), "utf8"), /^[0-9a-f]{64}\n$/);
});

test("LIFECYCLE-06: start, stop, restart and status work in both conditions, and stopping a stopped daemon exits 0", async () => {
  await using scratch = new Scratch();
  const before = await scratch.run(["daemon", "status"]);
  assert.deepEqual([before.status, before.stdout], [1, "No daemon is running. Start it with: argus daemon start\n"]);
  assert.deepEqual(JSON.parse((await scratch.run(["daemon", "status", "--json"])).stdout), { running: false });
  assert.match(await scratch.ok("daemon", "stop"), /No daemon was running/);
  assert.match(await scratch.ok("daemon", "start"), /running, pid \d+/);
  const pid = scratch.pid();
  assert.match(await scratch.ok("daemon", "start"), new RegExp(`pid ${pid}\\b`), "starting a started one changes nothing");
  const shown = await scratch.ok("daemon", "status");
  for (const part of [
    new RegExp(`pid ${pid}\\b`),
    /version \d/,
    /build [0-9a-f]{12}/,
    /up \d/,
    /MCP +http:\/\/127\.0\.0\.1:\d+\/mcp/,
    /service +/,
  ])
    assert.match(shown, part);
  await scratch.ok("daemon", "restart");
  assert.notEqual(scratch.pid(), pid);
  assert.match(await scratch.ok("daemon", "stop"), /has stopped/);
  assert.equal(scratch.pid(), null, "the pid file is gone");
  assert.ok(!fs.existsSync(scratch.at("daemon.sock")), "the socket is gone");
  assert.match(await scratch.ok("daemon", "restart"), /running, pid \d+/, "restarting a stopped one starts it");
});

test("LIFECYCLE-07: two commands at once on a fresh home start one daemon, detached from both", async () => {
  await using scratch = new Scratch();
  const all = await Promise.all([scratch.run(["task", "list"]), scratch.run(["task", "list"]), scratch.run(["project", "list"])]);
  assert.deepEqual(
    all.map((one) => one.status),
    [0, 0, 0],
    all.map((one) => one.stderr).join(""),
  );
  const pid = scratch.pid() as number;
  assert.ok(isAlive(pid));
  if (process.platform === "linux")
    assert.equal(fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3], String(pid), "it leads a session of its own");
});

for (const count of [2, 20])
  test(`SUPERVISOR-11: of ${count} daemons started at once one lives and the others exit 0`, async () => {
    await using scratch = new Scratch();
    const all = Array.from({ length: count }, () => scratch.daemon());
    const ended: (number | null)[] = [];
    for (const one of all) void one.exited.then(({ code }) => ended.push(code));
    await eventually(() => ended.length === count - 1, "all but one to end");
    assert.deepEqual(ended, Array(count - 1).fill(0));
    const pid = await eventually(
      async () => (await scratch.json<{ pid: number }>("daemon", "status").catch(() => null))?.pid,
      "the winner to answer",
    );
    assert.ok(all.some((one) => one.child.pid === pid && one.child.exitCode === null));
    // The lock belongs to the process: the file stays, and is free as soon as its holder is gone, however it ended.
    const lock = fs.statSync(scratch.at("daemon.lock")).ino;
    process.kill(pid, "SIGKILL");
    await eventually(() => !isAlive(pid), "the winner to die");
    await scratch.ok("daemon", "start");
    assert.equal(fs.statSync(scratch.at("daemon.lock")).ino, lock);
  });

test("SUPERVISOR-03: a starting daemon starts a supervisor that outlives it, and the next daemon uses the same one", async () => {
  await using scratch = new Scratch();
  const supervisor = async () => (await scratch.json<{ supervisor: { pid: number } }>("daemon", "status")).supervisor.pid;
  await scratch.ok("daemon", "start");
  const first = await eventually(supervisor, "the supervisor's pid");
  await scratch.ok("daemon", "stop");
  assert.ok(isAlive(first));
  await scratch.ok("daemon", "start");
  assert.equal(await eventually(supervisor, "the supervisor's pid"), first);
});

test("SUPERVISOR-12: a daemon whose pid file names another process removes neither that file nor the socket", async () => {
  await using scratch = new Scratch();
  const { child, exited } = scratch.daemon();
  await scratch.answering(child.pid);
  fs.writeFileSync(scratch.at("daemon.pid"), "1\n");
  child.kill("SIGTERM");
  assert.deepEqual(await exited, { code: 0, signal: null });
  assert.equal(fs.readFileSync(scratch.at("daemon.pid"), "utf8"), "1\n");
  fs.rmSync(scratch.at("daemon.pid"));
});

test("SUPERVISOR-13: a daemon started in a folder that is deleted afterwards starts sessions all the same", async () => {
  await using scratch = new Scratch();
  const repo = scratch.repository();
  const doomed = path.join(scratch.home, "doomed");
  fs.mkdirSync(doomed);
  assert.equal((await scratch.run(["daemon", "start"], { cwd: doomed })).status, 0);
  if (process.platform === "linux") {
    assert.equal(fs.readlinkSync(`/proc/${scratch.pid()}/cwd`), scratch.env.HOME);
    const { supervisor } = await scratch.json<{ supervisor: { pid: number } }>("daemon", "status");
    assert.equal(fs.readlinkSync(`/proc/${supervisor.pid}/cwd`), scratch.env.HOME);
  }
  fs.rmdirSync(doomed);
  await scratch.ok("project", "create", "demo", repo, "--backend", "shell");
  assert.equal((await scratch.json<{ status: string }>("task", "create", "demo", "echo hello")).status, "in_progress");
});

test("SUPERVISOR-14: a home whose socket path is too long is refused with the path and the limit", async () => {
  await using scratch = new Scratch();
  const long = path.join(scratch.home, "x".repeat(120));
  const { status, stderr } = await scratch.run(["daemon", "start"], { env: { ARGUS_HOME: long } });
  assert.equal(status, 2);
  assert.match(stderr, new RegExp(`${long}/daemon\\.sock.*allows (104|108)\\b`));
  assert.ok(!fs.existsSync(long), "nothing was made");
  const direct = await scratch.program(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    path.join(import.meta.dirname, "../../daemon/src/main.ts"),
    "--home",
    long,
  ]);
  assert.notEqual(direct.status, 0);
  assert.match(direct.stderr, /x+\/(supervisor|daemon)\.sock.* (104|108)\b/);
});

test("LIFECYCLE-09: a daemon stopped under load ends its streams, closes the database and exits 0; agents stay", async () => {
  await using scratch = new Scratch();
  const repo = scratch.repository();
  const { child, exited } = scratch.daemon();
  await scratch.answering(child.pid);
  await scratch.ok("backend", "create", "flood", "flood 1e12 2000000");
  await scratch.ok("project", "create", "demo", repo, "--backend", "flood");
  const { id } = await scratch.json<{ id: string }>("task", "create", "demo", "go");
  using client = await SocketClient.connect(scratch.at("daemon.sock"));
  const watching = (async () => {
    for await (const _ of client.stream("session.stream", { id }));
  })().catch(() => "ended");
  const { web } = await scratch.json<{ web: string }>("daemon", "status");
  const token = fs.readFileSync(scratch.at("api-token"), "utf8").trim();
  const responses = await Promise.all(
    ["/api/events/stream", `/api/tasks/${id}/stream`, `/api/tasks/${id}/stream`].map((at) =>
      fetch(new URL(at, web), { headers: { authorization: `Bearer ${token}` } }),
    ),
  );
  const read = responses.map((response) => response.text().catch(() => "cut"));
  const supervisor = await connectSupervisor(scratch.at("supervisor.sock"));
  const [session] = await supervisor.list();
  let calling = true;
  const load = (async () => {
    while (calling) await client.call("settings.set", { ui: { show_icons: true } });
  })().catch(() => "cut");
  child.kill("SIGTERM");
  assert.deepEqual(await exited, { code: 0, signal: null });
  calling = false;
  await Promise.all([watching, load, ...read]);
  assert.ok(!fs.existsSync(scratch.at("data.sql-wal")), "the database was closed, not dropped");
  assert.ok(!fs.existsSync(scratch.at("daemon.sock")) && scratch.pid() === null);
  assert.ok(session && isAlive(session.pid));
  assert.deepEqual(
    (await supervisor.list()).map((one) => [one.pid, one.exit]),
    [[session.pid, null]],
  );
  supervisor.close();
});
