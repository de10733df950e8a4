/** Questions of the form "may I?": asked once, answered once, by somebody else, used once. */
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { ArgusError } from "@argus/protocol";
import pino from "pino";
import { Approvals } from "../src/features/approval/index.ts";
import { Config } from "../src/features/config/index.ts";
import { agentOf, type Host, startHost } from "../src/host.ts";
import type { Caller } from "../src/kernel/caller.ts";
import { TestClock } from "../src/kernel/clock.ts";
import type { Store } from "../src/kernel/database.ts";
import { Events } from "../src/kernel/events.ts";
import { Redactor } from "../src/kernel/redact.ts";
import { operations } from "../src/operations.ts";
import { onBothStores } from "./stores.ts";

interface Approval {
  id: string;
  digest: string;
  status: string;
  decision: string | null;
  [field: string]: unknown;
}

const code = (wanted: string) => (error: ArgusError) => error.code === wanted || assert.fail(`${error.code}: ${error.message}`);
const pending = async (host: Host) => (await host.call<{ approvals: Approval[] }>("approval.list", { status: "pending" })).approvals;
const find = async (host: Host, id: string) =>
  (await host.call<{ approvals: Approval[] }>("approval.list")).approvals.find((one) => one.id === id) ?? assert.fail(`no approval ${id}`);
const task = (host: Host, name: string) => host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait", name });

/** An agent that asks to delete somebody's task; the question it left. */
async function question(host: Host, asker: { id: string }, victim: string): Promise<Approval> {
  await assert.rejects(host.as(agentOf(asker)).call("task.delete", { id: victim }), code("PENDING"));
  return (await pending(host)).at(-1) as Approval;
}

test("TOKEN-20: a call that must be asked about becomes a stored approval with everything a person needs, and is answered after a restart", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [asker, victim] = [await task(host, "asker"), await task(host, "victim")];
  const asked = await question(host, asker, victim.id);
  await host.restart();
  const { id, digest, created_at, expires_at, ...rest } = await find(host, asked.id);
  assert.deepEqual(rest, {
    requester: `task:${asker.id}`,
    task_id: asker.id,
    operation: "task.delete",
    title: operations.find((one) => one.name === "task.delete")?.summary,
    summary: rest.summary,
    status: "pending",
    fallback: "deny",
    decision: null,
    approver: null,
    surface: null,
  });
  assert.equal(JSON.parse(String(rest.summary)).id, victim.id);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.equal(Date.parse(String(expires_at)) - Date.parse(String(created_at)), 600_000);
  await host.call("approval.resolve", { id, decision: "deny", digest });
  const after = await find(host, id);
  assert.deepEqual([after.status, after.decision, after.approver, after.surface], ["denied", "deny", "owner", "socket"]);
  assert.ok(await host.call("task.get", { id: victim.id }));
});

test("TOKEN-21, APPR-09: an allow admits one call with the same arguments by the same requester", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [asker, other, victim, third] = [
    await task(host, "asker"),
    await task(host, "other"),
    await task(host, "victim"),
    await task(host, "third"),
  ];
  const asked = await question(host, asker, victim.id);
  await host.call("approval.resolve", { id: asked.id, decision: "allow-once", digest: asked.digest });
  const changed = await question(host, asker, third.id);
  assert.notEqual(changed.digest, asked.digest);
  const foreign = await question(host, other, victim.id);
  assert.deepEqual([foreign.digest, foreign.requester], [asked.digest, `task:${other.id}`]);
  await host.as(agentOf(asker)).call("task.delete", { id: victim.id });
  assert.equal((await find(host, asked.id)).status, "used");
  assert.notEqual((await question(host, asker, victim.id)).id, asked.id, "the same call again is a new question");
});

test("APPR-09: an answer nobody used within ten minutes lapses", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [asker, victim] = [await task(host, "asker"), await task(host, "victim")];
  const asked = await question(host, asker, victim.id);
  await host.call("approval.resolve", { id: asked.id, decision: "allow-once", digest: asked.digest });
  host.clock.advance(11 * 60_000);
  assert.notEqual((await question(host, asker, victim.id)).id, asked.id);
  assert.equal((await find(host, asked.id)).status, "lapsed");
});

