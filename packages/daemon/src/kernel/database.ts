/** The store: SQLite by default, PostgreSQL by configuration, one query language over both. */
import fs from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { ArgusError } from "@argus/protocol";
import { Kysely, PostgresDialect, SqliteAdapter, type SqliteDatabase, SqliteDialect } from "kysely";
import { type Migration, Migrator } from "kysely/migration";

/** Tables by name; each feature adds its own by declaration merging. */
// biome-ignore lint/suspicious/noEmptyInterface: filled by features
export interface Tables {}
export type Database = Kysely<Tables>;
export type DatabaseKind = "sqlite" | "postgres";

export interface Store {
  db: Database;
  kind: DatabaseKind;
  close(): Promise<void>;
}

const BUSY_TIMEOUT_MS = 5000; // LIFECYCLE-22

/** Opens `<path>` (SQLite, WAL) or a `postgres://` address and brings its schema up to date. */
export async function openStore(where: string, migrations: Record<string, Migration>): Promise<Store> {
  const postgres = /^postgres(ql)?:\/\//.test(where);
  const store = postgres ? await openPostgres(where) : openSqlite(where);
  try {
    await migrate(store, migrations, postgres ? null : where);
  } catch (thrown) {
    await store.close();
    throw thrown;
  }
  return store;
}

/** SQLite undoes a changed schema as it undoes a row; Kysely does not count on it, and would leave half a migration behind. */
class TransactionalDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }
}
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function openSqlite(path: string): Store {
  const isNew = !fs.existsSync(path);
  const raw = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  if (isNew) fs.chmodSync(path, 0o600);
  raw.exec(`pragma journal_mode=wal; pragma synchronous=normal; pragma foreign_keys=on; pragma busy_timeout=${BUSY_TIMEOUT_MS}`);
  const db = new Kysely<Tables>({ dialect: new TransactionalDialect({ database: asDriver(raw) }) });
  return { db, kind: "sqlite", close: () => db.destroy() };
}

/** node:sqlite in the shape Kysely's SQLite dialect expects. Statements are kept: preparing costs more than most of our queries. */
function asDriver(raw: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, ReturnType<SqliteDatabase["prepare"]>>();
  return {
    prepare(sql: string) {
      const known = statements.get(sql);
      if (known) return known;
      const statement = raw.prepare(sql);
      type Values = Parameters<typeof statement.all>;
      const wrapped = {
        reader: statement.columns().length > 0,
        all: (values: readonly unknown[]) => statement.all(...(values as Values)),
        run: (values: readonly unknown[]) => statement.run(...(values as Values)),
        iterate: (values: readonly unknown[]) => statement.iterate(...(values as Values)),
      } as ReturnType<SqliteDatabase["prepare"]>;
      if (statements.size > 500) statements.clear(); // lists of varying length make ever new texts
      statements.set(sql, wrapped);
      return wrapped;
    },
    close: () => raw.close(),
  } as SqliteDatabase;
}

async function openPostgres(url: string): Promise<Store> {
  const pg = (await import("pg")).default;
  pg.types.setTypeParser(20, Number); // bigint: our values are milliseconds, offsets and row ids, all below 2^53
  const pool = new pg.Pool({ connectionString: url, max: 8 });
  pool.on("error", () => {}); // an idle connection lost: the next query reports it
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  return { db, kind: "postgres", close: () => db.destroy() };
}

/** Ordered, recorded, in one transaction, after a copy of the file. A store from a newer program is refused untouched (LIFECYCLE-23). */
async function migrate(store: Store, migrations: Record<string, Migration>, file: string | null): Promise<void> {
  // Features bring their tables side by side, so a name may sort before one that was run earlier; none depends on another's.
  const migrator = new Migrator({ db: store.db, provider: { getMigrations: async () => migrations }, allowUnorderedMigrations: true });
  const known = new Set(Object.keys(migrations));
  const done = await executed(store);
  const foreign = done.filter((name) => !known.has(name));
  if (foreign.length > 0)
    throw new ArgusError(
      "UNAVAILABLE",
      `The database was written by a newer Argus (it has ${foreign.join(", ")}). Update this program, or start with another ARGUS_HOME. Nothing was changed.`,
    );
  if (done.length === known.size) return;
  const newest = done.at(-1);
  if (file && newest) {
    const backup = `${file}.bak-${newest}`;
    // Consistent: nobody else writes, the daemon's lock is held. A copy left by an attempt that failed later is of the same state.
    fs.rmSync(`${backup}.new`, { force: true });
    const copy = new DatabaseSync(file);
    copy.exec(`vacuum into '${`${backup}.new`.replaceAll("'", "''")}'`);
    copy.close();
    fs.chmodSync(`${backup}.new`, 0o600);
    fs.renameSync(`${backup}.new`, backup);
  }
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}

async function executed(store: Store): Promise<string[]> {
  const tables = await store.db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === "kysely_migration")) return [];
  const rows = await (store.db as unknown as Kysely<{ kysely_migration: { name: string } }>)
    .selectFrom("kysely_migration")
    .select("name")
    .orderBy("name")
    .execute();
  return rows.map((row) => row.name);
}
