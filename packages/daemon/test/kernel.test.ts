/** The gate, the event log and the audit chain, on both stores. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ArgusError } from "@argus/protocol";
import pino from "pino";
import { z } from "zod";
import { Audit } from "../src/kernel/audit.ts";
import { Gate } from "../src/kernel/call.ts";
import { type Caller, mayRun } from "../src/kernel/caller.ts";
import { TestClock } from "../src/kernel/clock.ts";
import type { Store } from "../src/kernel/database.ts";
import { Events, KEPT_EVENTS } from "../src/kernel/events.ts";
import { type AnyOperation, operation, type Services } from "../src/kernel/operation.ts";
import { Redactor } from "../src/kernel/redact.ts";
import { Registry } from "../src/kernel/registry.ts";
import { onBothStores } from "./stores.ts";

const owner: Caller = { kind: "owner", id: "owner", tier: "admin", surface: "socket" };
const device: Caller = { kind: "device", id: "device:1", tier: "full", surface: "rest", tokenId: "1" };
const agent: Caller = { kind: "task", id: "task:7", tier: "full", surface: "mcp", taskId: "7" };

function gateOf(store: Store, operations: AnyOperation[], clock = new TestClock()) {
  const audit = new Audit(store, clock);
  return {
    audit,
    clock,
    gate: new Gate({
      registry: new Registry(operations),
      services: {} as Services,
      store,
      audit,
      clock,
      log: pino({ level: "silent" }),
      checkReplies: true,
    }),
  };
}

function counting() {
  let runs = 0;
  const count = operation({
    name: "count.up",
    summary: "Count",
    tier: "write",
    input: z.object({ by: z.number().default(1), id: z.string().optional() }),
    output: z.object({ runs: z.number() }),
  }).run(({ by }) => {
    runs += by;
    return { runs };
  });
  return { count, runs: () => runs };
}

onBothStores(
  "TASK-10: the same key and input get the first reply, another input is a conflict, a day later it runs again",
  async (store) => {
    const { count, runs } = counting();
    const { gate, clock } = gateOf(store, [count]);
    const call = (input: unknown, key = "k") => gate.call("count.up", input, { caller: owner, key });
    assert.deepEqual(await call({ by: 2 }), { runs: 2 });
    assert.deepEqual(await call({ by: 2 }), { runs: 2 });
    assert.equal(runs(), 2, "the second call did not run");
    await assert.rejects(call({ by: 3 }), (error: ArgusError) => error.code === "CONFLICT");
    assert.deepEqual(await gate.call("count.up", { by: 2 }, { caller: device, key: "k" }), { runs: 4 }, "another caller's key is its own");
    clock.advance(24 * 3600 * 1000 + 1);
    assert.deepEqual(await call({ by: 3 }), { runs: 7 });
  },
);

onBothStores("TASK-10: twenty calls at once with one key run once", async (store) => {
  const { count, runs } = counting();
  const { gate } = gateOf(store, [count]);
  const replies = await Promise.all(Array.from({ length: 20 }, () => gate.call("count.up", {}, { caller: owner, key: "same" })));
  assert.equal(runs(), 1);
  assert.ok(replies.every((reply) => (reply as { runs: number }).runs === 1));
});

onBothStores("TOKEN-15: a call below the operation's tier is refused before the handler runs, and audited", async (store) => {
  let ran = false;
  const secret = operation({ name: "secret.show", summary: "Show", tier: "admin", input: z.object({}), output: z.object({}) }).run(() => {
    ran = true;
    return {};
  });
  const { gate } = gateOf(store, [secret]);
  for (const caller of [device, agent])
    await assert.rejects(gate.call("secret.show", {}, { caller }), (error: ArgusError) => error.code === "PERMISSION_DENIED");
  assert.equal(ran, false);
  await gate.call("secret.show", {}, { caller: owner });
  assert.deepEqual(
    (await store.db.selectFrom("audit").select(["caller", "outcome"]).orderBy("id").execute()).map((row) => `${row.caller} ${row.outcome}`),
    ["device:1 PERMISSION_DENIED", "task:7 PERMISSION_DENIED", "owner ok"],
  );
});

test("TOKEN-16: a task's token is full for its own task and write elsewhere; each kind has its rung", () => {
  const rungs = (caller: Caller, input: unknown = {}) =>
    (["readonly", "write", "full", "admin"] as const).filter((tier) => mayRun(caller, tier, input)).join(" ");
  assert.equal(rungs(owner), "readonly write full admin");
  assert.equal(rungs(device), "readonly write full");
  assert.equal(rungs({ kind: "anonymous", id: "anonymous", tier: "write", surface: "mcp" }), "readonly write");
  assert.equal(rungs(agent), "readonly write full");
  assert.equal(rungs(agent, { id: "7" }), "readonly write full");
  assert.equal(rungs(agent, { id: "8" }), "readonly write");
  assert.equal(rungs({ ...agent, tier: "readonly" }, { id: "7" }), "readonly");
});

onBothStores("REST-11: every wrong field is named at once", async (store) => {
  const strict = operation({
    name: "form.send",
    summary: "Send",
    tier: "write",
    input: z.object({ a: z.string(), b: z.number(), c: z.enum(["x"]) }),
    output: z.object({}),
  }).run(() => ({}));
  const { gate } = gateOf(store, [strict]);
  await assert.rejects(gate.call("form.send", { a: 1, b: "x", c: "y" }, { caller: owner }), (error: ArgusError) => {
    assert.equal(error.code, "INVALID_INPUT");
    assert.deepEqual(error.details?.fields, ["a", "b", "c"]);
    return true;
  });
});

onBothStores(
  "TOKEN-19: writing calls leave an audit row without their content, reading ones none, and the chain shows tampering",
  async (store) => {
    const { count } = counting();
    const look = operation({ name: "count.look", summary: "Look", tier: "readonly", input: z.object({}), output: z.object({}) }).run(
      () => ({}),
    );
    const { gate, audit } = gateOf(store, [count, look]);
    await gate.call("count.look", {}, { caller: owner });
    for (let n = 0; n < 3; n++) await gate.call("count.up", { id: "7" }, { caller: agent });
    const rows = await store.db.selectFrom("audit").selectAll().orderBy("id").execute();
    assert.equal(rows.length, 3);
    assert.deepEqual(
      { caller: rows[0]?.caller, operation: rows[0]?.operation, task: rows[0]?.task_id, outcome: rows[0]?.outcome },
      { caller: "task:7", operation: "count.up", task: "7", outcome: "ok" },
    );
    assert.equal(await audit.verify(), null);
    await store.db.updateTable("audit").set({ outcome: "denied" }).where("id", "=", Number(rows[1]?.id)).execute();
    assert.equal(await audit.verify(), Number(rows[1]?.id));
  },
);

onBothStores(
  "REST-90: an event appears only after its change is committed, ids increase, a failed change announces nothing",
  async (store) => {
    const events = new Events(store, new TestClock());
    const seen: number[] = [];
    let wrong = 0;
    const looks: Promise<void>[] = [];
    events.subscribe((event) => {
      seen.push(event.id);
      looks.push(
        store.db
          .selectFrom("settings")
          .selectAll()
          .where("key", "=", String(event.payload.name))
          .execute()
          .then((rows) => void (rows.length === 1 || wrong++)),
      );
    });
    await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        events
          .change(async (tx, emit) => {
            await tx
              .insertInto("settings")
              .values({ key: `k${n}`, value: "1" })
              .execute();
            emit("project.changed", null, { name: `k${n}` });
            if (n % 10 === 9) throw new Error("no");
          })
          .catch(() => {}),
      ),
    );
    await Promise.all(looks);
    assert.equal(seen.length, 180);
    assert.equal(wrong, 0);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
  },
);

onBothStores("REST-87: replay and live events meet without gap or double", async (store) => {
  const events = new Events(store, new TestClock());
  const emit = (n: number) => events.change(async (_tx, emit) => emit("project.changed", null, { name: String(n) }));
  for (let n = 0; n < 20; n++) await emit(n);
  const readers = Array.from({ length: 10 }, async (_, reader) => {
    const stop = new AbortController();
    const got: number[] = [];
    for await (const event of events.stream(reader, stop.signal)) {
      got.push(event.id);
      if (got.at(-1) === 120) stop.abort();
    }
    assert.deepEqual(
      got,
      Array.from({ length: 120 - reader }, (_, at) => reader + 1 + at),
    );
  });
  const writing = (async () => {
    for (let n = 20; n < 120; n++) await emit(n);
  })();
  await Promise.all([writing, ...readers]);
});

onBothStores("REST-88: a cursor older than the log gets one resync, then live events", async (store) => {
  const events = new Events(store, new TestClock());
  const rows = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => ({ type: "project.changed", at: from + n, task_id: null, payload: "{}" }));
  for (let from = 0; from < KEPT_EVENTS; from += 1000) await store.db.insertInto("events").values(rows(from, 1000)).execute();
  for (let n = 0; n < 101; n++) await events.change(async (_tx, emit) => emit("project.changed", null, { name: "x" }));
  const kept = await store.db
    .selectFrom("events")
    .select((of) => of.fn.countAll().as("n"))
    .executeTakeFirstOrThrow();
  assert.ok(Number(kept.n) <= KEPT_EVENTS + 100, "old events were dropped");
  const stop = new AbortController();
  const got = [];
  for await (const event of events.stream(1, stop.signal)) {
    got.push(event);
    if (got.length === 1) await events.change(async (_tx, emit) => emit("project.changed", null, { name: "live" }));
    else stop.abort();
  }
  assert.equal(got[0]?.type, "resync");
  assert.equal(got[0]?.id, 0);
  assert.equal(got[0]?.payload.reason, "cursor_older_than_ring");
  assert.equal(got[0]?.payload.cursor, 1);
  assert.equal(got[1]?.payload.name, "live");
});

onBothStores("REST-89: a reader 256 events behind gets one resync, and the others every event", async (store) => {
  const events = new Events(store, new TestClock());
  const stop = new AbortController();
  const slow = events.stream(undefined, stop.signal);
  const first = slow.next();
  const fast: number[] = [];
  const reading = (async () => {
    for await (const event of events.stream(undefined, stop.signal)) {
      fast.push(event.id);
      if (fast.length === 300) return;
    }
  })();
  for (let n = 0; n < 300; n++) await events.change(async (_tx, emit) => emit("project.changed", null, { name: String(n) }));
  await reading;
  await first;
  const next = (await slow.next()).value;
  assert.equal(next?.type, "resync");
  assert.equal(next?.payload.reason, "slow_subscriber");
  stop.abort();
});

test("REST-13: known secrets and query tokens are blanked in every log line", () => {
  const redactor = new Redactor();
  redactor.add("s3cret-value-123");
  assert.equal(redactor.redact('{"a":"s3cret-value-123","url":"/x?token=abc&y=1"}'), '{"a":"[redacted]","url":"/x?token=[redacted]&y=1"}');
});

onBothStores("LIFECYCLE-23: a database from a newer program is refused, naming what it has", async (store) => {
  await (store.db as never as { insertInto(table: string): { values(row: object): { execute(): Promise<unknown> } } })
    .insertInto("kysely_migration")
    .values({ name: "2999-01-01-future", timestamp: "x" })
    .execute();
  const { openStore } = await import("../src/kernel/database.ts");
  const { migrations } = await import("../src/operations.ts");
  if (store.kind === "postgres") return; // the same code path; its address is not known here
  const file = (await import("kysely")).sql<{ file: string }>`select file from pragma_database_list where name = 'main'`;
  const { rows } = await file.execute(store.db);
  await assert.rejects(openStore(rows[0]?.file as string, migrations), (error: Error) =>
    /newer Argus.*2999-01-01-future/.test(error.message),
  );
});

onBothStores("TOKEN-19: a keystroke's row follows its reply within a moment, and is in the chain", async (store) => {
  const type = operation({
    name: "keys.type",
    summary: "Type",
    tier: "write",
    auditSoon: true,
    input: z.object({ id: z.string() }),
    output: z.object({}),
  }).run(() => ({}));
  const { gate, audit } = gateOf(store, [type]);
  for (let n = 0; n < 3; n++) await gate.call("keys.type", { id: "7" }, { caller: owner });
  assert.equal(await audit.verify(), null);
  const rows = await store.db.selectFrom("audit").selectAll().execute();
  assert.deepEqual(
    rows.map((row) => `${row.caller} ${row.operation} ${row.task_id} ${row.outcome}`),
    Array(3).fill("owner keys.type 7 ok"),
  );
});
