/** How runs end, and what a task's status says of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { agentOf, type Host, isAlive, startHost } from "../src/host.ts";
import { agent, CLAUDE, create, ENDS, look, said } from "./scratch.ts";

type Run = { number: number; ended_at: string | null; end_reason: string | null; exit_code: number | null; signal: string | null };

const runsOf = async (host: Host, id: string) => (await host.call<{ runs: Run[] }>("task.runs", { id })).runs;
const endsOf = async (host: Host, id: string) => (await runsOf(host, id)).map((run) => run.end_reason);
const supervisorOf = (host: Host) => host.system.services.node.sessions.hello()?.pid ?? assert.fail("there is a supervisor");

test("TASK-17, TASK-19: only an observed exit 0 completes; another status, a signal and a stop are for review", async () => {
  await using host = await startHost();
  const backend = await agent(host, "ends", ENDS);
  const endOf = async (prompt: string) => {
    const { id } = await create(host, { backend, prompt, name: prompt });
    if (prompt === "stopped") await host.call("task.stop", { id });
    const { status } = await host.until(id, (task) => task.status !== "in_progress");
    const [run] = await runsOf(host, id);
    return { status, reason: run?.end_reason, code: run?.exit_code, signal: run?.signal };
  };
  assert.deepEqual(
    [await endOf("0"), await endOf("1"), await endOf("SIGKILL"), await endOf("stopped")],
    [
      { status: "complete", reason: "exited", code: 0, signal: null },
      { status: "in_review", reason: "exited", code: 1, signal: null },
      { status: "in_review", reason: "exited", code: null, signal: "SIGKILL" },
      { status: "in_review", reason: "stopped", code: null, signal: "SIGTERM" },
    ],
  );
});

test("TASK-19: an agent that exits 0 because it was stopped is for review", async () => {
  await using host = await startHost();
  const polite = await agent(host, "polite", "#!/bin/sh\ntrap 'exit 0' TERM\necho 'said \"ready\"'\nsleep 1000000 & wait\n");
  const { id } = await create(host, { backend: polite });
  await said(host, id, "said");
  await host.call("task.stop", { id });
  assert.partialDeepStrictEqual((await runsOf(host, id))[0], { end_reason: "stopped", exit_code: 0 });
  assert.equal((await look(host, id)).status, "in_review");
});

test("TASK-19: a status that a person set while the agent ran is not overwritten by its end", async () => {
  await using host = await startHost();
  const { id } = await create(host, { backend: await agent(host, "ends", ENDS) });
  await host.call("task.set_status", { id, status: "pending" });
  const [session] = await host.system.services.node.sessions.list();
  process.kill(session?.pid ?? assert.fail(), "SIGKILL");
  await host.eventually(async () => (await endsOf(host, id))[0], "the end of the run");
  assert.equal((await look(host, id)).status, "pending");
});

test("TASK-19, TASK-31: when the supervisor dies under a running daemon its agents' tasks go to review", async () => {
  await using host = await startHost();
  const { id } = await create(host);
  process.kill(supervisorOf(host), "SIGKILL");
  await host.until(id, (task) => task.status === "in_review", "the new supervisor to be asked");
  assert.deepEqual(await endsOf(host, id), ["aborted-by-restart"]);
});

test("TASK-20: a start that fails puts the task back to pending, clears started_at, and keeps the conversation it had", async (t) => {
  await using host = await startHost();
  const backend = await agent(host, "claude", CLAUDE);
  const { id } = await create(host, { backend });
  await said(host, id, "args");
  await host.call("task.stop", { id });
  const { session_id } = await look(host, id);
  assert.ok(session_id);

  await host.call("backend.update", { name: backend, command: "does-not-exist" });
  await assert.rejects(host.call("task.resume", { id }), /"does-not-exist" is not on PATH/);
  const after = await look(host, id);
  assert.deepEqual([after.status, after.started_at, after.session_id], ["pending", undefined, session_id]);

  await host.call("backend.update", { name: backend, command: `${host.home}/bin/claude` });
  await host.system.services.tasks.set(Number(id), { session_id: null });
  t.mock.method(host.system.services.node.sessions, "spawn", () => Promise.reject(new Error("no terminal")));
  await assert.rejects(host.call("task.resume", { id }));
  t.mock.restoreAll();
  const again = await look(host, id);
  assert.deepEqual(
    [again.status, again.started_at, again.session_id],
    ["pending", undefined, undefined],
    "the id this attempt made is gone",
  );
  assert.equal((await host.call<{ status: string }>("task.resume", { id })).status, "resumed");
});

test("TASK-30: each run has one end reason, and none is left open once the daemon is up again", async (t) => {
  await using host = await startHost();
  await host.system.services.config.store({ "supervisor.resume_interrupted": false });
  const backend = await agent(host, "ends", ENDS);
  const { id } = await create(host, { backend, prompt: "1" });
  await host.until(id, (task) => task.status === "in_review");
  await host.system.services.tasks.set(Number(id), { prompt: "wait" });

  const spawn = t.mock.method(host.system.services.node.sessions, "spawn", () => Promise.reject(new Error("no terminal")));
  await assert.rejects(host.call("task.resume", { id }));
  spawn.mock.restore();
  await host.call("task.resume", { id });
  await host.call("task.stop", { id });
  await host.call("task.resume", { id });
  process.kill(supervisorOf(host), "SIGKILL");
  await host.restart();
  assert.deepEqual(await endsOf(host, id), ["exited", "failed", "stopped", "aborted-by-restart"]);
  const open = await host.system.services.store.db.selectFrom("runs").selectAll().where("ended_at", "is", null).execute();
  assert.deepEqual(open, []);
});

test("TASK-31: a turn interrupted by a restart of everything does not look finished, and its conversation is kept", async () => {
  await using host = await startHost();
  await host.system.services.config.store({ "supervisor.resume_interrupted": false });
  const { id } = await create(host, { backend: await agent(host, "claude", CLAUDE) });
  await said(host, id, "args");
  const { session_id } = await look(host, id);
  process.kill(supervisorOf(host), "SIGKILL");
  await host.restart();
  const task = await look(host, id);
  assert.deepEqual([task.status, task.session_id, task.last_run?.end_reason], ["in_review", session_id, "aborted-by-restart"]);
});

test("TASK-32: while the supervisor accepts and never answers, no run is closed and no status changes", async () => {
  await using host = await startHost();
  const { id } = await create(host);
  const [session] = await host.system.services.node.sessions.list();
  const supervisor = supervisorOf(host);
  process.kill(supervisor, "SIGSTOP");
  try {
    await host.restart();
    const task = await look(host, id);
    assert.deepEqual([task.status, task.state?.value, task.last_run?.end_reason], ["in_progress", "unverifiable", null]);
    assert.deepEqual(await endsOf(host, id), [null]);
  } finally {
    process.kill(supervisor, "SIGCONT");
  }
  await host.until(id, (task) => task.state?.value !== "unverifiable", "the supervisor to be asked");
  assert.deepEqual([(await look(host, id)).status, isAlive(session?.pid ?? 0)], ["in_progress", true]);
});

test("TASK-36: a digest tells, per task and oldest first, what happened since a time", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const backend = await agent(host, "ends", ENDS);
  const early = await create(host, { name: "early", backend, prompt: "0" });
  await host.until(early.id, ({ status }) => status === "complete");
  // The supervisor's exits carry real time, so the clock is left alone here.
  const since = new Date(host.clock.now()).toISOString();
  const busy = await create(host, { name: "busy", backend });
  const quiet = await create(host, { name: "quiet" });
  await assert.rejects(host.as(agentOf(busy)).call("task.delete", { id: quiet.id }), { code: "PENDING" });
  await host.call("task.complete", { id: early.id });
  await host.call("task.revert", { id: early.id });
  const [, session] = await host.system.services.node.sessions.list();
  process.kill(session?.pid ?? assert.fail(), "SIGKILL");
  await host.until(quiet.id, ({ status }) => status === "in_review");
  const { tasks, complete } = await host.call<{
    tasks: { id: string; entries: { at: string; kind: string; text: string }[] }[];
    complete: boolean;
  }>("task.digest", { since });
  assert.deepEqual(
    tasks.map(({ id, entries }) => ({ id, entries: entries.map(({ kind, text }) => `${kind}: ${text}`) })),
    [
      { id: early.id, entries: ["status: complete to in_review"] },
      {
        id: busy.id,
        entries: [
          "status: pending to in_progress",
          `approval: Waits for an answer: ${host.system.gate.registry.find("task.delete").summary}`,
        ],
      },
      { id: quiet.id, entries: ["status: pending to in_progress", "run: Run 1 ended by SIGKILL", "status: in_progress to in_review"] },
    ],
  );
  for (const { entries } of tasks)
    assert.deepEqual(
      entries,
      entries.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    );
  assert.equal(complete, true);
  await assert.rejects(host.call("task.digest", { since: "yesterday" }), /is no time/);
});

test("MCP-33: an agent's task_delete waits for a person, whichever task it names", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [mine, other] = [await create(host, { name: "mine" }), await create(host, { name: "other" })];
  for (const id of [mine.id, other.id]) {
    const asked = await host
      .as(agentOf(mine))
      .call("task.delete", { id })
      .then(
        () => assert.fail("nobody was asked"),
        (thrown: { code: string; details: { pending: string } }) => thrown,
      );
    assert.equal(asked.code, "PENDING");
    assert.equal((await look(host, id)).status, "in_progress");
  }
  const { approvals } = await host.call<{ approvals: { id: string; digest: string; summary: string }[] }>("approval.list", {
    status: "pending",
  });
  const question = approvals.find(({ summary }) => summary.includes(`"${other.id}"`)) ?? assert.fail("there is a question");
  await host.call("approval.resolve", { id: question.id, decision: "allow-once", digest: question.digest });
  await host.as(agentOf(mine)).call("task.delete", { id: other.id });
  await assert.rejects(look(host, other.id), /task not found/);
  assert.equal((await look(host, mine.id)).status, "in_progress");
});
