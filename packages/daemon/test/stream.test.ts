/** The bytes of a session: what viewers see, what typing brings, and whose window counts. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import { test } from "node:test";
import { agentOf, OWNER, startHost } from "../src/host.ts";
import { sessionOf, start, view, viewRest } from "./viewer.ts";

const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** A backend with arguments of its own. */
async function backend(host: Awaited<ReturnType<typeof startHost>>, agent: string, args: string): Promise<string> {
  const name = `${agent} ${args}`.replaceAll("/", "_");
  await host.call("backend.create", { name, command: `${host.system.services.backends.choose(`fixture-${agent}`, "").command} ${args}` });
  return name;
}

test("SESSION-27, REST-39: a late viewer gets one redraw of the screen at its offset, then every byte after it", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo");
  await using early = await view(host, id);
  await early.until((v) => v.text().includes("ready"), "ready");
  await host.call("session.input", { id, text: "before\r\n" });
  await early.until((v) => v.text().includes("before"), "the echo");
  await using late = await view(host, id);
  await late.until((v) => v.snapshots().length === 1, "the snapshot");
  const first = late.snapshots()[0] ?? assert.fail();
  assert.ok(first.text.startsWith("\x1bc") && first.text.includes("before"), "a redraw begins with a full reset");
  assert.equal(first.offset, early.at());
  await host.call("session.input", { id, text: "after" });
  await late.until((v) => v.bytes().includes("after"), "what follows");
  assert.deepEqual([late.bytes().toString(), late.at()], ["after", first.offset + 5]);

  await using rest = await viewRest(host, id);
  await rest.until((v) => v.at() > 0, "the snapshot over REST");
  assert.equal(rest.first.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.deepEqual([rest.at(), rest.text().startsWith("\x1bc"), rest.text().includes("before")], [late.at(), true, true]);
  assert.deepEqual(rest.items[0], { kind: "size", cols: 80, rows: 24 }, "a viewer learns what size the redraw is for");
});

test("SESSION-28, REST-39: cut and rejoined with since or Last-Event-ID, the bytes together are the log", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo", { backend: await backend(host, "numbered", "400 1500") });
  const parts: Buffer[] = [];
  let at = 0;
  for (let round = 0; ; round++) {
    const viewer =
      round % 2 === 0
        ? await viewRest(host, id, `?since=${at}`).catch(() => null)
        : await viewRest(host, id, "", { "last-event-id": String(at) }).catch(() => null);
    if (!viewer) break; // ended in between
    const joined = at;
    if (!viewer.ended) await viewer.until((v) => v.at() > joined || v.ended, "more bytes").catch(() => {});
    const exit = viewer.exit();
    parts.push(viewer.bytes());
    at = Math.max(at, viewer.at());
    await viewer[Symbol.asyncDispose]();
    if (exit) break;
  }
  await host.until(id, (task) => task.status === "complete");
  const all = await host.call<{ base64: string; total: number }>("session.history", { id, bytes: 1_048_576 });
  const log = Buffer.from(all.base64, "base64");
  const seen = Buffer.concat(parts);
  assert.deepEqual([at, sha(seen)], [seen.length, sha(log.subarray(0, seen.length))]);
  assert.ok(parts.length > 5 && seen.length > 1000, `${parts.length} rounds, ${seen.length} bytes`);
});

test("REST-38: the stream ends with an exit event after the last byte, also for a viewer that reads late", async () => {
  await using host = await startHost({ rest: true });
  const total = 3_000_000;
  const id = await start(host, "echo", { backend: await backend(host, "flood", String(total)) });
  await using viewer = await viewRest(host, id, "?since=0");
  await viewer.done();
  assert.deepEqual(viewer.exit(), { pending_restart: false });
  assert.equal(viewer.at(), (await host.call<{ total: number }>("session.history", { id })).total);
  const missing = await host.rest("GET", `/api/tasks/${id}/stream`);
  assert.equal(missing.status, 404);
});

