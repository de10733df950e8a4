/** The terminal model may lag behind a flood, and must be exact once it has caught up, from memory or from disk. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readLog } from "../src/client.ts";
import { Model, ModelThread } from "../src/model.ts";
import { Ring } from "../src/ring.ts";
import { collect, type Host, startHost, until } from "./host.ts";
import { describeTerminal, feed, newTerminal } from "./screens.ts";

function screen(cols: number, rows: number, data: Uint8Array): object {
  const terminal = newTerminal(cols, rows, 500);
  feed(terminal, data);
  return describeTerminal(terminal, 400);
}

/** The snapshot once it stands at the end of the output. */
async function finalSnapshot(host: Host, id: string) {
  return await until(
    "a snapshot of everything",
    async () => {
      const shot = await host.client.snapshot(id, { scrollback: 400 });
      return shot.offset === (await host.info(id)).offset ? shot : null;
    },
    60_000,
  );
}

test("SUPERVISOR-23: after a flood the model catches up from the log on disk and is exact", async () => {
  await using host = await startHost();
  await host.spawn("a", ["flood", "60000000"], { logMaxBytes: 1024 ** 3 });
  await host.ended("a");
  const shot = await finalSnapshot(host, "a");
  assert.deepEqual(screen(80, 24, shot.data), screen(80, 24, readFileSync(join(host.home, "sessions", "a.log")).subarray(-64 * 1000)));
});

test("SUPERVISOR-23: a flood far larger than its log, or without a log, is slowed to the model and stays exact and bounded", async () => {
  await using host = await startHost();
  await host.spawn("small", ["flood", "30000000"], { logMaxBytes: 6_000_000 });
  await host.spawn("none", ["flood", "30000000"], { log: null });
  let most = 0;
  const ended = async () => {
    most = Math.max(most, Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.client.hello.pid}/status`, "utf8"))?.[1]) / 1024);
    return (await host.client.list()).every((session) => session.exit);
  };
  await until("both end", ended, 120_000);
  assert.ok(most < 300, `resident memory reached ${most} MiB`);
  const [small, none] = [await finalSnapshot(host, "small"), await finalSnapshot(host, "none")];
  const log = await readLog(join(host.home, "sessions", "small.log"), 0, 1e9);
  assert.ok(log.total - log.oldest <= 7_000_000);
  const reference = screen(80, 24, log.bytes.subarray(-64 * 1000));
  assert.deepEqual(screen(80, 24, small.data), reference);
  assert.deepEqual(screen(80, 24, none.data), reference);
});

test("SESSION-27: a viewer attached in the middle of a flood sees pictures at once and the end exactly", async () => {
  await using host = await startHost();
  await host.spawn("a", ["flood", "120000000"], { logMaxBytes: 1024 ** 3 });
  await host.info("a", (info) => info.offset > 20_000_000);
  const seen = collect();
  const terminal = newTerminal(80, 24, 500);
  await host.client.watch("a", {
    onSnapshot: (shot) => {
      seen.handlers.onSnapshot(shot);
      feed(terminal, shot.data);
    },
    onOutput: (offset, bytes) => {
      seen.handlers.onOutput(offset, bytes);
      feed(terminal, bytes);
    },
    onExit: seen.handlers.onExit,
  });
  await until("the first picture", () => seen.state.pictures > 0);
  await until("the end", () => seen.state.exit, 120_000);
  const info = await host.info("a");
  assert.deepEqual([seen.state.head, seen.state.gaps], [info.offset, 0]);
  assert.deepEqual(
    describeTerminal(terminal, 400),
    screen(80, 24, readFileSync(join(host.home, "sessions", "a.log")).subarray(-64 * 1000)),
  );
});

test("SUPERVISOR-21: a snapshot in the middle of a sequence stands before it, and the rest follows from there", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"], { log: null });
  await host.said("a", "ready");
  const { offset } = await host.info("a");
  for (const [part, text] of [
    ["text\x1b[3", "text"],
    ["1mred ", "textred"],
    ["\xc3", "textred"],
    ["\xb6\x1b]2;tit", "textred ö"],
  ] as const) {
    const bytes = Buffer.from(part, "latin1");
    const before = (await host.info("a")).offset;
    await host.client.input("a", bytes);
    await host.info("a", (info) => info.offset === before + bytes.length);
    const shot = await host.client.snapshot("a");
    assert.equal(shot.text[1], text);
    assert.equal(shot.cursor.y, 1);
  }
  const shot = await host.client.snapshot("a");
  assert.equal((await host.info("a")).offset - shot.offset, "\x1b]2;tit".length);
  assert.ok(offset < shot.offset);
});

test("SUPERVISOR-21: a string that never ends does not hold the model up, and a viewer does not paint its rest", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"], { log: null });
  await host.said("a", "ready");
  const start = (await host.info("a")).offset;
  const stray = Buffer.concat([Buffer.from("seen\x1b]0;"), Buffer.alloc(300_000, "x")]);
  for (let at = 0; at < stray.length; at += 60_000) await host.client.input("a", stray.subarray(at, at + 60_000));
  await host.info("a", (info) => info.offset === start + stray.length);
  const terminal = newTerminal(80, 24);
  const shot = await until("the model to have swallowed it", async () => {
    const found = await host.client.snapshot("a");
    return found.offset > start + 100_000 ? found : null;
  });
  assert.equal(shot.text[1], "seen");
  feed(terminal, shot.data);
  feed(terminal, Buffer.concat([stray.subarray(shot.offset - start), Buffer.from("\x07after")]));
  assert.equal(terminal.buffer.active.getLine(1)?.translateToString(true), "seenafter");
});

test("SUPERVISOR-21: when the thread of the models dies, it is started again and the screen is rebuilt from what is held", async () => {
  const complaints: string[] = [];
  const thread = new ModelThread((message) => complaints.push(message));
  const ring = new Ring(1_000);
  const answers: string[] = [];
  const model = new Model({ thread, ring, log: null, cols: 40, rows: 5, onAnswer: (data) => answers.push(data), onProgress() {} });
  const say = (text: string) => {
    ring.push(Buffer.from(text));
    model.note(Buffer.from(text), performance.now());
  };
  say("first\r\n");
  assert.equal((await model.snapshot(0)).text[0], "first");
  thread.post(null as never);
  await until("the complaint", () => complaints.length > 0);
  say("second\x1b[6n");
  const shot = await model.snapshot(0);
  assert.deepEqual([shot.text.slice(0, 2), shot.offset], [["first", "second"], ring.head]);
  await until("the answer", () => answers.length > 0);
  assert.deepEqual(answers, ["\x1b[2;7R"]);
  model.close();
  await thread.close();
});
