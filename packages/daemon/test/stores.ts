/** Runs a test on SQLite, and on PostgreSQL where one is given (ARGUS_TEST_POSTGRES; .ci/run always gives one). */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { openStore, type Store } from "../src/kernel/database.ts";
import { migrations } from "../src/operations.ts";

export const POSTGRES = process.env.ARGUS_TEST_POSTGRES;
if (process.env.CI && !POSTGRES) throw new Error("CI must give ARGUS_TEST_POSTGRES: store tests run on both databases there.");

/** A store of its own for each test; gone afterwards. */
export function onBothStores(title: string, body: (store: Store, t: TestContext) => Promise<void>): void {
  test(`${title} [sqlite]`, async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "argus-store-"));
    const store = await openStore(path.join(folder, "data.sql"), migrations);
    try {
      await body(store, t);
    } finally {
      await store.close();
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });
  if (POSTGRES)
    test(`${title} [postgres]`, (t) =>
      withPostgres(async (url) => {
        const store = await openStore(url, migrations);
        try {
          await body(store, t);
        } finally {
          await store.close();
        }
      }));
}

/** A fresh database on the given server. */
export async function withPostgres(body: (url: string) => Promise<void>): Promise<void> {
  const pg = (await import("pg")).default;
  const name = `argus_test_${process.pid}_${Math.random().toString(36).slice(2, 10)}`;
  const admin = new pg.Client({ connectionString: POSTGRES });
  await admin.connect();
  await admin.query(`create database ${name}`);
  try {
    const url = new URL(POSTGRES as string);
    url.pathname = `/${name}`;
    await body(url.href);
  } finally {
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  }
}
