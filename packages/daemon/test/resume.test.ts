/** Starting again: the same folder and conversation, one process, and ends that leave a record. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type Host, isAlive, startHost } from "../src/host.ts";
import { sessionOf, start, type Viewer, view } from "./viewer.ts";

const ARGS_HARNESS = `
[harnesses.args]
fresh_args = ["--session-id", "{id}"]
mints_id = true
resume_args = ["--resume", "{id}"]
`;
const CLAUDE = path.resolve(import.meta.dirname, "../../../fixtures/harnesses/claude");

/** The agent \`args\` as a harness that Argus gives a conversation id. */
async function startWithConversation(host: Host, input: Record<string, unknown> = {}): Promise<{ id: string; session: string }> {
  fs.writeFileSync(path.join(host.home, "config.toml"), ARGS_HARNESS);
  const id = await start(host, "args", input);
  const task = await host.call<{ session_id: string }>("task.get", { id });
  assert.match(task.session_id, /^[0-9a-f-]{36}$/);
  return { id, session: task.session_id };
}

/** The arguments the running agent says it got. */
async function argumentsOf(host: Host, id: string): Promise<string[]> {
  await using viewer = await view(host, id);
  return await argumentsSeen(viewer);
}
async function argumentsSeen(viewer: Viewer): Promise<string[]> {
  await viewer.until((v) => v.text().includes("ready"), "ready");
  const text = viewer.text();
  const shown = text.slice(text.lastIndexOf("args [") + 5).split(/cwd |ready/)[0] ?? "";
  // A redraw wraps long lines by escape codes; what is between them belongs together.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminals send
  return JSON.parse(shown.replace(/\x1b\[[0-9;?]*[A-Za-z]|[\r\n]/g, ""));
}

test("SESSION-01: a missing worktree is an error that names task and path, and nothing is started elsewhere", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  const { worktree_path } = await host.call<{ worktree_path: string }>("task.get", { id });
  await host.call("task.stop", { id });
  fs.rmSync(worktree_path, { recursive: true });
  await assert.rejects(host.call("task.resume", { id }), (error: Error & { code: string }) => {
    assert.equal(error.code, "CONFLICT");
    return error.message.includes(`task ${id} `) && error.message.includes(worktree_path);
  });
  assert.deepEqual(
    (await host.system.services.node.sessions.list()).filter((session) => !session.exit),
    [],
  );
});

test("SESSION-01, SESSION-03: an agent runs in its worktree and leads its own session and group on its own terminal", async () => {
  await using host = await startHost();
  const id = await start(host, "args", { cols: 200 });
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  const { worktree_path } = await host.call<{ worktree_path: string }>("task.get", { id });
  assert.ok(viewer.text().includes(`cwd ${worktree_path}`), viewer.text());
  const { pid } = await sessionOf(host, id);
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
  const [, , group, session, terminal] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  assert.deepEqual([group, session], [pid, pid]);
  assert.equal((terminal ?? 0) >> 8, 136, "the controlling terminal is a PTY");
});

test("SESSION-16: twenty resumes at once start exactly one process", async () => {
  await using host = await startHost();
  const { id } = await startWithConversation(host);
  await host.call("task.stop", { id });
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => host.call("task.resume", { id })));
  const codes = tries.map((one) => (one.status === "fulfilled" ? "started" : (one.reason as { code: string }).code)).sort();
  assert.deepEqual(codes, [...Array.from({ length: 19 }, () => "BUSY"), "started"]);
  const live = (await host.system.services.node.sessions.list()).filter((session) => !session.exit);
  assert.equal(live.length, 1);
  const { runs } = await host.call<{ runs: unknown[] }>("task.runs", { id });
  assert.equal(runs.length, 2);
});

test("SESSION-46: resume continues the conversation in the same folder, without the prompt, and the task is in progress", async () => {
  await using host = await startHost();
  const { id, session } = await startWithConversation(host, { prompt: "do it", cols: 300 });
  assert.deepEqual(await argumentsOf(host, id), ["--session-id", session, "--", "do it"]);
  await host.call("task.stop", { id });
  assert.equal((await host.call("task.get", { id })).status, "in_review");
  const { pid } = await host.call<{ pid: number }>("task.resume", { id, cols: 300 });
  const task = await host.call<{ worktree_path: string }>("task.get", { id });
  assert.deepEqual(
    [await argumentsOf(host, id), fs.realpathSync(`/proc/${pid}/cwd`), task],
    [["--resume", session], fs.realpathSync(task.worktree_path), { ...task, status: "in_progress", session_id: session }],
  );
});

test("SESSION-46: a task whose row was wrong but whose agent lives is healed, and no second agent starts", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  const { pid } = await sessionOf(host, id);
  await host.call("task.set_status", { id, status: "in_review" });
  assert.deepEqual(await host.call("task.resume", { id }), { status: "healed", pid });
  assert.equal((await host.call("task.get", { id })).status, "in_progress");
});

