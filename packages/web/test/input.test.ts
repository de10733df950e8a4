/** Typing: what is sent, in which order, and what happens when the network does not help. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InputQueue, MAX_CHUNK_BYTES, MAX_WAITING_BYTES, nextChunk, type Outcome } from "../src/terminal/input-queue.ts";
import { bytesOfKey, composeText } from "../src/terminal/keys.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A daemon whose answers the test gives one by one. */
class Daemon {
  readonly got: { text: string; key: string }[] = [];
  readonly waits: number[] = [];
  #answers: ((outcome: Outcome) => void)[] = [];
  #keys = 0;
  readonly queue = new InputQueue({
    send: (bytes, key) => {
      this.got.push({ text: text(bytes), key });
      return new Promise((resolve) => this.#answers.push(resolve));
    },
    wait: async (ms) => void this.waits.push(ms),
    newKey: () => `key-${++this.#keys}`,
  });

  async answer(outcome: Outcome): Promise<void> {
    const next = this.#answers.shift() ?? assert.fail("nothing is under way");
    next(outcome);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("WEB-21: keys typed while a request is under way are joined into the next one, in order", async () => {
  const daemon = new Daemon();
  for (const key of "hello") daemon.queue.push(key);
  assert.deepEqual(daemon.got, [{ text: "h", key: "key-1" }], "one request at a time");
  await daemon.answer("sent");
  daemon.queue.push("!");
  assert.deepEqual(daemon.got.at(-1), { text: "ello", key: "key-2" });
  await daemon.answer("sent");
  assert.deepEqual(daemon.got.at(-1), { text: "!", key: "key-3" });
  await daemon.answer("sent");
  assert.equal(daemon.queue.waiting.value, 0);
});

test("WEB-21: what could not be sent is kept, told as unsent, and tried again under the same key", async () => {
  const daemon = new Daemon();
  daemon.queue.push("ab");
  await daemon.answer("retry");
  daemon.queue.push("c");
  assert.deepEqual([daemon.queue.waiting.value, daemon.queue.stuck.value], [3, true]);
  await daemon.answer("retry");
  await daemon.answer("sent");
  assert.deepEqual(
    daemon.got.map(({ text, key }) => `${key} ${text}`),
    ["key-1 ab", "key-1 ab", "key-1 ab", "key-2 c"],
    "a daemon that took it and could not say so drops the double by its key",
  );
  assert.deepEqual([daemon.waits.length, daemon.queue.stuck.value, daemon.queue.waiting.value], [2, false, 1]);
});

test("an agent that is gone takes nothing more: the rest is dropped, and typing can begin anew", async () => {
  const daemon = new Daemon();
  daemon.queue.push("a");
  daemon.queue.push("b");
  await daemon.answer("refused");
  assert.deepEqual([daemon.got.length, daemon.queue.waiting.value], [1, 0]);
  daemon.queue.push("c");
  assert.equal(daemon.got.at(-1)?.text, "c");
  daemon.queue.close();
  assert.equal(daemon.queue.push("d"), false);
});

test("no request carries more than 65,536 bytes, and the pieces together are the paste", () => {
  const paste = Uint8Array.from({ length: MAX_CHUNK_BYTES * 2 + 7 }, (_, at) => at % 251);
  const pieces = [
    { bytes: paste, alone: false },
    { bytes: Uint8Array.of(1, 2), alone: false },
  ];
  const chunks: Uint8Array[] = [];
  while (pieces.length > 0) chunks.push(nextChunk(pieces));
  assert.deepEqual(
    chunks.map((chunk) => chunk.length),
    [MAX_CHUNK_BYTES, MAX_CHUNK_BYTES, 9],
  );
  assert.deepEqual(Buffer.concat(chunks), Buffer.concat([paste, Uint8Array.of(1, 2)]));
});

test("more than 4 MiB waiting is refused rather than kept", () => {
  const daemon = new Daemon();
  assert.equal(daemon.queue.push(new Uint8Array(MAX_WAITING_BYTES)), true);
  assert.equal(daemon.queue.push("x"), false);
});

test("WEB-15: a message goes as its text, pasted when it has several lines, then a carriage return of its own", async () => {
  assert.equal(composeText("one line"), "one line");
  assert.equal(composeText("two\r\nlines\n"), "\x1b[200~two\rlines\r\x1b[201~");
  assert.equal(composeText("end\x1b[201~ early\nx"), "\x1b[200~end early\rx\x1b[201~", "the text cannot end its own paste");
  const daemon = new Daemon();
  daemon.queue.push("first");
  daemon.queue.push("typed ");
  daemon.queue.push("more");
  daemon.queue.push("\r", { alone: true });
  daemon.queue.push("next");
  for (let at = 0; at < 4; at++) await daemon.answer("sent");
  assert.deepEqual(
    daemon.got.map((one) => one.text),
    ["first", "typed more", "\r", "next"],
  );
});

test("WEB-17: each key of the bar sends the bytes a terminal sends, arrows also in application mode", () => {
  const keys = ["escape", "tab", "shift-tab", "up", "down", "right", "left", "ctrl-c", "enter"] as const;
  assert.deepEqual(
    keys.map((key) => bytesOfKey(key, false)),
    ["\x1b", "\t", "\x1b[Z", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x03", "\r"],
  );
  assert.deepEqual(
    keys.map((key) => bytesOfKey(key, true)),
    ["\x1b", "\t", "\x1b[Z", "\x1bOA", "\x1bOB", "\x1bOC", "\x1bOD", "\x03", "\r"],
  );
});
