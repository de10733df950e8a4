/** Who did what. */
import { z } from "zod";
import type { Audit } from "../../kernel/audit.ts";
import { rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import { operation } from "../../kernel/operation.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    audit: Audit;
    store: Store;
  }
}

const Row = z.object({
  id: z.number(),
  at: z.string(),
  caller: z.string(),
  surface: z.string(),
  identity: z.string(),
  operation: z.string(),
  task_id: z.string().nullable(),
  outcome: z.string(),
  duration_ms: z.number(),
  rule: z.string(),
});

const list = operation({
  name: "audit.list",
  summary: "List calls that could change something, newest first",
  tier: "admin",
  input: z.object({
    task_id: z.string().max(40).optional(),
    caller: z.string().max(100).optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(50),
  }),
  output: z.object({ rows: z.array(Row) }),
  example: { input: { caller: "nobody" }, output: { rows: [] } },
}).run(async ({ task_id, caller, limit }, { store, audit }) => {
  await audit.flush();
  let query = store.db.selectFrom("audit").selectAll().orderBy("id", "desc").limit(limit);
  if (task_id) query = query.where("task_id", "=", task_id);
  if (caller) query = query.where("caller", "=", caller);
  return {
    rows: (await query.execute()).map(({ hash: _, ...row }) => ({
      ...row,
      id: Number(row.id),
      at: rfc3339(Number(row.at)),
      duration_ms: Number(row.duration_ms),
    })),
  };
});

const verify = operation({
  name: "audit.verify",
  summary: "Check the hash chain of the audit log",
  tier: "admin",
  input: z.object({}),
  output: z.object({ intact: z.boolean(), first_bad_row: z.number().nullable() }),
  example: { input: {}, output: { intact: true, first_bad_row: null } },
}).run(async (_input, { audit }) => {
  const bad = await audit.verify();
  return { intact: bad === null, first_bad_row: bad };
});

export const operations = [list, verify];