test("SESSION-29: a viewer that takes nothing holds up neither the agent nor another viewer, and later gets a snapshot", async () => {
  await using host = await startHost();
  const total = 12_000_000;
  const id = await start(host, "echo", { backend: await backend(host, "flood", `${total} 6000000`) });
  const stop = new AbortController();
  const stalled = (await host.system.gate.open("session.stream", { id, since: 0 }, { caller: OWNER, signal: stop.signal }))[
    Symbol.asyncIterator
  ]() as AsyncIterator<{ kind: string; offset: number }>;
  await stalled.next();
  await using reader = await view(host, id, { since: 0 });
  await reader.until((v) => v.at() > 10_000_000, "10 MB while the other takes nothing");
  assert.deepEqual(reader.snapshots(), [], "the reading viewer was never cut off");
  let kind = "";
  let at = 0;
  while (kind !== "snapshot") {
    const { value, done } = await stalled.next();
    assert.ok(!done, "the stream goes on");
    ({ kind, offset: at } = value);
  }
  assert.ok(at > 1_000_000, `the snapshot is of ${at}, past the backlog`);
  stop.abort();
  await stalled.return?.();
});

test("SESSION-30, REST-36: all byte values pass both ways, and each request's bytes stay together", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  const from = viewer.at();
  const every = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const reply = await host.rest("POST", `/api/tasks/${id}/input`, every, { "content-type": "application/octet-stream" });
  assert.deepEqual([reply.status, await reply.json()], [200, { status: "ok", bytes: "256" }]);
  await viewer.until((v) => v.at() >= from + 256, "256 bytes");
  assert.deepEqual(viewer.after(from), every);

  const blocks = Array.from({ length: 6 }, (_, n) => Buffer.concat([Buffer.alloc(32_768, 65 + n), Buffer.alloc(32_768, 97 + n)]));
  await Promise.all(blocks.map((block) => host.rest("POST", `/api/tasks/${id}/input`, block)));
  await viewer.until((v) => v.at() >= from + 256 + 6 * 65_536, "all blocks");
  const got = viewer.after(from + 256);
  const order = Array.from({ length: 6 }, (_, n) => got.subarray(n * 65_536, (n + 1) * 65_536));
  assert.deepEqual(order.map(sha).sort(), blocks.map(sha).sort());
});

test("REST-36: input is at most 65,536 bytes, and needs a live session", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "idle");
  const status = async (bytes: Buffer) => (await host.rest("POST", `/api/tasks/${id}/input`, bytes)).status;
  assert.deepEqual([await status(randomBytes(65_537)), await status(Buffer.from("x"))], [413, 200]);
  await host.call("task.stop", { id });
  assert.equal(await status(Buffer.from("x")), 404);
});

test("SESSION-31: a session has 24 rows and 80 columns, or the size its creator asks for", async () => {
  await using host = await startHost();
  const headless = await start(host, "resize");
  const sized = await start(host, "resize", { name: "sized", cols: 132, rows: 43 });
  for (const [id, size] of [
    [headless, "size 24 80"],
    [sized, "size 43 132"],
  ] as const) {
    await using viewer = await view(host, id);
    await viewer.until((v) => v.text().includes(size), size);
  }
});