test("SESSION-14: a harness that cannot resume starts afresh and the reply says so", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  await host.call("task.stop", { id });
  const reply = await host.call<{ status: string; note: string }>("task.resume", { id });
  assert.deepEqual([reply.status, /afresh/.test(reply.note)], ["resumed", true]);
});

test("SESSION-12, SESSION-15: a new conversation made while it ran is the one that is resumed", async () => {
  await using host = await startHost();
  await host.call("backend.create", { name: "c", command: CLAUDE });
  const id = await start(host, "claude", { backend: "c", cols: 300 });
  const first = (await host.call<{ session_id: string }>("task.get", { id })).session_id;
  const fresh = await argumentsOf(host, id);
  assert.deepEqual(fresh.slice(fresh.indexOf("--session-id"), fresh.indexOf("--session-id") + 2), ["--session-id", first]);
  const second = "11111111-2222-4333-8444-555555555555";
  await using viewer = await view(host, id);
  await host.call("session.input", { id, text: `clear ${second}\r` });
  await viewer.until((v) => v.text().includes(`cleared ${second}`), "the second conversation");
  await host.call("session.input", { id, text: "exit 1\r" });
  await host.until(id, (task) => task.status === "in_review");
  assert.equal((await host.call("task.get", { id })).session_id, second);
  await host.call("task.resume", { id, cols: 300 });
  const again = await argumentsOf(host, id);
  assert.deepEqual(again.slice(again.indexOf("--resume")), ["--resume", second]);
});

test("SESSION-17, REST-44: switching to an older conversation restarts the agent with it, and it stays the one", async () => {
  await using host = await startHost({ rest: true });
  await host.call("backend.create", { name: "c", command: CLAUDE });
  const id = await start(host, "claude", { backend: "c", prompt: "the first", cols: 300 });
  const first = (await host.call<{ session_id: string }>("task.get", { id })).session_id;
  const others = ["11111111-2222-4333-8444-555555555555", "22222222-2222-4333-8444-555555555555"];
  await using viewer = await view(host, id);
  for (const other of others) {
    await host.call("session.input", { id, text: `clear ${other}\r` });
    await viewer.until((v) => v.text().includes(`cleared ${other}`), other);
  }
  const listed = (await (await host.rest("GET", `/api/tasks/${id}/conversations`)).json()).conversations;
  assert.deepEqual(new Set(listed.map((one: { id: string }) => one.id)), new Set([first, ...others]));
  assert.deepEqual(
    listed.filter((one: { current: boolean }) => one.current).map((one: { id: string; title: string }) => [one.id, one.title]),
    [[first, "the first"]],
  );
  const [, second] = others as [string, string];
  await host.call("task.stop", { id });
  assert.notEqual((await host.call("task.get", { id })).session_id, first, "the newest was captured");
  await host.call("task.resume", { id });
  const reply = await host.rest("POST", `/api/tasks/${id}/conversations`, { id: first });
  assert.deepEqual([reply.status, (await reply.json()).status], [200, "resumed"]);
  assert.ok((await argumentsOf(host, id)).join(" ").endsWith(`--resume ${first}`));
  await host.call("task.stop", { id });
  assert.equal((await host.call("task.get", { id })).session_id, first);
  assert.equal((await host.rest("POST", `/api/tasks/${id}/conversations`, { id: "none" })).status, 404);
  assert.notEqual(second, first);
});

test("SESSION-33, SESSION-34: 15 columns away from the first width an idle session is started again at the new one", async () => {
  await using host = await startHost({ rest: true });
  const { id, session } = await startWithConversation(host);
  const resize = async (cols: number) => (await host.rest("POST", `/api/tasks/${id}/resize`, { cols, rows: 24 })).json();
  await argumentsOf(host, id);
  const { pid } = await sessionOf(host, id);
  host.clock.advance(100);
  await host.until(id, (task) => task.state?.value === "working");
  assert.deepEqual(await resize(120), { cols: 120, rows: 24, rerendered: false }, "not while it works");
  await resize(80);
  host.clock.advance(3_000);
  await host.until(id, (task) => task.state?.value === "idle");
  assert.deepEqual(await resize(94), { cols: 94, rows: 24, rerendered: false }, "14 columns are not far");

  const seen: { status: string; idle: boolean; alive: boolean }[] = [];
  const events = new Set<string>();
  const unsubscribe = host.system.services.events.subscribe((event) => events.add(event.type));
  await using viewer = await view(host, id);
  await viewer.until((v) => v.at() > 0, "the screen");
  assert.deepEqual(await resize(95), { cols: 95, rows: 24, rerendered: true });
  const again = await Promise.allSettled([host.call("task.resume", { id }), host.call("task.restart", { id })]);
  assert.deepEqual(
    again.map((one) => (one.status === "rejected" ? one.reason.code : one.value)),
    ["BUSY", "BUSY"],
  );
  assert.equal((await resize(130)).rerendered, false, "one at a time");
  await host.eventually(async () => {
    const task = await host.call<{ status: string; idle: boolean; state: { value: string } }>("task.get", { id });
    seen.push({ status: task.status, idle: task.idle, alive: task.state.value !== "exited" });
    return (await host.call<{ runs: unknown[] }>("task.runs", { id })).runs.length === 2;
  }, "the second run");
  unsubscribe();
  await viewer.done();
  assert.deepEqual(viewer.exit(), { pending_restart: true });
  assert.deepEqual(
    [...new Set(seen.map((one) => JSON.stringify(one)))],
    [JSON.stringify({ status: "in_progress", idle: false, alive: true })],
  );
  assert.ok(events.has("session.exited") && !events.has("task.status_changed"), [...events].join());
  const after = await host.eventually(() => sessionOf(host, id).catch(() => null), "the new process");
  assert.deepEqual([after.cols, after.pid !== pid], [95, true]);
  assert.deepEqual(await argumentsOf(host, id), ["--resume", session]);
});

