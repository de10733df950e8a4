/** Worktrees as things on disk and on GitHub: how much they take, and what became of their branches. */
import type { Migration } from "kysely/migration";
import { z } from "zod";
import { rfc3339 } from "../../kernel/clock.ts";
import { operation } from "../../kernel/operation.ts";

export { DiskUse } from "./disk.ts";
export { PullRequests } from "./pull-requests.ts";

const disk = operation({
  name: "worktree.disk",
  summary: "Show how much disk the worktrees take, by project; each task shows its own",
  tier: "readonly",
  input: z.object({}),
  output: z.object({
    measured_at: z.string().nullable().describe("Null before the first measurement, five minutes after the start"),
    total_bytes: z.number(),
    projects: z.array(z.object({ project: z.string(), bytes: z.number() })),
  }),
  rest: { "GET /api/worktrees/disk": {} },
  example: { input: {}, output: { measured_at: null, total_bytes: 0, projects: [] } },
}).run(async (_input, { disk: use }) => {
  const projects = await use.byProject();
  return {
    measured_at: use.measuredAt === null ? null : rfc3339(use.measuredAt),
    total_bytes: projects.reduce((sum, { bytes }) => sum + bytes, 0),
    projects,
  };
});

export const operations = [disk];

export const migrations: Record<string, Migration> = {
  "2026-11-21-worktrees-pull-requests": {
    async up(db) {
      await db.schema
        .createTable("pull_requests")
        .addColumn("task_id", "bigint", (c) => c.primaryKey().references("tasks.id").onDelete("cascade"))
        .addColumn("url", "text", (c) => c.notNull())
        .addColumn("state", "text", (c) => c.notNull())
        .addColumn("ci", "text", (c) => c.notNull())
        .execute();
    },
  },
};
