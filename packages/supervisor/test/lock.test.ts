/** The lock of a home folder. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { holdLock } from "../src/lock.ts";

test("SUPERVISOR-11: whoever gets the lock of a home that was removed meanwhile does not hold anything", async () => {
  const home = mkdtempSync(join(tmpdir(), "argus-lock-"));
  const path = join(home, "lock");
  const first = await holdLock(path);
  assert.ok(first);
  const late = holdLock(path, { waitMs: 5_000 });
  rmSync(home, { recursive: true });
  first.release();
  assert.equal(await late, null);
});
