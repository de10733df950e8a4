/** What a person or a script meets at the command line: exit statuses, JSON, and errors that say what would work. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { connectSupervisor } from "@argus/supervisor/client";
import { isAlive } from "../../daemon/src/host.ts";
import { freePort, ROOT, Scratch } from "./scratch.ts";

test("LIFECYCLE-28: one table of exit statuses, and every command takes --json", async () => {
  const port = await freePort();
  await using scratch = new Scratch({ ARGUS_API_PORT: String(port) });
  const remote = ["--remote", `http://127.0.0.1:${port}`];
  const before: [string[], number][] = [
    [["--version"], 0],
    [["help"], 0],
    [["daemon", "status"], 1],
    [["session-supervisor", "status"], 1],
    [["status"], 1],
    [["daemon", "stop"], 0],
    [["session-supervisor", "stop"], 0],
    [["daemon", "fly"], 2],
    [["session-supervisor", "fly"], 2],
    [["status", ...remote, "--token", "x"], 5],
  ];
  const running: [string[], number][] = [
    [["daemon", "start"], 0],
    [["daemon", "status"], 0],
    [["session-supervisor", "start"], 0],
    [["session-supervisor", "status"], 0],
    [["status"], 0],
    [["task", "list"], 0],
    [["config", "show"], 0],
    [["doctor"], 0],
    [["login"], 0],
    [["help"], 0],
    [["help", "task", "create"], 0],
    [["help", "nothing"], 2],
    [["nothing", "at", "all"], 2],
    [["task", "list", "--colour", "red"], 2],
    [["task", "create"], 2],
    [["task", "list", "--project"], 2],
    [["task", "get", "99"], 6],
    [["attach", "99"], 6],
    [["attach"], 2],
    [["task", "list", ...remote], 4],
    [["task", "list", ...remote, "--token", "wrong"], 4],
    [["task", "list", "--remote", "nonsense", "--token", "x"], 2],
    [["dag", "show"], 5],
  ];
  for (const commands of [before, running])
    for (const [args, expected] of commands) {
      const { status, stdout, stderr } = await scratch.run([...args, "--json"]);
      const command = `argus ${args.join(" ")} --json`;
      assert.equal(status, expected, `${command}: ${stdout}${stderr}`);
      const reply = JSON.parse(stdout) as { error?: string; code?: string };
      if (expected >= 2) assert.ok(reply.error && reply.code, `${command}: ${stdout}`);
    }
  const token = (await scratch.json<{ token: string }>("token", "mint", "phone", "--tier", "readonly")).token;
  const refused = await scratch.run(["backend", "create", "x", "true", ...remote, "--token", token]);
  assert.equal(refused.status, 3, refused.stderr);
  assert.equal((await scratch.run(["task", "list", ...remote], { env: { ARGUS_TOKEN: token } })).status, 0, "CONFIG-24: ARGUS_TOKEN");
  fs.chmodSync(scratch.at("api-token"), 0o644);
  assert.equal((await scratch.run(["doctor"])).status, 1, "a FAIL is a negative answer");
  const [stopped] = [await scratch.run(["daemon", "stop", "--json"])];
  assert.deepEqual([stopped.status, JSON.parse(stopped.stdout)], [0, { stopped: true }]);
});

test("LIFECYCLE-28: a failure nobody foresaw is 10", async () => {
  await using scratch = new Scratch();
  await scratch.ok("daemon", "start");
  // A home that is a file where a folder must be: nobody foresaw it, so nobody has a better word for it.
  const { status } = await scratch.run(["daemon", "start"], { env: { ARGUS_HOME: path.join(scratch.at("api-token"), "x") } });
  assert.equal(status, 10);
});

test("LIFECYCLE-24: ux.log keeps what commands could not do, mode 0600, and rotates at 10 MiB with three kept", async () => {
  await using scratch = new Scratch();
  fs.mkdirSync(scratch.argus, { mode: 0o700 });
  const gone = ["status", "--remote", "http://127.0.0.1:1", "--token", "secret-token-value"];
  for (let n = 0; n < 5; n++) {
    assert.equal((await scratch.run(gone)).status, 5);
    const text = fs.readFileSync(scratch.at("ux.log"), "utf8");
    assert.match(text, /"command":"argus status","code":"UNAVAILABLE"/);
    assert.ok(!text.includes("secret-token-value"));
    assert.equal(fs.statSync(scratch.at("ux.log")).mode & 0o777, 0o600);
    fs.truncateSync(scratch.at("ux.log"), 10 * 1024 * 1024 + 1);
  }
  assert.deepEqual(
    fs
      .readdirSync(scratch.argus)
      .filter((name) => name.startsWith("ux.log"))
      .sort(),
    ["ux.log", "ux.log.1", "ux.log.2", "ux.log.3"],
  );
});

test("LIFECYCLE-25: doctor prints PASS, WARN or FAIL with name and evidence, and names the nearest of an unknown setting", async () => {
  await using scratch = new Scratch();
  const good = await scratch.run(["doctor"]);
  assert.equal(good.status, 0, good.stdout);
  for (const line of good.stdout.trim().split("\n")) assert.match(line, /^(PASS|WARN|FAIL) {2}\S.* {2}\S/);
  for (const name of ["supervisor", "database", "mode of api-token", "config.toml", "mcp", "disk", "worktrees", "sleep"])
    assert.match(good.stdout, new RegExp(`^(PASS|WARN)  ${name} `, "m"));
  fs.writeFileSync(scratch.at("config.toml"), '[defualts]\nbackend = "pi"\n');
  assert.match(
    (await scratch.run(["doctor"])).stdout,
    /^WARN {2}config\.toml +defualts\.backend is unknown; did you mean defaults\.backend\?$/m,
  );
  fs.writeFileSync(scratch.at("config.toml"), "[defaults\n");
  const broken = await scratch.run(["doctor"]);
  assert.match(broken.stdout, /^FAIL {2}config\.toml +It is ignored: line 1, column \d+/m);
  assert.equal(broken.status, 1);
  const { checks } = JSON.parse((await scratch.run(["doctor", "--json"])).stdout) as { checks: object[] };
  assert.ok(checks.length > 10);
});

test("CONFIG-08: config show prints each value with the layer it came from", async () => {
  await using scratch = new Scratch();
  await scratch.ok("settings", "set", "--approval", '{"ttl_seconds":60}');
  fs.writeFileSync(scratch.at("config.toml"), '[ui]\nspinner_style = "dots"\n');
  const shown = await scratch.ok("config", "show");
  assert.match(shown, /^approval\.ttl_seconds +60 +set by settings /m);
  assert.match(shown, /^ui\.spinner_style +dots +set by config\.toml /m);
  assert.match(shown, /^defaults\.backend +claude +default /m);
  const { settings } = await scratch.json<{ settings: { key: string; value: unknown; layer: string }[] }>("config", "show");
  const one = (key: string) => settings.filter((row) => row.key === key).map((row) => [row.value, row.layer])[0];
  assert.deepEqual(
    [one("approval.ttl_seconds"), one("ui.spinner_style"), one("defaults.backend")],
    [
      [60, "menu"],
      ["dots", "file"],
      ["claude", "default"],
    ],
  );
});

test("CONFIG-24: two instances with homes and ports of their own run side by side", async () => {
  const [a, b] = [await freePort(), await freePort()];
  await using one = new Scratch({ ARGUS_API_PORT: String(a) });
  await using two = new Scratch({ ARGUS_API_PORT: String(b), ARGUS_MCP_PORT: String(await freePort()) });
  await Promise.all([one.ok("daemon", "start"), two.ok("daemon", "start")]);
  await one.ok("project", "create", "mine", one.repository(), "--backend", "shell");
  assert.deepEqual(await one.json("project", "list"), { projects: ["mine"] });
  assert.deepEqual(await two.json("project", "list"), { projects: [] });
  const info = await two.json<{ rest: string[]; mcp: string; home: string; supervisor: { pid: number } }>("daemon", "status");
  assert.deepEqual(
    [info.rest, info.mcp, info.home],
    [[`http://127.0.0.1:${b}`], `http://127.0.0.1:${two.env.ARGUS_MCP_PORT}/mcp`, two.argus],
  );
  await one.ok("session-supervisor", "stop", "--yes");
  assert.ok(isAlive(info.supervisor.pid), "the other instance's supervisor stays");
});

test("TOKEN-14, TOKEN-09: the master token is replaced by a command; a scope token is minted here and by no route", async () => {
  const port = await freePort();
  await using scratch = new Scratch({ ARGUS_API_PORT: String(port) });
  await scratch.ok("daemon", "start");
  const ask = async (token: string) =>
    (await fetch(`http://127.0.0.1:${port}/api/tokens/self`, { headers: { authorization: `Bearer ${token}` } })).status;
  const read = () => fs.readFileSync(scratch.at("api-token"), "utf8").trim();
  const old = read();
  assert.equal(await ask(old), 200);
  await scratch.ok("token", "rotate");
  assert.notEqual(read(), old);
  assert.deepEqual([await ask(old), await ask(read())], [401, 200]);
  assert.equal(fs.statSync(scratch.at("api-token")).mode & 0o777, 0o600);
  const { token } = await scratch.json<{ token: string }>("token", "mint", "--scope", "sample");
  assert.match(token, /^argus_/);
  const { operations } = await scratch.json<{ operations: { name: string; rest: string[] }[] }>("help");
  assert.deepEqual(operations.find((one) => one.name === "token.mint_scope")?.rest, []);
});

test("unknown commands and flags name the nearest that exists", async () => {
  await using scratch = new Scratch();
  await scratch.ok("daemon", "start");
  const said = async (...args: string[]) => (await scratch.run(args)).stderr.trim();
  assert.equal(await said("tsk", "list"), 'argus: There is no command "tsk list". Did you mean: argus task list');
  assert.equal(await said("daemon", "strat"), 'argus: argus daemon takes start, stop, restart, status, install or uninstall, not "strat".');
  assert.match(await said("project", "explode"), /^argus: There is no command "project explode"\. argus project takes: .*create.*\.$/);
  assert.match(
    await said("task", "list", "--projct", "x"),
    /^argus: argus task list has no flag --projct\. Did you mean --project\? It has --status, /,
  );
  assert.equal(await said("help", "taks", "create"), 'argus: There is no command "taks create". Did you mean: argus help task create');
});

test("LIFECYCLE-03: without git, or without a runtime, the start stops with one sentence that says what to install", async () => {
  await using scratch = new Scratch();
  const bin = path.join(scratch.home, "bare");
  fs.mkdirSync(bin);
  for (const name of ["sh", "readlink", "dirname", "env"])
    fs.symlinkSync(fs.realpathSync((await scratch.program("sh", ["-c", `command -v ${name}`])).stdout.trim()), path.join(bin, name));
  // A clone nobody has installed in, so that the launcher has no runtime of its own.
  const bare = path.join(scratch.home, "clone");
  fs.mkdirSync(bare);
  fs.copyFileSync(path.join(ROOT, "argus"), path.join(bare, "argus"));
  const noNode = await scratch.program(path.join(bare, "argus"), ["daemon", "start"], { env: { PATH: bin } });
  assert.equal(noNode.status, 5);
  assert.equal(noNode.stderr, "argus: Node is not on PATH. Install Node 20 or newer together with npm, then run this again.\n");
  fs.symlinkSync(process.execPath, path.join(bin, "node"));
  const noGit = await scratch.run(["daemon", "start"], { env: { PATH: bin } });
  assert.equal(noGit.status, 5);
  assert.equal(noGit.stderr, "argus: git is not on PATH. Install git, then start again.\n");
  assert.ok(!fs.existsSync(scratch.at("data.sql")));

  // An agent that is not installed stops nothing but its own task; programs Argus can do without are not mentioned.
  fs.symlinkSync(fs.realpathSync((await scratch.program("sh", ["-c", "command -v git"])).stdout.trim()), path.join(bin, "git"));
  const start = await scratch.run(["daemon", "start"], { env: { PATH: bin } });
  assert.deepEqual([start.status, start.stderr], [0, ""]);
  assert.ok(!/\bgh\b|tailscale/i.test(start.stdout));
  await scratch.ok("project", "create", "demo", scratch.repository(), "--backend", "shell");
  const { backends } = await scratch.json<{ backends: { name: string; available: boolean }[] }>("backend", "list");
  assert.equal(backends.find((one) => one.name === "codex")?.available, false);
  const noAgent = await scratch.run(["task", "create", "demo", "x", "--backend", "codex"]);
  assert.equal(noAgent.status, 5);
  assert.equal(noAgent.stderr, 'argus: The agent\'s program "codex" is not on PATH. Install it, or choose another backend.\n');
});

test("SUPERVISOR-05, SUPERVISOR-06: status says what runs; stop asks at a terminal, no leaves the agents, yes hangs them up", async () => {
  await using scratch = new Scratch();
  assert.equal((await scratch.run(["session-supervisor", "status"])).status, 1);
  await scratch.ok("project", "create", "demo", scratch.repository(), "--backend", "shell");
  for (let n = 0; n < 3; n++) await scratch.ok("task", "create", "demo", "sleep 1000", "--name", `agent ${n}`);
  const client = await connectSupervisor(scratch.at("supervisor.sock"));
  const pids = (await client.list()).map((session) => session.pid);
  client.close();
  assert.equal(pids.length, 3);
  const status = await scratch.json<{ pid: number; socket: string; protocol: number; sessions: number }>("session-supervisor", "status");
  assert.deepEqual([status.socket, status.protocol >= 1, status.sessions], [scratch.at("supervisor.sock"), true, 3]);
  {
    await using shown = scratch.terminal(["session-supervisor", "stop"]);
    await shown.until("This interrupts 3 running agents. Stop the supervisor? [y/N]");
    shown.write("n\r");
    await shown.until("Nothing was stopped.");
    assert.equal(await shown.exited, 0);
  }
  assert.ok(pids.every(isAlive));
  {
    await using shown = scratch.terminal(["session-supervisor", "stop"]);
    await shown.until("[y/N]");
    shown.write("y\r");
    await shown.until("The supervisor has stopped; 3 agents were interrupted.");
    assert.equal(await shown.exited, 0);
  }
  assert.ok(!pids.some(isAlive));
  assert.match((await scratch.run(["session-supervisor", "stop", "--yes"])).stdout, /supervisor/);
});
