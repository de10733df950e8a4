/** What a session is doing, as every face is told: with the source, the reason, and the facts that follow from it. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { ArgusEvent, Task } from "@argus/protocol";
import { agentOf, type Host, startHost } from "../src/host.ts";
import { sessionOf, start, type Viewer, view } from "./viewer.ts";

/** Types, and waits until the agent has given it back. */
async function echo(host: Host, viewer: Viewer, id: string, text: string): Promise<void> {
  await host.call("session.input", { id, text });
  await viewer.until((v) => v.text().includes(text), text);
}

/** Everything announced from now on. */
function record(host: Host): ArgusEvent[] {
  const events: ArgusEvent[] = [];
  host.system.services.events.subscribe((event) => events.push(event));
  return events;
}
const named = (events: ArgusEvent[], type: string) => events.filter((event) => event.type === type);

async function untilState(host: Host, id: string, value: string): Promise<Task> {
  return host.until(id, (task) => task.state?.value === value, `the state ${value}`);
}

/** The token that the agent of this task was given. */
async function tokenOf(host: Host, id: string): Promise<string> {
  const { pid } = await sessionOf(host, id);
  const environment = fs.readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return environment.find((entry) => entry.startsWith("ARGUS_MCP_TOKEN="))?.slice("ARGUS_MCP_TOKEN=".length) ?? assert.fail("a token");
}

test("SESSION-18, SESSION-20: an agent is working while it writes and idle 3 s after, each with source, since and evidence", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  const working = await untilState(host, id, "working");
  assert.deepEqual([working.state?.source, working.idle], ["process", false]);
  host.clock.advance(2_000);
  assert.equal((await host.until(id, () => true)).state?.value, "working");
  host.clock.advance(1_500);
  const idle = await untilState(host, id, "idle");
  assert.deepEqual([idle.state?.source, idle.idle, idle.state?.evidence], ["process", true, "No output for 3 s"]);
  assert.ok(Date.parse(idle.state?.since ?? "") >= Date.parse(working.state?.since ?? ""));
});

test("SESSION-18: an agent that never wrote is starting, not idle, and one that floods is working", async () => {
  await using host = await startHost();
  await host.call("backend.create", { name: "silent", command: "sleep 1000000" });
  const silent = await start(host, "silent", { backend: "silent" });
  const flood = await start(host, "flood");
  host.clock.advance(60_000);
  await untilState(host, flood, "working");
  const task = await untilState(host, silent, "starting");
  assert.deepEqual([task.idle, task.state?.evidence], [false, "Started; no output yet"]);
});

test("SESSION-19: a task is idle when in progress with its session missing, idle or asking, and never otherwise", async () => {
  await using host = await startHost();
  const [idle, ask, flood] = [await start(host, "idle"), await start(host, "ask"), await start(host, "flood")];
  await untilState(host, idle, "working");
  host.clock.advance(4_000);
  await untilState(host, ask, "needs_input");
  const read = async (id: string) => (await host.call<Task>("task.get", { id })).idle;
  await untilState(host, idle, "idle");
  assert.deepEqual([await read(idle), await read(ask), await read(flood)], [true, true, false]);
  await host.call("task.stop", { id: idle });
  assert.equal(await read(idle), false, "in review");
  await host.call("task.set_status", { id: idle, status: "in_progress" });
  assert.equal(await read(idle), true, "in progress without a session");
});

test("SESSION-25: needs_input is read from the screen and clears when the user types", async () => {
  await using host = await startHost();
  const id = await start(host, "echo");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  await echo(host, viewer, id, "Shall I go on?\r\n> ");
  await host.until(id, (task) => task.state?.value === "working");
  host.clock.advance(3_500);
  const asking = await untilState(host, id, "needs_input");
  assert.deepEqual([asking.state?.source, asking.state?.evidence, asking.idle], ["screen", "Shall I go on?", true]);
  await echo(host, viewer, id, "yes");
  await untilState(host, id, "working");
  await echo(host, viewer, id, "\r\nVery well.\r\n");
  host.clock.advance(3_500);
  assert.equal((await untilState(host, id, "idle")).state?.source, "process");
});

test("SESSION-25: a question is answered by typing even when the program shows nothing of it", async () => {
  await using host = await startHost();
  await host.call("backend.create", { name: "mute", command: "sh -c 'stty -echo; echo Proceed?; exec sleep 1000000'" });
  const id = await start(host, "mute", { backend: "mute" });
  await untilState(host, id, "working");
  host.clock.advance(3_500);
  await untilState(host, id, "needs_input");
  await host.call("session.input", { id, text: "y" });
  assert.equal((await untilState(host, id, "idle")).state?.source, "process");
});