test("APPR-30: a repeated request finds the approval it left, instead of a second one", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [asker, victim] = [await task(host, "asker"), await task(host, "victim")];
  const [first, again] = [await question(host, asker, victim.id), await question(host, asker, victim.id)];
  assert.equal(again.id, first.id);
  assert.equal((await pending(host)).length, 1);
});

test("an unanswered approval expires after its time, counts as denied, and can no longer be answered", async () => {
  await using host = await startHost();
  const [asker, victim] = [await task(host, "asker"), await task(host, "victim")];
  await host.call("settings.set", { approval: { ttl_seconds: 30 } });
  const held = host.as(agentOf(asker)).call("task.delete", { id: victim.id });
  held.catch(() => {});
  const [asked] = await host.eventually(async () => {
    const found = await pending(host);
    return found.length > 0 && found;
  }, "the question");
  assert.ok(asked);
  host.clock.advance(31_000);
  assert.deepEqual([(await find(host, asked.id)).status, (await find(host, asked.id)).decision], ["expired", "deny"]);
  await assert.rejects(held, code("PERMISSION_DENIED"));
  await assert.rejects(host.call("approval.resolve", { id: asked.id, decision: "allow-once", digest: asked.digest }), code("GONE"));
});

test("TOKEN-24, APPR-10: neither a task, nor a plugin, nor a caller without a token can answer, whoever asked", async () => {
  await using host = await startHost({ approvalHoldMs: 0, rest: true });
  const [asker, parent, victim] = [await task(host, "asker"), await task(host, "parent"), await task(host, "victim")];
  const asked = await question(host, asker, victim.id);
  const answer = { id: asked.id, decision: "allow-once", digest: asked.digest };
  const scope: Caller = { kind: "scope", id: "scope:s", tier: "admin", surface: "rest", scope: "s" };
  const anonymous: Caller = { kind: "anonymous", id: "anonymous", tier: "admin", surface: "mcp" };
  for (const caller of [agentOf(asker), agentOf(parent), { ...agentOf(asker), tier: "admin" as const }, scope, anonymous])
    await assert.rejects(host.as(caller).call("approval.resolve", answer), code("PERMISSION_DENIED"), caller.id);
  const { token } = await host.call<{ token: string }>("token.mint_scope", { scope: "sample" });
  const reply = await host.rest("POST", `/api/approvals/${asked.id}/resolve`, answer, { authorization: `Bearer ${token}` });
  assert.equal(reply.status, 403);
  assert.equal((await find(host, asked.id)).status, "pending");
  const device = await host.call<{ token: string }>("token.mint", { label: "phone" });
  const yes = await host.rest("POST", `/api/approvals/${asked.id}/resolve`, answer, { authorization: `Bearer ${device.token}` });
  assert.equal(yes.status, 200, "the owner's phone answers what an agent asked");
});

test("TOKEN-26: an approval whose run ended is cancelled, and one whose run lives keeps its remaining time over a restart", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const [leaver, stayer, victim] = [await task(host, "leaver"), await task(host, "stayer"), await task(host, "victim")];
  const [gone, kept] = [await question(host, leaver, victim.id), await question(host, stayer, victim.id)];
  await host.call("task.stop", { id: leaver.id });
  const cancelled = await host.eventually(async () => {
    const found = await find(host, gone.id);
    return found.status !== "pending" && found;
  }, "the question of the stopped agent to be cancelled");
  assert.deepEqual([cancelled.status, cancelled.decision], ["cancelled", "requester gone"]);
  await host.restart();
  const after = await find(host, kept.id);
  assert.deepEqual([after.status, after.expires_at], ["pending", kept.expires_at]);
});