test("SESSION-32, REST-40, REST-42: the terminal takes the smallest of its viewers, and tells the program only of real changes", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "resize");
  await using wide = await viewRest(host, id, "?viewer=wide");
  await using tall = await viewRest(host, id, "?viewer=tall");
  await wide.until((v) => v.text().includes("size 24 80"), "the first size");
  const resize = async (cols: number, rows: number, viewer?: string) =>
    (await host.rest("POST", `/api/tasks/${id}/resize`, { cols, rows, ...(viewer && { viewer }) })).json();
  const size = async () => (await host.rest("GET", `/api/tasks/${id}/size`)).json();
  assert.deepEqual(await resize(90, 40, "wide"), { cols: 90, rows: 40, rerendered: false });
  await wide.until((v) => v.text().includes("size 40 90"), "40x90");
  assert.deepEqual(await resize(70, 60, "tall"), { cols: 70, rows: 40, rerendered: false });
  await wide.until((v) => v.text().includes("size 40 70"), "40x70");
  assert.deepEqual(await resize(70, 60, "tall"), { cols: 70, rows: 40, rerendered: false });
  assert.deepEqual(await size(), { cols: 70, rows: 40 });
  await using unnamed = await viewRest(host, id);
  await unnamed.until((v) => v.at() > 0, "the screen");
  assert.deepEqual(await resize(60, 60), { cols: 60, rows: 40, rerendered: false }, "unnamed, it speaks for its token's viewer");
  await wide.until((v) => v.text().includes("size 40 60"), "40x60");
  await unnamed[Symbol.asyncDispose]();
  await wide.until((v) => v.text().includes("size 40 70", v.text().indexOf("size 40 60")), "40x70 again");
  await tall[Symbol.asyncDispose]();
  await wide.until((v) => v.text().includes("size 40 90", v.text().lastIndexOf("size 40 70")), "40x90 again");
  await wide[Symbol.asyncDispose]();
  const alone = await host.eventually(async () => {
    const now = await resize(91, 41);
    return now.cols === 91 && now; // the daemon notices a closed connection a moment later
  }, "the size to apply without a viewer");
  assert.deepEqual(alone, { cols: 91, rows: 41, rerendered: false });
  await using last = await view(host, id);
  await last.until((v) => v.text().includes("size 41 91"), "41x91");
  const told = await host.eventually(async () => {
    const { base64 } = await host.call<{ base64: string }>("session.history", { id });
    const sizes =
      Buffer.from(base64, "base64")
        .toString()
        .match(/size \d+ \d+/g) ?? [];
    return sizes.at(-1) === "size 41 91" && sizes;
  }, "the log to hold the last size");
  assert.deepEqual(told, ["size 24 80", "size 40 90", "size 40 70", "size 40 60", "size 40 70", "size 40 90", "size 41 91"]);
});

test("REST-41: sizes of 0 and above 1000 are refused, and after the exit a resize changes nothing", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "idle");
  const resize = async (cols: number) => {
    const reply = await host.rest("POST", `/api/tasks/${id}/resize`, { cols, rows: 20 });
    return [reply.status, reply.ok ? await reply.json() : null];
  };
  assert.deepEqual(
    [await resize(0), await resize(1001)],
    [
      [400, null],
      [400, null],
    ],
  );
  await host.call("task.stop", { id });
  assert.deepEqual(await resize(99), [200, { cols: 99, rows: 20, rerendered: false }]);
  assert.equal((await host.rest("GET", `/api/tasks/${id}/size`)).status, 404);
});

test("SESSION-36, REST-34: output is kept to its first byte across runs", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo", { backend: await backend(host, "numbered", "100000 20000") });
  assert.equal((await host.until(id, (task) => task.status === "complete")).status, "complete");
  await host.call("task.restart", { id });
  await host.until(id, (task) => task.status === "complete", "the second run");
  let at = 0;
  let text = "";
  for (;;) {
    const part = await host.call<{ base64: string; total: number; oldest: number }>("session.history", { id, offset: at, bytes: 300_000 });
    assert.equal(part.oldest, 0);
    const bytes = Buffer.from(part.base64, "base64");
    text += bytes.toString();
    at += bytes.length;
    if (at >= part.total) break;
  }
  const once = Array.from({ length: 20_000 }, (_, n) => `line ${n + 1}\r\n`).join("");
  assert.equal(sha(Buffer.from(text)), sha(Buffer.from(once + once)));
  const reply = await host.rest("GET", `/api/tasks/${id}/output?bytes=24`);
  assert.deepEqual(
    [await reply.text(), reply.headers.get("x-source"), reply.headers.get("x-output-total")],
    ["line 19999\r\nline 20000\r\n", "log", String(2 * once.length)],
  );
});

