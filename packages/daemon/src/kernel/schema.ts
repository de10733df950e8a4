/** The few places where SQLite and PostgreSQL spell a schema differently. */
import { type CreateTableBuilder, type Kysely, PostgresAdapter, sql } from "kysely";

// biome-ignore lint/suspicious/noExplicitAny: migrations run before the tables have types
export type AnyDatabase = Kysely<any>;

export function isPostgres(db: AnyDatabase): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter;
}

/** An `id` that counts up and is never used twice, also after the newest row is gone. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export function idColumn<B extends CreateTableBuilder<any, any>>(table: B, db: AnyDatabase): B {
  if (isPostgres(db)) return table.addColumn("id", "bigint", (c) => c.primaryKey().generatedAlwaysAsIdentity()) as B;
  return table.addColumn("id", sql`integer`, (c) => c.primaryKey().autoIncrement()) as B;
}