test("APPR-31: over REST a held call comes back as 202 with the approval's id, and the same call after the answer runs once", async () => {
  await using host = await startHost({ approvalHoldMs: 0, rest: true });
  const [asker, victim] = [await task(host, "asker"), await task(host, "victim")];
  const rows = host.system.store.db.updateTable("runs").where("task_id", "=", Number(asker.id));
  const token = "run-token-of-this-test";
  await rows.set({ token_hash: (await import("node:crypto")).createHash("sha256").update(token).digest("hex") }).execute();
  const remove = () => host.rest("DELETE", `/api/tasks/${victim.id}`, undefined, { authorization: `Bearer ${token}` });
  const held = await remove();
  assert.equal(held.status, 202);
  const { pending: id } = (await held.json()) as { pending: string };
  const asked = await find(host, id);
  await host.call("approval.resolve", { id, decision: "allow-once", digest: asked.digest });
  assert.equal((await remove()).status, 200);
  await assert.rejects(host.call("task.get", { id: victim.id }), code("NOT_FOUND"));
});

async function approvalsOf(store: Store): Promise<{ approvals: Approvals; ask(n: number, caller?: Caller): Promise<void> }> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "argus-approvals-"));
  const clock = new TestClock();
  const log = pino({ level: "silent" });
  const config = await Config.open(store, folder, log);
  fs.rmSync(folder, { recursive: true });
  const approvals = new Approvals({ store, events: new Events(store, clock), clock, config, redactor: new Redactor(), holdMs: 0 });
  return {
    approvals,
    ask: (n, caller = agentOf({ id: "7" })) =>
      approvals.obtain({
        caller,
        operation: "task.delete",
        summary: "Delete",
        input: { id: String(n) },
        digest: String(n).padStart(64, "0"),
        signal: new AbortController().signal,
      }),
  };
}
const owner: Caller = { kind: "owner", id: "owner", tier: "admin", surface: "socket" };

onBothStores("TOKEN-22, APPR-03, APPR-04: of 50 answers at once one wins, and every other gets its decision", async (store) => {
  const { approvals, ask } = await approvalsOf(store);
  await assert.rejects(ask(1), code("PENDING"));
  const [row] = await approvals.list({});
  assert.ok(row);
  const answers = await Promise.allSettled(
    Array.from({ length: 50 }, (_, n) =>
      approvals.resolve(String(row.id), n % 2 ? "deny" : "allow-once", row.digest, { ...owner, id: `owner-${n}` }),
    ),
  );
  const won = answers.filter((one) => one.status === "fulfilled").map((one) => one.value);
  assert.equal(won.length, 1);
  const lost = answers.filter((one) => one.status === "rejected").map((one) => one.reason as ArgusError);
  for (const error of lost) {
    assert.equal(error.code, "CONFLICT");
    assert.equal(error.details?.decision, won[0]?.decision);
    assert.match(error.message, new RegExp(`by ${won[0]?.resolved_by} already`));
  }
});

onBothStores("TOKEN-21: an answer to something else than what was shown is refused", async (store) => {
  const { approvals, ask } = await approvalsOf(store);
  await assert.rejects(ask(1), code("PENDING"));
  const [row] = await approvals.list({});
  await assert.rejects(approvals.resolve(String(row?.id), "allow-once", "f".repeat(64), owner), code("CONFLICT"));
  assert.equal((await approvals.find(String(row?.id))).status, "pending");
});

onBothStores("TOKEN-21: an allowed call made twice at the same moment runs once", async (store) => {
  const { approvals, ask } = await approvalsOf(store);
  await assert.rejects(ask(1), code("PENDING"));
  const [row] = await approvals.list({});
  await approvals.resolve(String(row?.id), "allow-once", row?.digest ?? "", owner);
  const calls = await Promise.allSettled([ask(1), ask(1), ask(1)]);
  assert.equal(calls.filter((one) => one.status === "fulfilled").length, 1);
});

onBothStores(
  "APPR-21: one requester may have 50 questions open; the next is refused at once, another requester's is not",
  async (store) => {
    const { ask } = await approvalsOf(store);
    for (let n = 0; n < 50; n++) await assert.rejects(ask(n), code("PENDING"));
    await assert.rejects(ask(50), code("RATE_LIMITED"));
    await assert.rejects(ask(0), code("PENDING"), "a question that is open already is no new one");
    await assert.rejects(ask(50, agentOf({ id: "8" })), code("PENDING"));
  },
);
