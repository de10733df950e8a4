/** The log on disk is addressed by offset, whatever happened to the disk. */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as breathe } from "node:timers/promises";
import { readLog } from "../src/client.ts";
import { SessionLog } from "../src/log.ts";
import { readLogSync } from "../src/logfile.ts";
import { Ring } from "../src/ring.ts";
import { folder, startHost, until } from "./host.ts";

/** The byte that belongs at an offset, so that a misplaced one shows. */
const expected = (from: number, length: number) => Buffer.from(Array.from({ length }, (_, i) => (((from + i) * 2654435761) >>> 13) & 255));

function session(path: string, offset: number, maxBytes: number) {
  const ring = new Ring(offset);
  const complaints: string[] = [];
  const log = new SessionLog(path, ring, maxBytes, (message) => complaints.push(message));
  const write = (length: number) => {
    ring.push(expected(ring.head, length));
    log.note();
  };
  const flushed = () => until("the log is written", () => log.flushed === ring.head);
  return { ring, log, write, flushed, complaints };
}

test("SESSION-36: output of several runs is one log, read by offset from its first byte", async () => {
  using home = folder();
  const path = join(home.path, "sessions", "t.log");
  let offset = 0;
  for (let run = 0; run < 3; run++) {
    const one = session(path, offset, 1e9);
    for (let i = 0; i < 20; i++) one.write(1000 + i);
    await one.log.close();
    offset = one.ring.head;
  }
  const all = await readLog(path, 0, 1e9);
  assert.deepEqual([all.offset, all.oldest, all.total, all.bytes.equals(expected(0, offset))], [0, 0, offset, true]);
  const part = await readLog(path, 12_345, 77);
  assert.deepEqual([part.offset, part.bytes.equals(expected(12_345, 77))], [12_345, true]);
  assert.deepEqual((await readLog(path, offset + 5, 10)).bytes.length, 0);
  assert.deepEqual(await readLog(join(home.path, "none"), 7, 10), { bytes: Buffer.alloc(0), offset: 7, total: 0, oldest: 0 });
});

test("SESSION-36: above its limit the log drops its older part, and what is left keeps its offsets", async () => {
  using home = folder();
  const path = join(home.path, "t.log");
  const one = session(path, 1_000_000, 100_000);
  for (let i = 0; i < 40; i++) {
    one.write(10_000);
    await one.flushed();
    const seen = readLogSync(path, 0, 1e9);
    assert.equal(seen.total, one.ring.head);
    assert.ok(seen.total - seen.oldest <= 130_000);
    assert.ok(seen.bytes.equals(expected(seen.oldest, seen.total - seen.oldest)), `after ${one.ring.head}`);
  }
  await one.log.close();
  const seen = await readLog(path, 0, 1e9);
  assert.ok(seen.oldest > 1_200_000 && seen.total - seen.oldest >= 50_000);
  assert.ok(seen.bytes.equals(expected(seen.oldest, seen.bytes.length)));
});

test("SESSION-36: readers never meet a wrong byte while the log rotates under them", async () => {
  using home = folder();
  const path = join(home.path, "t.log");
  const one = session(path, 0, 64 * 1024);
  let reads = 0;
  for (let i = 0; i < 150; i++) {
    one.write(5_000);
    do {
      await breathe();
      const read = await readLog(path, Math.max(0, one.ring.head - 20_000), 1e6);
      if (read.bytes.length) reads++;
      assert.ok(read.bytes.equals(expected(read.offset, read.bytes.length)), `at ${read.offset}`);
    } while (one.log.flushed < one.ring.head);
  }
  await one.log.close();
  assert.ok(reads > 100);
});

test("SESSION-36: a fresh start empties the log, and a log that is gone begins at the offset it is given", async () => {
  using home = folder();
  const path = join(home.path, "t.log");
  const first = session(path, 0, 1e6);
  first.write(5000);
  await first.log.close();
  const fresh = session(path, 0, 1e6);
  fresh.write(100);
  await fresh.log.close();
  assert.equal((await readLog(path, 0, 1e6)).total, 100);
  rmSync(path);
  const later = session(path, 9_000, 1e6);
  later.write(100);
  await later.log.close();
  const part = await readLog(path, 0, 1e6);
  assert.deepEqual([part.offset, part.oldest, part.total, part.bytes.equals(expected(9_000, 100))], [9_000, 9_000, 9_100, true]);
  assert.equal((statSync(path).mode & 0o777).toString(8), "600");
});

test("SUPERVISOR-23: a log that cannot be written does not stop the agent, and later bytes are at their own offsets", async () => {
  await using host = await startHost();
  const blocked = join(host.home, "blocked");
  writeFileSync(blocked, "a file where a folder should be");
  await host.spawn("a", ["echo"], { log: join(blocked, "a.log") });
  await host.said("a", "ready");
  const before = (await host.info("a")).offset;
  rmSync(blocked);
  mkdirSync(blocked);
  chmodSync(blocked, 0o700);
  // The next try comes a second after the last; each key is one.
  const log = join(blocked, "a.log");
  await until("the log is written again", async () => {
    await host.client.input("a", Buffer.from("x"));
    return existsSync(log) && (await readLog(log, 0, 1e6)).total > before;
  });
  const { offset } = await host.info("a");
  const part = await until("all of it", async () => {
    const found = await readLog(log, 0, 1e6);
    return found.total === offset ? found : null;
  });
  assert.equal(part.oldest + part.bytes.length, offset);
  assert.match(part.bytes.subarray(before - part.oldest).toString(), /^x+$/);
});

test("SUPERVISOR-23: after a full disk the missing stretch is a hole and all else is in place", async () => {
  using home = folder();
  const path = join(home.path, "t.log");
  const one = session(path, 0, 1e9);
  one.write(50_000);
  await one.flushed();
  // A descriptor that refuses writes stands for the full disk.
  const real = one.log.swapDescriptor(process.getBuiltinModule("node:fs").openSync(path, "r"));
  one.write(30_000);
  await one.flushed();
  assert.equal(one.log.healthy, false);
  one.log.swapDescriptor(real);
  one.write(20_000);
  await one.flushed();
  await one.log.close();
  assert.equal(one.complaints.length, 2);
  const { bytes, total } = await readLog(path, 0, 1e9);
  assert.equal(total, 100_000);
  assert.ok(bytes.subarray(0, 50_000).equals(expected(0, 50_000)));
  assert.ok(bytes.subarray(50_000, 80_000).every((byte) => byte === 0));
  assert.ok(bytes.subarray(80_000).equals(expected(80_000, 20_000)));
  assert.equal(readFileSync(path).length, 100_000);
});
