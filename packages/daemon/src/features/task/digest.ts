/** What happened while somebody was away: per task, oldest first (TASK-36). */
import { ArgusError, type EndReason } from "@argus/protocol";
import { z } from "zod";
import { rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import { operation } from "../../kernel/operation.ts";

const Entry = z.object({
  at: z.string(),
  kind: z.enum(["status", "run", "approval", "schedule"]),
  text: z.string().describe("One line a person understands"),
});
type Entry = z.infer<typeof Entry>;

export const digest = operation({
  name: "task.digest",
  summary: "Tell what happened to each task since a time: statuses, ended runs, open questions, failed schedules",
  tier: "readonly",
  input: z.object({ since: z.string().describe("RFC 3339, such as 2026-11-21T08:00:00Z") }),
  output: z.object({
    tasks: z.array(z.object({ id: z.string(), name: z.string(), entries: z.array(Entry) })),
    complete: z.boolean().describe("False when the log of events does not reach back that far"),
  }),
  rest: { "GET /api/digest": {} },
  positional: ["since"],
  example: { input: { since: "2999-01-01T00:00:00Z" }, output: { tasks: [], complete: true } },
}).run(async ({ since }, { store, tasks, approvals }) => {
  const from = Date.parse(since);
  if (Number.isNaN(from)) throw new ArgusError("INVALID_INPUT", `${JSON.stringify(since)} is no time. Write it like 2026-11-21T08:00:00Z.`);
  const found = new Map<string, Entry[]>();
  const add = (task: string | null, at: number, kind: Entry["kind"], text: string) => {
    if (task !== null) found.set(task, [...(found.get(task) ?? []), { at: rfc3339(at), kind, text }]);
  };
  for (const row of await eventsSince(store, from)) {
    const payload = JSON.parse(row.payload) as Record<string, string>;
    if (row.type === "task.status_changed") add(row.task_id, Number(row.at), "status", `${payload.from} to ${payload.to}`);
    else add(row.task_id, Number(row.at), "schedule", `Schedule ${payload.id} failed: ${payload.error}`);
  }
  for (const run of await store.db.selectFrom("runs").selectAll().where("ended_at", ">=", from).execute())
    add(String(run.task_id), Number(run.ended_at), "run", endOf(run.number, run.end_reason as EndReason, run.exit_code, run.exit_signal));
  for (const question of await approvals.list({ status: "pending" }))
    if (Number(question.created_at) >= from)
      add(question.task_id, Number(question.created_at), "approval", `Waits for an answer: ${question.title}`);
  const rows = (await tasks.list({ archived: "all" })).filter((row) => found.has(String(row.id)));
  const oldest = await store.db.selectFrom("events").select(["id", "at"]).orderBy("id").limit(1).executeTakeFirst();
  return {
    tasks: rows.map((row) => ({
      id: String(row.id),
      name: row.name,
      entries: (found.get(String(row.id)) ?? []).sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    })),
    complete: !oldest || Number(oldest.id) === 1 || Number(oldest.at) <= from,
  };
});

function eventsSince(store: Store, from: number) {
  return store.db
    .selectFrom("events")
    .select(["type", "at", "task_id", "payload"])
    .where("type", "in", ["task.status_changed", "schedule.failed"])
    .where("at", ">=", from)
    .orderBy("id")
    .execute();
}

function endOf(number: number, reason: EndReason, code: number | null, signal: string | null): string {
  const how = reason !== "exited" ? reason : signal ? `ended by ${signal}` : `exited with ${code}`;
  return `Run ${number} ${how}`;
}