test("SESSION-18: the fact session.idle comes once per turn, and not for what was idle when the daemon started", async () => {
  await using host = await startHost();
  const id = await start(host, "echo");
  const events = record(host);
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  await untilState(host, id, "working");
  for (let turn = 1; turn <= 2; turn++) {
    host.clock.advance(3_500);
    await untilState(host, id, "idle");
    for (let more = 0; more < 3; more++) {
      host.clock.advance(1_000);
      await host.until(id, () => true);
    }
    assert.equal(named(events, "session.idle").length, turn);
    if (turn === 1) {
      await echo(host, viewer, id, "turn");
      await untilState(host, id, "working");
    }
  }
  await viewer[Symbol.asyncDispose]();
  await host.restart();
  const after = record(host);
  await untilState(host, id, "idle");
  host.clock.advance(1_000);
  await host.until(id, () => true);
  assert.deepEqual(named(after, "session.idle"), []);
  await host.call("session.input", { id, text: "more" });
  await untilState(host, id, "working");
  host.clock.advance(3_500);
  await untilState(host, id, "idle");
  await host.eventually(() => named(after, "session.idle").length === 1, "the next turn to be told");
});

test("SESSION-26: going idle unseen asks for attention until the view is opened; going idle in view does not", async () => {
  await using host = await startHost();
  const id = await start(host, "echo");
  const attention = async () => (await host.call<Task>("task.get", { id })).attention;
  await untilState(host, id, "working");
  host.clock.advance(3_500);
  await untilState(host, id, "idle");
  assert.equal(await attention(), true);
  const viewer = await view(host, id);
  assert.equal(await attention(), false);
  await echo(host, viewer, id, "seen");
  await untilState(host, id, "working");
  host.clock.advance(3_500);
  await untilState(host, id, "idle");
  assert.equal(await attention(), false);
  await viewer[Symbol.asyncDispose]();
  await host.call("session.input", { id, text: "unseen" });
  await untilState(host, id, "working");
  host.clock.advance(3_500);
  await untilState(host, id, "idle");
  assert.equal(await attention(), true);
});

test("SESSION-21: a hook's word outranks what the screen and the process look like, for 120 s", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  await untilState(host, id, "working");
  await host.as(agentOf({ id })).call("session.report", { state: "working", evidence: "Running the tests" });
  host.clock.advance(60_000);
  const claimed = await untilState(host, id, "working");
  assert.deepEqual([claimed.state?.source, claimed.state?.evidence], ["hook", "Running the tests"]);
  await host.as(agentOf({ id })).call("session.report", { state: "needs_input" });
  assert.equal((await untilState(host, id, "needs_input")).state?.source, "hook");
  host.clock.advance(121_000);
  assert.equal((await untilState(host, id, "idle")).state?.source, "process");
  process.kill((await sessionOf(host, id)).pid, "SIGKILL");
  assert.equal((await untilState(host, id, "exited")).state?.source, "process");
});

test("SESSION-22: a hook that said working, then neither output nor word for 120 s, leaves the state unverifiable", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  await untilState(host, id, "working");
  await host.as(agentOf({ id })).call("session.report", { state: "working" });
  host.clock.advance(125_000);
  const task = await untilState(host, id, "unverifiable");
  assert.deepEqual([task.state?.source, task.status, task.idle], ["hook", "in_progress", false]);
  await host.as(agentOf({ id })).call("session.report", { state: "idle" });
  await untilState(host, id, "idle");
});

test("SESSION-23: a hook that says idle while output keeps flowing raises one session.drift naming both", async () => {
  await using host = await startHost();
  const id = await start(host, "flood");
  const events = record(host);
  await untilState(host, id, "working");
  await host.as(agentOf({ id })).call("session.report", { state: "idle", evidence: "Stop hook" });
  await untilState(host, id, "idle");
  for (let seconds = 0; seconds < 30; seconds += 3) {
    host.clock.advance(3_000);
    const before = (await sessionOf(host, id)).offset;
    await host.eventually(async () => (await sessionOf(host, id)).offset > before, "more output");
    await host.until(id, () => true);
  }
  const drift = named(events, "session.drift");
  assert.deepEqual(
    drift.map((event) => event.payload),
    [{ claim: "hook: idle (Stop hook)", observed: "process: output keeps flowing" }],
  );
});

