/** Approvals: list, answer, wait. */
import type { Migration } from "kysely/migration";
import { z } from "zod";
import { rfc3339 } from "../../kernel/clock.ts";
import { operation } from "../../kernel/operation.ts";
import { idColumn } from "../../kernel/schema.ts";
import type { ApprovalRow } from "./approvals.ts";

export { Approvals } from "./approvals.ts";

const Approval = z.object({
  id: z.string(),
  requester: z.string(),
  task_id: z.string().nullable(),
  operation: z.string(),
  title: z.string(),
  summary: z.string(),
  digest: z.string(),
  status: z.string(),
  created_at: z.string(),
  expires_at: z.string(),
  fallback: z.literal("deny"),
  decision: z.string().nullable(),
  approver: z.string().nullable(),
  surface: z.string().nullable(),
});

const view = (row: ApprovalRow): z.infer<typeof Approval> => ({
  id: String(row.id),
  requester: row.requester,
  task_id: row.task_id,
  operation: row.operation,
  title: row.title,
  summary: row.summary,
  digest: row.digest,
  status: row.status,
  created_at: rfc3339(Number(row.created_at)),
  expires_at: rfc3339(Number(row.expires_at)),
  fallback: "deny",
  decision: row.decision,
  approver: row.resolved_by,
  surface: row.surface,
});

const list = operation({
  name: "approval.list",
  summary: "List approvals, oldest first",
  tier: "readonly",
  input: z.object({
    status: z.enum(["pending", "allowed", "denied", "expired", "cancelled", "used", "lapsed"]).optional(),
    task_id: z.string().max(40).optional(),
  }),
  output: z.object({ approvals: z.array(Approval) }),
  rest: { "GET /api/approvals": {} },
  example: { input: { status: "pending" }, output: { approvals: [] } },
}).run(async (filter, { approvals }) => ({ approvals: (await approvals.list(filter)).map(view) }));

const resolve = operation({
  name: "approval.resolve",
  summary: "Answer an approval; the first answer wins",
  tier: "write",
  note: "Agents, plugins and the requester cannot answer.",
  input: z.object({
    id: z.string().max(40),
    decision: z.enum(["allow-once", "allow-always", "deny"]),
    digest: z.string().max(64).describe("Of the request that was shown"),
  }),
  output: Approval,
  rest: { "POST /api/approvals/{id}/resolve": {} },
  as: { mcp: null },
  positional: ["id", "decision"],
}).run(async ({ id, decision, digest }, { approvals }, { caller }) => view(await approvals.resolve(id, decision, digest, caller)));

const wait = operation({
  name: "approval.wait",
  summary: "Wait for an approval to be answered, and show it",
  tier: "readonly",
  input: z.object({ id: z.string().max(40), timeout_seconds: z.coerce.number().min(0).max(25).default(20) }),
  output: Approval,
  as: { mcp: "approval_wait" },
  positional: ["id"],
}).run(async ({ id, timeout_seconds }, { approvals }, { signal }) => view(await approvals.wait(id, timeout_seconds * 1000, signal)));

export const operations = [list, resolve, wait];

export const migrations: Record<string, Migration> = {
  "2026-11-21-approvals": {
    async up(db) {
      await idColumn(db.schema.createTable("approvals"), db)
        .addColumn("requester", "text", (c) => c.notNull())
        .addColumn("task_id", "text")
        .addColumn("operation", "text", (c) => c.notNull())
        .addColumn("title", "text", (c) => c.notNull())
        .addColumn("summary", "text", (c) => c.notNull())
        .addColumn("digest", "text", (c) => c.notNull())
        .addColumn("status", "text", (c) => c.notNull())
        .addColumn("created_at", "bigint", (c) => c.notNull())
        .addColumn("expires_at", "bigint", (c) => c.notNull())
        .addColumn("decision", "text")
        .addColumn("resolved_by", "text")
        .addColumn("surface", "text")
        .addColumn("resolved_at", "bigint")
        .execute();
    },
  },
};
