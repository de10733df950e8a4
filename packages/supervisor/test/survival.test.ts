/** Clients die, stop and dawdle; the agent must not notice and no byte may be lost or doubled. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readLog } from "../src/client.ts";
import { collect, type Host, startHost, until } from "./host.ts";
import { describeTerminal, dice, feed, newTerminal } from "./screens.ts";

const viewerProgram = fileURLToPath(new URL("viewer.ts", import.meta.url));

/** A viewer in a process of its own, which writes what it got to a file: kill -9 of it is real. */
function viewer(host: Host, id: string, file: string, since: number | null): ChildProcess {
  return spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", viewerProgram, host.paths.socket, id, file, String(since ?? "")],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
}

/** Runs of bytes the viewer wrote down: each begins with its offset. */
function runs(file: string): { offset: number; picture: boolean; bytes: Buffer }[] {
  const all = readFileSync(file);
  const found: { offset: number; picture: boolean; bytes: Buffer }[] = [];
  for (let at = 0; at + 13 <= all.length; ) {
    const length = all.readUInt32BE(at + 9);
    if (at + 13 + length > all.length) break;
    found.push({ picture: all[at] === 1, offset: Number(all.readBigUInt64BE(at + 1)), bytes: all.subarray(at + 13, at + 13 + length) });
    at += 13 + length;
  }
  return found;
}

