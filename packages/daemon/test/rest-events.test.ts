/** The event feed as a client over HTTP sees it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ArgusEvent } from "@argus/protocol";
import { type Host, startHost } from "../src/host.ts";

interface Sent {
  id: string;
  event: string;
  data: ArgusEvent;
}

/** Reads server-sent events until `enough` says so, then leaves. */
async function follow(
  host: Host,
  query: string,
  enough: (sent: Sent[]) => boolean,
  more: { headers?: Record<string, string>; opened?: () => void } = {},
): Promise<Sent[]> {
  const response = await host.rest("GET", `/api/events/stream${query}`, undefined, more.headers);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  const sent: Sent[] = [];
  let text = "";
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    if (text === "" && sent.length === 0) more.opened?.();
    text += Buffer.from(chunk).toString("utf8");
    for (let at = text.indexOf("\n\n"); at >= 0; at = text.indexOf("\n\n")) {
      const fields = Object.fromEntries(
        text
          .slice(0, at)
          .split("\n")
          .filter((line) => !line.startsWith(":"))
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
      );
      text = text.slice(at + 2);
      if (fields.data) sent.push({ id: fields.id as string, event: fields.event as string, data: JSON.parse(fields.data as string) });
    }
    if (enough(sent)) break;
  }
  return sent;
}

const emit = (host: Host, count: number) =>
  host.system.services.events.change(async (_tx, say) => {
    for (let n = 0; n < count; n++) say("project.changed", null, { name: String(n) });
  });

test("REST-86: the life of two tasks is told in order, each event with id, type and data", async () => {
  await using host = await startHost({ rest: true });
  const a = await host.call<{ id: string }>("task.create", { project: "demo", name: "a" });
  const b = await host.call<{ id: string }>("task.create", { project: "demo", name: "b" });
  await host.call("task.rename", { id: a.id, name: "c" });
  await host.call("task.set_status", { id: a.id, status: "complete" });
  await host.call("task.archive", { id: a.id, archived: true });
  await host.call("task.stop", { id: b.id });
  await host.call("task.delete", { id: b.id });
  const sent = await follow(host, "?since=0", (all) => all.some(({ event }) => event === "task.deleted"));
  const told = (id: string) =>
    sent.filter(({ data, event }) => data.task_id === id && event !== "session.state_changed").map(({ event }) => event);
  assert.deepEqual(
    told(a.id).filter((event) => event !== "session.idle"),
    ["task.created", "task.status_changed", "session.started", "task.renamed", "task.status_changed", "task.completed", "task.archived"],
  );
  assert.ok(told(b.id).includes("session.exited") && told(b.id).at(-1) === "task.deleted");
  for (const { id, event, data } of sent) {
    assert.deepEqual([String(data.id), data.type], [id, event]);
    assert.deepEqual(Object.keys(data).sort(), ["at", "id", "payload", "task_id", "type"]);
    assert.match(data.at, /^\d{4}-\d\d-\d\dT/);
  }
  assert.deepEqual(
    sent.map(({ data }) => data.id),
    sent.map(({ data }) => data.id).toSorted((x, y) => x - y),
  );
});

test("REST-87: since is exclusive and the header of a reconnecting browser goes before it; without either only news flow", async () => {
  await using host = await startHost({ rest: true });
  await emit(host, 20);
  const all = await follow(host, "?since=0", (sent) => sent.some(({ data }) => data.payload.name === "19"));
  const ids = all.map(({ data }) => data.id);
  const middle = ids.at(-10) as number;
  const last = (sent: Sent[]) => sent.at(-1)?.data.id === ids.at(-1);
  assert.deepEqual(
    (await follow(host, `?since=${middle}`, last)).map(({ data }) => data.id),
    ids.slice(-9),
  );
  const header = { headers: { "last-event-id": String(middle) } };
  assert.deepEqual(
    (await follow(host, "?since=0", last, header)).map(({ data }) => data.id),
    ids.slice(-9),
  );
  const opened = Promise.withResolvers<void>();
  const news = follow(host, "", (sent) => sent.length > 0, { opened: opened.resolve });
  await opened.promise;
  await host.call("project.update", { name: "demo", branch: "main" });
  assert.deepEqual(
    (await news).map(({ data }) => data.payload),
    [{ name: "demo" }],
  );
});

test("REST-87: many clients that connect while events happen each get every one once", async () => {
  await using host = await startHost({ rest: true });
  await emit(host, 1);
  const [first] = await follow(host, "?since=0", (sent) => sent.length > 0);
  const start = first?.data.id as number;
  const storm = (async () => {
    for (let n = 0; n < 200; n++) await emit(host, 5);
  })();
  const clients = Array.from({ length: 40 }, () =>
    follow(host, `?since=${start}`, (sent) => sent.filter(({ event }) => event === "project.changed").length >= 1000),
  );
  await storm;
  for (const sent of await Promise.all(clients)) {
    const ids = sent.filter(({ event }) => event === "project.changed").map(({ data }) => data.id);
    assert.equal(new Set(ids).size, ids.length, "none twice");
    const changes = ids.filter((id) => id > start);
    assert.deepEqual(
      changes.slice(0, 900).map((id, at) => id - at - (changes[0] as number)),
      Array.from({ length: 900 }, () => 0),
      "none missing",
    );
  }
});

test("REST-88, REST-90: a cursor older than the newest 10,000 gets one resync and then live events; ids go on after a restart", async () => {
  await using host = await startHost({ rest: true });
  for (let n = 0; n < 102; n++) await emit(host, 100);
  const opened = Promise.withResolvers<void>();
  const reading = follow(host, "?since=1", (sent) => sent.length >= 2, { opened: opened.resolve });
  await opened.promise;
  // What is live begins where the stream stands; told again until it is there.
  const done = reading.then(() => true);
  await host.eventually(async () => {
    await emit(host, 1);
    return Promise.race([done, new Promise<false>((resolve) => setImmediate(resolve, false))]);
  }, "live events");
  const [resync, live] = await reading;
  assert.deepEqual(
    [resync?.event, resync?.id, resync?.data.payload.reason, resync?.data.payload.cursor],
    ["resync", "0", "cursor_older_than_ring", 1],
  );
  assert.ok((live?.data.id as number) > (resync?.data.payload.oldest as number));
  const { count } = await host.system.store.db
    .selectFrom("events")
    .select((of) => of.fn.countAll<number>().as("count"))
    .executeTakeFirstOrThrow();
  assert.ok(Number(count) >= 10_000 && Number(count) < 10_200, `${count} are kept`);
  const newest = live?.data.id as number;
  await host.restart();
  const next = follow(host, `?since=${newest}`, (sent) => sent.some(({ data }) => data.payload.name === "demo"));
  await host.call("project.update", { name: "demo", branch: "main" });
  for (const { data } of await next) assert.ok(data.id > newest);
});
