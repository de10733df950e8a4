/** The database over the versions of the program: brought up to date whole or not at all, with a copy of what was. */
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { Migration } from "kysely/migration";
import { startHost } from "../src/host.ts";
import { openStore } from "../src/kernel/database.ts";
import { migrations } from "../src/operations.ts";
import { POSTGRES, withPostgres } from "./stores.ts";

function home(t: TestContext): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "argus-store-"));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return path.join(made, "data.sql");
}

const makes = (table: string): Migration => ({
  up: async (db) => {
    await db.schema.createTable(table).addColumn("id", "integer").execute();
  },
});
const breaks: Migration = {
  up: async (db) => {
    await db.schema.createTable("half").addColumn("id", "integer").execute();
    throw new Error("this migration does not work");
  },
};
const tables = (file: string) => {
  const db = new DatabaseSync(file, { readOnly: true });
  const rows = db.prepare("select name from sqlite_master where type = 'table' order by name").all() as { name: string }[];
  db.close();
  return rows.map((row) => row.name).filter((name) => !name.startsWith("kysely") && !name.startsWith("sqlite"));
};

test("LIFECYCLE-23: a migration that fails undoes all that came before it in the same start, and leaves a copy; the next start goes on", async (t) => {
  const file = home(t);
  await (await openStore(file, { "2026-01-01-first": makes("first") })).close();
  for (let attempt = 0; attempt < 2; attempt++)
    await assert.rejects(
      openStore(file, { "2026-01-01-first": makes("first"), "2026-02-01-second": makes("second"), "2026-03-01-third": breaks }),
      /this migration does not work/,
    );
  assert.deepEqual(tables(file), ["first"], "neither the second nor half of the third");
  assert.deepEqual(tables(`${file}.bak-2026-01-01-first`), ["first"]);
  assert.equal(fs.statSync(`${file}.bak-2026-01-01-first`).mode & 0o777, 0o600);
  await (
    await openStore(file, { "2026-01-01-first": makes("first"), "2026-02-01-second": makes("second"), "2026-03-01-third": makes("third") })
  ).close();
  assert.deepEqual(tables(file), ["first", "second", "third"]);
});

if (POSTGRES)
  test("LIFECYCLE-23: on PostgreSQL too, a migration that fails undoes all that came before it", () =>
    withPostgres(async (url) => {
      await assert.rejects(openStore(url, { "2026-02-01-second": makes("second"), "2026-03-01-third": breaks }), /does not work/);
      const store = await openStore(url, { "2026-02-01-second": makes("second") });
      assert.deepEqual(
        (await store.db.introspection.getTables()).map((table) => table.name),
        ["second"],
      );
      await store.close();
    }));

test("LIFECYCLE-23: every step of this program's own schema leads to the newest, with what was stored", async (t) => {
  const names = Object.keys(migrations).sort();
  for (let count = 1; count <= names.length; count++) {
    const file = home(t);
    const older = Object.fromEntries(names.slice(0, count).map((name) => [name, migrations[name] as Migration]));
    await (await openStore(file, older)).close();
    await (await openStore(file, migrations)).close();
    const fresh = home(t);
    await (await openStore(fresh, migrations)).close();
    assert.deepEqual(tables(file), tables(fresh), `after ${names[count - 1]}`);
    assert.equal(fs.existsSync(`${file}.bak-${names[count - 1]}`), count < names.length);
  }
});

test("LIFECYCLE-22: the database is in WAL mode with foreign keys on and waits 5 s for a lock", async () => {
  await using host = await startHost();
  const { sql } = await import("kysely");
  const read = async (name: string) => Object.values((await sql.raw(`pragma ${name}`).execute(host.system.store.db)).rows[0] ?? {})[0];
  assert.deepEqual([await read("journal_mode"), await read("foreign_keys"), await read("busy_timeout")], ["wal", 1, 5000]);
});

test("LIFECYCLE-23: a daemon refuses a database from a newer program and leaves it as it was", async (t) => {
  const file = home(t);
  const store = await openStore(file, { ...migrations, "2999-01-01-future": makes("future") });
  await store.close();
  const before = fs.readFileSync(file);
  await assert.rejects(startHost({ home: path.dirname(file) }), /newer Argus.*2999-01-01-future.*Nothing was changed/);
  assert.deepEqual(fs.readFileSync(file), before);
});
