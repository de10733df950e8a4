/** Registered repositories. */
import type { Migration } from "kysely/migration";
import * as all from "./operations.ts";

export { Projects } from "./projects.ts";

export const operations = Object.values(all);

export const migrations: Record<string, Migration> = {
  "2026-11-21-projects": {
    async up(db) {
      await db.schema
        .createTable("projects")
        .addColumn("name", "text", (c) => c.primaryKey())
        .addColumn("path", "text", (c) => c.notNull())
        .addColumn("branch", "text", (c) => c.notNull())
        .addColumn("backend", "text", (c) => c.notNull())
        .addColumn("sandbox_enabled", "integer")
        .addColumn("deny_read", "text", (c) => c.notNull())
        .addColumn("extra_write", "text", (c) => c.notNull())
        .addColumn("allow_apple_events", "text", (c) => c.notNull())
        .execute();
    },
  },
  "2026-11-21-projects-consents": {
    async up(db) {
      await db.schema
        .createTable("consents")
        .addColumn("project", "text", (c) => c.notNull())
        .addColumn("sha256", "text", (c) => c.notNull())
        .addColumn("accepted_by", "text", (c) => c.notNull())
        .addColumn("accepted_at", "bigint", (c) => c.notNull())
        .addPrimaryKeyConstraint("consents_pk", ["project", "sha256"])
        .execute();
    },
  },
};
