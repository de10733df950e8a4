/** What arrives: server-sent events, offsets of a terminal, the cursor of the event log, and the question whether the daemon answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cursor } from "../src/api/feed.ts";
import { afterRequest, REACHABLE } from "../src/api/reach.ts";
import { SseParser } from "../src/api/sse.ts";
import { bytesOf, Offsets } from "../src/terminal/attach.ts";

test("server-sent events are read whole however they are cut, with any line ending, comments and several data lines", () => {
  const source =
    "\uFEFF: hello\r\nid: 7\r\ndata: a\r\n\r\nevent: exit\rdata:{}\r\rdata: x\ndata:  y\n\n: alive\n\nid\ndata\n\ndata: unfinished\n";
  const expected = [
    { type: "message", data: "a", id: "7" },
    { type: "exit", data: "{}", id: "7" },
    { type: "message", data: "x\n y", id: "7" },
    { type: "message", data: "", id: "" },
  ];
  for (const step of [1, 2, 3, 5, source.length]) {
    const parser = new SseParser();
    const got = [];
    for (let at = 0; at < source.length; at += step) got.push(...parser.push(source.slice(at, at + step)));
    assert.deepEqual(got, expected, `in pieces of ${step}`);
  }
});

test("a terminal comes back at its offset, draws no byte twice, and takes a snapshot wherever it stands", () => {
  const bytes = Uint8Array.of(65);
  const snapshot = Uint8Array.of(0x1b, 0x63, 65);
  const offsets = new Offsets();
  assert.equal(offsets.query, "");
  assert.equal(offsets.take("100", snapshot), true);
  assert.equal(offsets.query, "&since=100");
  assert.deepEqual(
    [offsets.take("105", bytes), offsets.take("105", bytes), offsets.take("90", bytes), offsets.take("106", bytes)],
    [true, false, false, true],
  );
  // A session that was cut off from its ring, or began anew, says so with a snapshot.
  assert.equal(offsets.take("40", snapshot), true);
  assert.equal(offsets.query, "&since=40");
  assert.equal(offsets.take("", bytes), true, "bytes without an offset are drawn");
  assert.equal(offsets.query, "&since=40");
});

test("base64 of every byte value is decoded", () => {
  const every = Uint8Array.from({ length: 256 }, (_, at) => at);
  assert.deepEqual(bytesOf(Buffer.from(every).toString("base64")), every);
});

test("the feed goes on after the newest event seen, skips doubles, and asks anew when told to", () => {
  const cursor = new Cursor();
  assert.equal(cursor.path, "/api/events/stream");
  assert.deepEqual(
    [5, 6, 6, 4, 9].map((id) => cursor.take({ id, type: "task.created" })),
    ["apply", "apply", "skip", "skip", "apply"],
  );
  assert.equal(cursor.path, "/api/events/stream?since=9");
  assert.equal(cursor.take({ id: 0, type: "resync" }), "resync");
  assert.equal(cursor.path, "/api/events/stream");
  assert.equal(cursor.take({ id: 3, type: "task.created" }), "apply", "a log that began anew is followed");
});

test("WEB-04: two failures in a row are an outage, one is not, and an answer ends it", () => {
  const once = afterRequest(REACHABLE, false, 1_000);
  const twice = afterRequest(once, false, 2_000);
  assert.deepEqual([once.offline, twice.offline, twice.since], [false, true, 1_000]);
  assert.deepEqual(afterRequest(afterRequest(once, true, 1_500), false, 3_000), { failures: 1, since: 3_000, offline: false });
  assert.equal(afterRequest(twice, true, 4_000), REACHABLE);
  assert.equal(afterRequest(REACHABLE, true, 5_000), REACHABLE, "nothing changes, so nothing is drawn");
});