test("SESSION-33: without a conversation to resume a resize is only a resize", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("idle"), "output");
  host.clock.advance(3_000);
  await host.until(id, (task) => task.state?.value === "idle");
  assert.deepEqual(await host.call("session.resize", { id, cols: 120, rows: 24 }), { cols: 120, rows: 24, rerendered: false });
});

test("SESSION-35: a session that asks something is not started again", async () => {
  await using host = await startHost();
  fs.writeFileSync(path.join(host.home, "config.toml"), ARGS_HARNESS.replace("args]", "ask]"));
  const id = await start(host, "ask");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("Esc to cancel"), "the question");
  host.clock.advance(3_000);
  await host.until(id, (task) => task.state?.value === "needs_input");
  assert.deepEqual(await host.call("session.resize", { id, cols: 120, rows: 24 }), { cols: 120, rows: 24, rerendered: false });
  assert.equal((await host.call<{ runs: unknown[] }>("task.runs", { id })).runs.length, 1);
});

test("SESSION-44: stop ends the whole group, by SIGKILL where SIGTERM is ignored, and is content with what has ended", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "slow-exit");
  await using viewer = await view(host, id);
  await viewer.until((v) => /pid \d+ child \d+\r/.test(v.text()), "its processes");
  const pids = (viewer.text().match(/pid (\d+) child (\d+)/) ?? []).slice(1).map(Number);
  assert.equal((await host.rest("POST", `/api/tasks/${id}/stop`)).status, 200);
  assert.deepEqual(pids.map(isAlive), [false, false]);
  const task = await host.call<{ status: string; last_run: unknown }>("task.get", { id });
  assert.equal(task.status, "in_review");
  const { runs } = await host.call<{ runs: { end_reason: string; signal: string }[] }>("task.runs", { id });
  assert.deepEqual([runs[0]?.end_reason, runs[0]?.signal], ["stopped", "SIGKILL"]);
  assert.deepEqual(
    [(await host.rest("POST", `/api/tasks/${id}/stop`)).status, (await host.rest("POST", "/api/tasks/999/stop")).status],
    [200, 404],
  );
});

test("SESSION-45: through many exits nobody sees a session gone before its record", async () => {
  await using host = await startHost();
  await host.call("backend.create", { name: "crash 9", command: `${host.system.services.backends.choose("fixture-crash", "").command} 9` });
  const id = await start(host, "crash", { backend: "crash 9" });
  const EXITS = 60;
  for (let run = 1; ; run++) {
    for (;;) {
      await new Promise(setImmediate); // else the exits never get their turn
      const gone = !host.system.services.sessions.live.has(Number(id));
      const task = await host.call<{ state: { value: string }; status: string }>("task.get", { id });
      if (!gone && task.state.value !== "exited" && task.status === "in_progress") continue;
      const { runs } = await host.call<{ runs: { number: number; end_reason: string; exit_code: number }[] }>("task.runs", { id });
      const last = runs.find((one) => one.number === run);
      assert.deepEqual([last?.end_reason, last?.exit_code], ["exited", 9], `run ${run}`);
      if (gone) break;
    }
    if (run === EXITS) break;
    await host.call("task.restart", { id });
  }
  const { text } = await host.call<{ text: string }>("session.output", { id });
  assert.equal(text.match(/about to fail/g)?.length, EXITS, "the last output of every run is kept");
});

test("SESSION-44: a stop during a start waits for it and then ends it", async () => {
  await using host = await startHost();
  const { id } = await startWithConversation(host);
  await host.call("task.stop", { id });
  const [resumed, stopped] = await Promise.all([host.call<{ pid: number }>("task.resume", { id }), host.call("task.stop", { id })]);
  assert.deepEqual(stopped, { status: "stopped" });
  await host.until(id, (task) => task.status === "in_review" || isAlive(resumed.pid));
  const { runs } = await host.call<{ runs: { end_reason: string | null }[] }>("task.runs", { id });
  // Whichever came first: either the stop found nothing, or it ended what was being started.
  assert.equal(isAlive(resumed.pid), runs.at(-1)?.end_reason === null);
});