test("SESSION-24: a report with another task's token is refused, and changes nothing", async () => {
  await using host = await startHost({ rest: true });
  const [mine, other] = [await start(host, "idle"), await start(host, "echo")];
  const report = (token: string, id: string) =>
    fetch(new URL(`/api/tasks/${id}/report`, host.url()), {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ state: "needs_input", evidence: "May I?" }),
    }).then((reply) => reply.status);
  const token = await tokenOf(host, mine);
  assert.equal(await report(token, other), 403);
  assert.notEqual((await host.until(other, () => true)).state?.source, "hook");
  assert.equal(await report(token, mine), 200);
  const task = await untilState(host, mine, "needs_input");
  assert.deepEqual([task.state?.source, task.state?.evidence], ["hook", "May I?"]);
  await host.call("task.stop", { id: mine });
  assert.equal(await report(token, mine), 401, "a run's token ends with it");
});

test("SESSION-20: a paused agent is paused, also after a daemon restart, goes on when told, and can be stopped", async () => {
  await using host = await startHost();
  const id = await start(host, "flood");
  await untilState(host, id, "working");
  assert.deepEqual(await host.call("session.pause", { id }), { status: "paused" });
  const paused = await untilState(host, id, "paused");
  assert.deepEqual([paused.state?.source, paused.status, paused.idle], ["process", "in_progress", false]);
  await host.restart();
  await untilState(host, id, "paused");
  await host.call("session.continue", { id });
  await untilState(host, id, "working");
  await host.call("session.pause", { id });
  await host.call("task.stop", { id });
  const { runs } = await host.call<{ runs: { end_reason: string; signal: string }[] }>("task.runs", { id });
  assert.deepEqual([runs[0]?.end_reason, runs[0]?.signal], ["stopped", "SIGTERM"]);
});

test("SESSION-50: a task shows what its agent's process tree takes", { skip: process.platform !== "linux" }, async () => {
  await using host = await startHost();
  const [flood, idle] = [await start(host, "flood"), await start(host, "idle")];
  host.clock.advance(10_000);
  const busy = await host.until(flood, (task) => task.load !== undefined && task.load.cpu === 0, "a first measurement");
  assert.ok((busy.load?.memory ?? 0) > 10e6, JSON.stringify(busy.load));
  await host.eventually(async () => {
    host.clock.advance(10_000);
    return ((await host.call<Task>("task.get", { id: flood })).load?.cpu ?? 0) > 0;
  }, "a share of a processor");
  const quiet = await host.until(idle, (task) => task.load !== undefined);
  assert.equal(quiet.load?.cpu, 0);
});

test("SESSION-24: a claude agent gets hooks for this launch only, which report with its own token and say nothing", async () => {
  await using host = await startHost();
  const program = path.resolve(import.meta.dirname, "../../../fixtures/harnesses/claude");
  await host.call("backend.create", { name: "c", command: program });
  const id = await start(host, "claude", { backend: "c", cols: 400 });
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  const { pid } = await sessionOf(host, id);
  const token =
    fs.readFileSync(path.join(host.home, "run", `${id}.1.mcp.json`), "utf8").match(/Bearer ([0-9a-f]{64})"/)?.[1] ?? assert.fail("a token");
  assert.ok(!fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(token), "the token is in no command line");
  for (const [event, state, evidence] of [
    ["UserPromptSubmit", "working", "UserPromptSubmit"],
    ["Notification", "needs_input", "Notification: Claude needs your permission to use Bash"],
    ["PostToolUse", "working", "PostToolUse"],
    ["Stop", "idle", "Stop"],
  ] as const) {
    await host.call("session.input", { id, text: `hook ${event}\r` });
    await viewer.until((v) => v.text().includes(`hooked ${event} 0 ""`), `the hook of ${event}`);
    const task = await host.until(id, (now) => now.state?.source === "hook" && now.state.value === state, `${state} by ${event}`);
    assert.equal(task.state?.evidence, evidence);
  }
  const { worktree_path } = await host.call<Task>("task.get", { id });
  assert.deepEqual(fs.readdirSync(worktree_path).sort(), [".git", "README.md"], "nothing is written where the agent works");
  await host.call("task.stop", { id });
});

test("SESSION-24: without a token nobody can say what an agent does", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  const anonymous = host.as({ kind: "anonymous", id: "anonymous", tier: "write", surface: "mcp" });
  await assert.rejects(anonymous.call("session.report", { id, state: "idle" }), { code: "PERMISSION_DENIED" });
});
