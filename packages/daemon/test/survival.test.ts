/** What goes on while the daemon or its supervisor is gone: agents, bytes and records. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Task } from "@argus/protocol";
import { type Host, isAlive, startHost } from "../src/host.ts";
import { sessionOf, start, view } from "./viewer.ts";

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const RESUMABLE = `
[harnesses.idle]
fresh_args = ["--session-id", "{id}"]
mints_id = true
resume_args = ["--resume", "{id}"]
`;

function configure(host: Host, text: string): void {
  fs.writeFileSync(path.join(host.home, "config.toml"), text);
}

async function killSupervisor(host: Host): Promise<number> {
  const pid = host.system.services.node.sessions.hello()?.pid ?? assert.fail("a supervisor is connected");
  process.kill(pid, "SIGKILL");
  await host.eventually(() => !isAlive(pid), "the supervisor to be gone");
  return pid;
}

/** Resolves when a supervisor other than this one answers. */
async function newSupervisor(host: Host, old: number): Promise<void> {
  await host.eventually(() => {
    const hello = host.system.services.node.sessions.hello();
    return hello && hello.pid !== old;
  }, "a new supervisor");
}

const reasons = async (host: Host, id: string) =>
  (await host.call<{ runs: { end_reason: string | null }[] }>("task.runs", { id })).runs.map((run) => run.end_reason);

test("SUPERVISOR-04: through daemon restarts in the middle of output the agent keeps its pid and no byte is missing or doubled", async () => {
  await using host = await startHost();
  const command = host.system.services.backends.choose("fixture-numbered", "").command;
  await host.call("backend.create", { name: "lines", command: `${command} 300 1200` });
  const id = await start(host, "numbered", { backend: "lines" });
  const { pid } = await sessionOf(host, id);
  let at = 0;
  const parts: Buffer[] = [];
  for (let round = 0; round < 4; round++) {
    await using viewer = await view(host, id, { since: at });
    const from = at;
    await viewer.until((v) => v.at() > from + 200, "more output");
    at = viewer.at();
    parts.push(viewer.bytes());
    await host.restart();
    assert.equal((await sessionOf(host, id)).pid, pid);
  }
  await using last = await view(host, id, { since: at });
  await last.done();
  parts.push(last.bytes());
  assert.deepEqual(last.exit(), { pending_restart: false });
  const whole = Array.from({ length: 1200 }, (_, n) => `line ${n + 1}\r\n`).join("");
  const seen = Buffer.concat(parts);
  assert.deepEqual([seen.length, sha(seen)], [whole.length, sha(Buffer.from(whole))]);
  assert.equal((await host.until(id, (task) => task.status === "complete")).state?.value, "exited");
});

test("SUPERVISOR-24: an agent that ends while the daemon is away ends with its own exit status", async () => {
  await using host = await startHost();
  const flag = path.join(host.home, "go");
  await host.call("backend.create", { name: "later", command: `sh -c 'until [ -e ${flag} ]; do sleep 0.05; done; echo bye; exit 7'` });
  const id = await start(host, "later", { backend: "later" });
  const { pid } = await sessionOf(host, id);
  await host.system[Symbol.asyncDispose]();
  fs.writeFileSync(flag, "");
  await host.eventually(() => !isAlive(pid), "the agent's end");
  await host.restart();
  const { runs } = await host.call<{ runs: { end_reason: string; exit_code: number }[] }>("task.runs", { id });
  assert.deepEqual([runs[0]?.end_reason, runs[0]?.exit_code], ["exited", 7]);
  assert.equal((await host.call("task.get", { id })).status, "in_review");
});

test("TASK-30, TASK-31: when supervisor and daemon are gone, open runs close as aborted-by-restart and the conversation is kept", async () => {
  await using host = await startHost();
  configure(host, `${RESUMABLE}\n[supervisor]\nresume_interrupted = false\n`);
  const id = await start(host, "idle");
  const { session_id } = await host.call<Task>("task.get", { id });
  const { pid } = await sessionOf(host, id);
  await killSupervisor(host);
  await host.restart();
  const task = await host.until(id, (now) => now.status !== "in_progress", "the run to be closed");
  assert.deepEqual(
    [task.status, task.last_run?.end_reason, task.session_id, task.state?.value],
    ["in_review", "aborted-by-restart", session_id, "exited"],
  );
  await host.eventually(() => !isAlive(pid), "the agent, hung up with its terminal");
  assert.deepEqual(await reasons(host, id), ["aborted-by-restart"]);
});

test("SUPERVISOR-07: interrupted sessions with a conversation are resumed, oldest first, and others are not", async () => {
  await using host = await startHost();
  configure(host, `${RESUMABLE}\n[harnesses.echo]\nfresh_args = ["{id}"]\nmints_id = true\n`);
  const ids: string[] = [];
  for (let n = 0; n < 4; n++) ids.push(await start(host, "idle", { name: `agent ${n}` }));
  const plain = await start(host, "echo"); // has an id, and no way to resume it
  const conversations = await Promise.all(ids.map(async (id) => (await host.call<Task>("task.get", { id })).session_id));
  const started: string[] = [];
  host.system.services.events.subscribe((event) => {
    if (event.type === "session.started" && event.payload.resume === true) started.push(event.task_id ?? "");
  });
  await newSupervisor(host, await killSupervisor(host));
  for (const [n, id] of ids.entries()) {
    await host.eventually(async () => (await reasons(host, id)).length === 2, `task ${id} to be resumed`);
    const task = await host.call<Task>("task.get", { id });
    assert.equal(task.status, "in_progress");
    assert.equal(task.session_id, conversations[n]);
    assert.deepEqual(await reasons(host, id), ["aborted-by-restart", null]);
  }
  await host.eventually(() => started.length === ids.length, "every start to be told");
  assert.deepEqual([...started.slice(0, 2).sort(), ...started.slice(2).sort()], ids, "the two oldest first");
  assert.deepEqual(
    [(await host.call<Task>("task.get", { id: plain })).status, await reasons(host, plain)],
    ["in_review", ["aborted-by-restart"]],
  );
});

test("SUPERVISOR-07: with supervisor.resume_interrupted off nothing is resumed", async () => {
  await using host = await startHost();
  configure(host, `${RESUMABLE}\n[supervisor]\nresume_interrupted = false\n`);
  const id = await start(host, "idle");
  await newSupervisor(host, await killSupervisor(host));
  await host.until(id, (task) => task.status === "in_review");
  assert.deepEqual(
    (await host.system.services.node.sessions.list()).map((session) => session.id),
    [],
  );
});

test("SESSION-22, TASK-32: while the supervisor cannot answer, sessions are unverifiable, and no run is closed", async () => {
  await using host = await startHost();
  const id = await start(host, "idle");
  await host.until(id, (task) => task.state !== undefined && task.state.value !== "starting");
  const supervisor = host.system.services.node.sessions.hello()?.pid as number;
  process.kill(supervisor, "SIGSTOP");
  try {
    host.clock.advance(31_000);
    const task = await host.until(id, (now) => now.state?.value === "unverifiable", "the state to be unverifiable");
    assert.deepEqual([task.status, task.state?.source], ["in_progress", "process"]);
    assert.match(task.state?.evidence ?? "", /not confirmed/);
  } finally {
    process.kill(supervisor, "SIGCONT");
  }
  const again = await host.until(id, (task) => task.state?.value === "idle", "the state to be known again");
  assert.equal(again.status, "in_progress");
  assert.deepEqual(await reasons(host, id), [null]);
});