function memory(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

test("SUPERVISOR-04: a client is killed 50 times while an agent writes; by offset and hash no byte is lost or doubled", async () => {
  await using host = await startHost();
  // 256 KiB are held, so the next client has 5 s to come; on a machine slower than that it gets a picture, which says its own offset.
  await host.spawn("a", ["flood", "", "50000"]);
  const roll = dice(3);
  let since = 0;
  const pieces: { offset: number; bytes: Buffer }[] = [];
  for (let round = 0; round < 50; round++) {
    const file = join(host.home, `seen-${round}`);
    const child = viewer(host, "a", file, since);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    const enough = since + 1 + Math.floor(roll() * 20_000);
    await until("some output", async () => (await host.info("a")).offset >= enough);
    child.kill("SIGKILL");
    await once(child, "exit");
    for (const { offset, picture, bytes } of runs(file)) {
      if (picture) assert.ok(offset >= since, `round ${round} went back`);
      else {
        assert.equal(offset, since, `round ${round}`);
        pieces.push({ offset, bytes: Buffer.from(bytes) });
      }
      since = picture ? offset : since + bytes.length;
    }
  }
  assert.equal((await host.info("a")).exit, null);
  const log = await until("the log", async () => {
    const part = await readLog(join(host.home, "sessions", "a.log"), 0, since);
    return part.total >= since ? part.bytes : null;
  });
  const hash = (parts: Buffer[]) => createHash("sha256").update(Buffer.concat(parts)).digest("hex");
  assert.ok(pieces.length > 50);
  assert.equal(
    hash(pieces.map(({ bytes }) => bytes)),
    hash(pieces.map(({ offset, bytes }) => log.subarray(offset, offset + bytes.length))),
  );
});

test("SUPERVISOR-23: a suspended client costs bounded memory while 150 MB are written, and then sees the true screen", async () => {
  await using host = await startHost();
  const total = 150 * 1024 * 1024;
  await host.spawn("a", ["/bin/sh", "-c", `read go; exec ${join(import.meta.dirname, "../../../fixtures/agents/flood")} ${total}`], {
    logMaxBytes: 1024 * 1024 * 1024,
  });
  const file = join(host.home, "seen");
  const child = viewer(host, "a", file, null);
  await once(child.stdout as NodeJS.ReadableStream, "data");
  child.kill("SIGSTOP");
  await host.client.input("a", Buffer.from("\n"));
  let most = 0;
  const exit = await until(
    "the agent's end",
    async () => {
      most = Math.max(most, memory(host.client.hello.pid));
      return (await host.info("a")).exit;
    },
    120_000,
  );
  assert.equal(exit.code, 0);
  assert.ok(most < 300, `resident memory reached ${most} MiB`);
  child.kill("SIGCONT");
  await once(child, "exit");
  const info = await host.info("a");
  const last = runs(file).at(-1);
  assert.equal((last?.offset ?? 0) + (last?.picture ? 0 : (last?.bytes.length ?? 0)), info.offset);
  const shot = await host.client.snapshot("a");
  assert.ok(
    shot.text.some((line) => line.startsWith(String(total - 64).padStart(15, "0"))),
    shot.text.join("\n"),
  );
});

test("SESSION-29: one stalled viewer does not delay the agent or another viewer, which gets every byte", async () => {
  await using host = await startHost();
  const total = 8 * 1024 * 1024; // several times what a viewer may be behind, at a rate that a busy machine keeps up with
  await host.spawn("a", ["/bin/sh", "-c", `read go; exec ${join(import.meta.dirname, "../../../fixtures/agents/flood")} ${total} 2000000`]);
  const normal = collect();
  await host.client.watch("a", normal.handlers, { since: 0 });
  const stalled = collect();
  const stop = Promise.withResolvers<void>();
  let pictures = 0;
  const other = await host.connect();
  await other.watch(
    "a",
    {
      ...stalled.handlers,
      onSnapshot: (shot) => (pictures++, stalled.handlers.onSnapshot(shot)),
      onOutput: (offset, bytes) => stop.promise.then(() => stalled.handlers.onOutput(offset, bytes)),
    },
    { since: 0 },
  );
  await host.client.input("a", Buffer.from("\n"));
  await until("the end at the normal viewer", () => normal.state.exit, 60_000);
  assert.deepEqual([normal.state.pictures, normal.state.gaps, normal.state.head], [0, 0, (await host.info("a")).offset]);
  assert.equal(stalled.state.exit, null);
  stop.resolve();
  await until("the end at the stalled viewer", () => stalled.state.exit);
  assert.ok(pictures >= 1);
  assert.equal(stalled.state.head, (await host.info("a")).offset);
});

test("SESSION-27: viewers that attach at random moments of a lively session all show the reference screen", async () => {
  await using host = await startHost();
  await host.spawn("a", ["flood", "3000000", "1500000"], { cols: 70, rows: 20 });
  const screens: { terminal: ReturnType<typeof newTerminal>; seen: { exit: boolean } }[] = [];
  const roll = dice(9);
  for (let n = 0; n < 25; n++) {
    const from = (await host.info("a")).offset;
    await until("a random moment", async () => (await host.info("a")).offset > Math.min(2_990_000, from + roll() * 200_000));
    const terminal = newTerminal(70, 20);
    const seen = { exit: false };
    screens.push({ terminal, seen });
    await host.client.watch("a", {
      onSnapshot: (shot) => feed(terminal, shot.data),
      onOutput: (_, bytes) => feed(terminal, bytes),
      onExit: () => {
        seen.exit = true;
      },
    });
  }
  await until("all ends", () => screens.every(({ seen }) => seen.exit), 60_000);
  const reference = newTerminal(70, 20);
  feed(reference, readFileSync(join(host.home, "sessions", "a.log")));
  for (const { terminal } of screens) assert.deepEqual(describeTerminal(terminal, 0), describeTerminal(reference, 0));
});

test("SESSION-28: a viewer that leaves and returns with since 100 times has every byte once", async () => {
  await using host = await startHost();
  await host.spawn("a", ["numbered", "3000", "3000"]);
  const parts: Buffer[] = [];
  let since = 0;
  let ended = false;
  for (let round = 0; round < 100 && !ended; round++) {
    const goal = since + 150;
    const watch = await host.client.watch(
      "a",
      {
        onSnapshot: () => assert.fail("held bytes were not continued"),
        onOutput(offset, bytes) {
          assert.equal(offset, since);
          parts.push(bytes);
          since += bytes.length;
        },
        onExit: () => {
          ended = true;
        },
      },
      { since },
    );
    await until("more output", () => ended || since >= goal);
    watch.close();
  }
  const rest = collect();
  await host.client.watch("a", rest.handlers, { since });
  await until("the end", () => rest.state.exit);
  const text = Buffer.concat([...parts, rest.bytes()]).toString();
  assert.equal(text, Array.from({ length: 3000 }, (_, i) => `line ${i + 1}\r\n`).join(""));
});

test("SUPERVISOR-30: with 20 idle sessions the supervisor uses at most 250 MiB", async () => {
  await using host = await startHost();
  for (let n = 0; n < 20; n++) await host.spawn(`idle${n}`, ["idle"]);
  for (let n = 0; n < 20; n++) await host.info(`idle${n}`, (info) => info.offset > 0);
  assert.deepEqual((await host.client.snapshot("idle19")).text[0], "idle");
  assert.ok(memory(host.client.hello.pid) <= 250, `${memory(host.client.hello.pid)} MiB`);
});
