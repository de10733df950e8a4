/** The wire may only grow, and nobody may bring the supervisor down through it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { test } from "node:test";
import { SupervisorError } from "../src/client.ts";
import { encodeFrame, type Frame, FrameReader, REPLY_LIMIT, VERB } from "../src/frames.ts";
import { type Host, main, startHost, until } from "./host.ts";
import { dice } from "./screens.ts";

/** A client written by hand: sends bytes, collects frames. */
async function raw(host: Host, greet = true) {
  const socket = connect(host.paths.socket);
  const frames: Frame[] = [];
  const reader = new FrameReader(REPLY_LIMIT);
  const state = { closed: false };
  socket.on("data", (chunk) => frames.push(...reader.push(chunk as Buffer)));
  socket.on("close", () => {
    state.closed = true;
  });
  socket.on("error", () => {});
  const ask = async (verb: number, header: object, body?: Uint8Array) => {
    const request = 1 + frames.length * 7 + Math.floor(Math.random() * 1e6);
    socket.write(encodeFrame(verb, request, header, body));
    return await until("a reply", () => frames.find((frame) => frame.request === request));
  };
  if (greet) await ask(VERB.HELLO, { protocol: 1 });
  return { socket, frames, state, ask };
}

test("SUPERVISOR-15: HELLO says protocol, build, pid and start time, and the lower version holds", async () => {
  await using host = await startHost();
  const { hello } = host.client;
  assert.deepEqual([hello.protocol, hello.pid, typeof hello.build, hello.startedAt <= Date.now()], [1, host.process.pid, "string", true]);
  assert.equal((await host.connect({ version: 99 })).hello.protocol, 1);
  const client = await raw(host, false);
  const refused = await client.ask(VERB.LIST, {});
  assert.deepEqual([refused.verb, refused.header.code], [VERB.ERROR, "INVALID_INPUT"]);
  assert.equal((await client.ask(VERB.HELLO, { protocol: 1 })).header.protocol, 1);
});

test("SUPERVISOR-16: an unknown verb gets an error, an unknown field is ignored, and the connection stays", async () => {
  await using host = await startHost();
  const client = await raw(host);
  const unknown = await client.ask(250, { some: "thing" });
  assert.deepEqual([unknown.verb, unknown.header.code], [VERB.ERROR, "METHOD_NOT_FOUND"]);
  const request = {
    id: "a",
    argv: ["/bin/cat"],
    env: {},
    cwd: "/",
    cols: 80,
    rows: 24,
    log: null,
    offset: 0,
    logMaxBytes: 0,
    colour: "blue",
  };
  assert.equal((await client.ask(VERB.SPAWN, request)).verb, VERB.SPAWN);
  assert.equal((await client.ask(VERB.LIST, {})).verb, VERB.LIST);
});

test("SUPERVISOR-16: a wrong field is named in the answer", async () => {
  await using host = await startHost();
  const bad = (more: object) =>
    host.spawn("a", ["idle"], more).then(
      () => "",
      (error: SupervisorError) => `${error.code} ${error.message}`,
    );
  assert.match(await bad({ cols: "wide" }), /INVALID_INPUT cols must be a whole number from 1 to 1000; found "wide"/);
  assert.match(await bad({ argv: [] }), /INVALID_INPUT argv must be/);
  assert.match(await bad({ env: { A: 1 } }), /INVALID_INPUT env must be/);
  await assert.rejects(host.client.input("nobody", Buffer.from("x")), { code: "NOT_FOUND" });
  await assert.rejects(host.client.signal("nobody", "SIGTERM"), { code: "NOT_FOUND" });
});

test("SUPERVISOR-16: garbage closes that connection only, after an error frame", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"]);
  for (const garbage of [
    Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Buffer.from([0, 0, 0, 12, 3, 0, 0, 0, 1, 0, 0, 0, 99, 1, 2, 3]),
    Buffer.from([0, 0, 0, 1, 9]),
  ]) {
    const client = await raw(host);
    client.socket.write(garbage);
    await until("the connection closes", () => client.state.closed);
    assert.equal(client.frames.at(-1)?.verb, VERB.ERROR);
  }
  await host.client.input("a", Buffer.from("still here"));
  await host.said("a", "still here");
});

test("SUPERVISOR-16: 10,000 malformed frames neither end the supervisor nor make it grow", async () => {
  await using host = await startHost();
  await host.spawn("a", ["echo"]);
  const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${host.client.hello.pid}/status`, "utf8"))?.[1]) / 1024;
  const roll = dice(42);
  const values: unknown[] = [null, -1, 0.5, "", "a", "x".repeat(300), [], {}, true, 1e300, "\0", 4294967296, ["a"], { a: 1 }];
  const fields = [
    "id",
    "argv",
    "env",
    "cwd",
    "cols",
    "rows",
    "log",
    "offset",
    "logMaxBytes",
    "signal",
    "killAfterMs",
    "watch",
    "since",
    "viewer",
    "collect",
    "generation",
    "scrollback",
    "protocol",
    "close",
  ];
  const batch = async (count: number) => {
    const client = await raw(host);
    for (let i = 0; i < count; i++) {
      const header: Record<string, unknown> = {};
      for (let f = 0; f < 4; f++) header[fields[Math.floor(roll() * fields.length)] as string] = values[Math.floor(roll() * values.length)];
      if (roll() < 0.3) header.id = "a";
      client.socket.write(encodeFrame(1 + Math.floor(roll() * 20), 1_000_000 + i, header, Buffer.alloc(Math.floor(roll() * 50))));
    }
    await client.ask(VERB.LIST, {});
    client.socket.destroy();
  };
  await batch(2_000);
  for (let i = 0; i < 300; i++) {
    const client = await raw(host, false);
    client.socket.end(Buffer.from(Array.from({ length: 40 }, () => Math.floor(roll() * 256))));
  }
  const before = memory();
  for (let i = 0; i < 4; i++) await batch(2_000);
  assert.ok(memory() - before < 60, `grew from ${before} to ${memory()} MiB`);
  assert.equal((await host.client.list()).find((session) => session.id === "a")?.exit, null);
});

test("SUPERVISOR-19: the supervisor loads the committed list of packages and no other", () => {
  const script = `
    const { registerHooks } = await import("node:module");
    const seen = new Set();
    registerHooks({ load(url, context, next) { seen.add(url); return next(url, context); } });
    process.argv.push("--home", "/nonexistent/x".repeat(20));
    process.exit = () => { throw 0; };
    process.stderr.write = () => true;
    await import(${JSON.stringify(main)}).catch(() => {});
    await import(${JSON.stringify(main.replace("main.ts", "redraw.ts"))});
    await import(${JSON.stringify(main.replace("main.ts", "terminal.ts"))});
    const cached = Object.keys(process.getBuiltinModule("node:module")._cache ?? {});
    process.stdout.write(JSON.stringify([...seen, ...cached]));
  `;
  const out = execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  const urls = JSON.parse(out) as string[];
  const packages = new Set(urls.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []));
  const committed = readFileSync(new URL("modules.txt", import.meta.url), "utf8")
    .trim()
    .split("\n");
  const platform = `@lydell/node-pty-${process.platform}-${process.arch}`;
  assert.deepEqual([...packages].map((name) => (name === platform ? "@lydell/node-pty-<platform>" : name)).sort(), committed);
});