test("SESSION-37, REST-35: links are listed once each, without trailing punctuation", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo");
  const text =
    "see https://example.org/a. and [docs](https://example.org/b), \x1b]8;;https://example.org/c\x07click\x1b]8;;\x07 https://example.org/a\r\n";
  await host.call("session.input", { id, text });
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("click"), "the echo");
  const links = await host.eventually(async () => {
    const found = (await (await host.rest("GET", `/api/tasks/${id}/links`)).json()).links as { url: string }[];
    return found.length >= 3 && found;
  }, "three links");
  assert.deepEqual(links.map((link) => link.url).sort(), ["https://example.org/a", "https://example.org/b", "https://example.org/c"]);
});

test("SESSION-41, SESSION-42, REST-37: uploads are cleaned, kept apart, and typed as paths without Enter", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "echo");
  await using viewer = await view(host, id);
  await viewer.until((v) => v.text().includes("ready"), "ready");
  const from = viewer.at();
  const form = new FormData();
  form.append("files", new Blob(["one"]), "../../etc/no\u202etes.txt");
  form.append("files", new Blob(["two"]), "../../etc/no\u202etes.txt");
  const reply = await host.rest("POST", `/api/tasks/${id}/upload`, form);
  const { paths } = (await reply.json()) as { paths: string[] };
  assert.equal(reply.status, 200);
  const typed = `${paths.join(" ")} `;
  await viewer.until((v) => v.at() >= from + Buffer.byteLength(typed), "the paths");
  assert.equal(viewer.after(from).toString(), typed);
  assert.ok(!typed.includes("..") && !/[\r\n\u202e]/.test(typed) && typed.endsWith("-1.txt "), typed);
  const { worktree_path } = await host.call<{ worktree_path: string }>("task.get", { id });
  const { bytes } = await host.system.services.node.files.read(path.join(worktree_path, paths[1] as string), 0, 10);
  assert.equal(bytes.toString(), "two");
  assert.equal((await host.rest("POST", `/api/tasks/${id}/upload`, new FormData())).status, 400);
  const many = new FormData();
  for (let n = 0; n < 21; n++) many.append("files", new Blob(["x"]), `${n}`);
  assert.equal((await host.rest("POST", `/api/tasks/${id}/upload`, many)).status, 413);
  const large = new FormData();
  large.append("files", new Blob([Buffer.alloc(10 * 1024 * 1024 + 1)]), "large");
  assert.equal((await host.rest("POST", `/api/tasks/${id}/upload`, large)).status, 413);
  assert.equal((await sessionOf(host, id)).offset, from + Buffer.byteLength(typed), "refused uploads type nothing");
});

test("SESSION-43, REST-43: staged text is one slot of 1 MiB for 5 minutes, told to viewers, and gone at the end of the session", async () => {
  await using host = await startHost({ rest: true });
  const id = await start(host, "idle");
  const at = `/api/tasks/${id}/clipboard`;
  const read = async () => {
    const reply = await host.rest("GET", at);
    return reply.status === 204 ? null : (await reply.json()).text;
  };
  assert.equal(await read(), null);
  const agent = host.as(agentOf({ id }));
  await agent.call("clipboard.set", { text: "one" });
  await using viewer = await viewRest(host, id);
  await viewer.until((v) => v.staged().length === 1, "what was staged before");
  await host.rest("POST", at, { text: "two" });
  assert.equal(await read(), "two");
  await host.rest("DELETE", at);
  assert.equal(await read(), null);
  await viewer.until((v) => v.staged().length === 3, "each change");
  assert.deepEqual(viewer.staged(), ["one", "two", null]);

  await agent.call("clipboard.set", { text: "x".repeat(1_048_576) });
  await assert.rejects(agent.call("clipboard.set", { text: "x".repeat(1_048_577) }), { code: "TOO_LARGE" });
  host.clock.advance(299_000);
  assert.equal((await read())?.length, 1_048_576, "the refused text changed nothing");
  host.clock.advance(2_000);
  assert.equal(await read(), null);
  await agent.call("clipboard.set", { text: "three" });
  await host.call("task.stop", { id });
  assert.equal(await read(), null);
});
