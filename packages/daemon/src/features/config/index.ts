/** Settings: layers, keys, the menu's operations. */
import type { Migration } from "kysely/migration";
import { getSettings, getSourcePath, setSettings, setSourcePath, showConfig } from "./settings.ts";

export { Config } from "./config.ts";
export { isTable } from "./file.ts";
export { KEYS, nearestKey, PERMISSION_MODES } from "./keys.ts";

export const operations = [getSettings, setSettings, showConfig, getSourcePath, setSourcePath];

export const migrations: Record<string, Migration> = {
  "2026-11-21-settings": {
    async up(db) {
      await db.schema
        .createTable("settings")
        .addColumn("key", "text", (c) => c.primaryKey())
        .addColumn("value", "text", (c) => c.notNull())
        .execute();
    },
  },
};
