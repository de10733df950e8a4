/** The kernel's own tables: events, audit, stored replies. */
import type { Migration } from "kysely/migration";
import { idColumn } from "./schema.ts";

export const migrations: Record<string, Migration> = {
  "2026-11-21-kernel": {
    async up(db) {
      await idColumn(db.schema.createTable("events"), db)
        .addColumn("type", "text", (c) => c.notNull())
        .addColumn("at", "bigint", (c) => c.notNull())
        .addColumn("task_id", "text")
        .addColumn("payload", "text", (c) => c.notNull())
        .execute();
      await idColumn(db.schema.createTable("audit"), db)
        .addColumn("at", "bigint", (c) => c.notNull())
        .addColumn("caller", "text", (c) => c.notNull())
        .addColumn("surface", "text", (c) => c.notNull())
        .addColumn("identity", "text", (c) => c.notNull())
        .addColumn("operation", "text", (c) => c.notNull())
        .addColumn("task_id", "text")
        .addColumn("outcome", "text", (c) => c.notNull())
        .addColumn("duration_ms", "bigint", (c) => c.notNull())
        .addColumn("rule", "text", (c) => c.notNull())
        .addColumn("hash", "text", (c) => c.notNull())
        .execute();
      await db.schema
        .createTable("replies")
        .addColumn("caller", "text", (c) => c.notNull())
        .addColumn("operation", "text", (c) => c.notNull())
        .addColumn("key", "text", (c) => c.notNull())
        .addColumn("digest", "text", (c) => c.notNull())
        .addColumn("reply", "text", (c) => c.notNull())
        .addColumn("at", "bigint", (c) => c.notNull())
        .addPrimaryKeyConstraint("replies_place", ["caller", "operation", "key"])
        .execute();
    },
  },
};
