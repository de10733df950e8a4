/** Backends: which program is an agent, and how it is launched. */
import type { Migration } from "kysely/migration";
import * as all from "./operations.ts";

export { Backends } from "./backends.ts";
export { type Harness, harnessOf } from "./harness.ts";
export { assemble, childEnvironment, type Launch } from "./launch.ts";
export { builtInPrograms } from "./programs.ts";
export { splitCommand } from "./words.ts";

export const operations = Object.values(all);

export const migrations: Record<string, Migration> = {
  "2026-11-21-backends": {
    async up(db) {
      await db.schema
        .createTable("backends")
        .addColumn("name", "text", (c) => c.primaryKey())
        .addColumn("command", "text", (c) => c.notNull())
        .addColumn("prompt_flag", "text", (c) => c.notNull())
        .addColumn("model", "text", (c) => c.notNull())
        .execute();
    },
  },
};
