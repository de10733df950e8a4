/** Ten thousand malformed requests at each surface: every one is told what is wrong, nothing falls over, and an honest call works afterwards. */
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { ERRORS } from "@argus/protocol";
import { type Host, startHost } from "../src/host.ts";
import { operations } from "../src/operations.ts";
import { type Json, mcpUrl, type RawReply, raw } from "./doors.ts";

const COUNT = 10_000;
const AT_ONCE = 16;
/** Caches and compiled code fill during the first requests; what leaks goes on growing after them. */
const WARM = 2000;
const MAY_GROW = 200 * 1024 * 1024;

/** The same garbage in every run. */
function dice(seed: number) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (n: number) => Math.floor(next() * n);
  return {
    below,
    of: <T>(list: readonly T[]): T => list[below(list.length)] as T,
    text: (most: number) => String.fromCharCode(...Array.from({ length: below(most) + 1 }, () => 32 + below(0x2000))),
    bytes: (most: number) => Buffer.from(Array.from({ length: below(most) + 1 }, () => below(256))),
  };
}
type Dice = ReturnType<typeof dice>;

/** No operation takes any of these for its whole input. */
const WRONG_BODIES = [
  "{",
  "[]",
  "null",
  "3",
  '"x"',
  "{]}",
  "\u0000",
  "{'a':1}",
  '{"a":1}}',
  "[".repeat(50_000),
  `{"a":${"[".repeat(500)}${"]".repeat(500)}}`,
];
/** Values that fit no field of any operation that has one. */
const wrongValue = (d: Dice) => d.of<unknown>([{ x: 1 }, [[["x"]]], -1.5, { toString: "x" }]);

async function many(count: number, send: (n: number) => Promise<void>): Promise<void> {
  let n = 0;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (n < count) await send(n++);
    }),
  );
}

/** Runs all of it and holds the growth of memory against its bound. */
async function flood(send: (n: number) => Promise<void>): Promise<void> {
  await many(WARM, send);
  const before = process.memoryUsage().rss;
  await many(COUNT - WARM, (n) => send(n + WARM));
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < MAY_GROW, `memory grew by ${Math.round(grown / 1024 / 1024)} MiB`);
}

async function healthy(host: Host): Promise<void> {
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: "afterwards" });
  assert.equal((await host.call<{ status: string }>("task.get", { id })).status, "in_progress");
  assert.deepEqual(await host.call("audit.verify"), { intact: true, first_bad_row: null });
}

const told = (error: unknown, code: unknown, where: string) => {
  assert.ok(typeof error === "string" && error.length > 5, `${where}: a sentence, not ${JSON.stringify(error)}`);
  assert.ok(typeof code === "string" && code in ERRORS && code !== "INTERNAL", `${where}: a code, not ${String(code)}`);
};

const routes = operations.flatMap((operation) =>
  Object.keys(operation.rest ?? {}).map((route) => ({
    operation,
    method: route.split(" ")[0] as string,
    path: route.split(" ")[1] as string,
  })),
);

function restGarbage(d: Dice, host: Host): { method: string; path: string; headers: http.OutgoingHttpHeaders; body?: string | Buffer } {
  const headers: http.OutgoingHttpHeaders = { authorization: `Bearer ${host.token}`, "content-type": "application/json" };
  const writes = routes.filter(({ method, operation }) => method !== "GET" && !operation.rawBody);
  switch (d.below(8)) {
    case 0:
      return { method: d.of(["GET", "POST", "PUT", "PATCH", "DELETE"]), path: `/api/${encodeURIComponent(d.text(40))}`, headers };
    case 1: {
      const { method, path } = d.of(writes);
      return { method, path: path.replace(/\{\w+\}/g, "1"), headers, body: d.of(WRONG_BODIES) };
    }
    case 2: // an operation that nobody has
      return { method: "POST", path: `/api/call/${encodeURIComponent(d.text(20))}`, headers, body: "{}" };
    case 3:
      return {
        method: "POST",
        path: "/api/call/task.create",
        headers,
        body: JSON.stringify({ project: wrongValue(d), name: wrongValue(d) }),
      };
    case 4:
      return { method: d.of(["GET", "POST"]), path: `/api/tasks/${encodeURIComponent(d.text(30))}`, headers };
    case 5:
      return { method: "GET", path: "/api/status", headers: { authorization: `Bearer ${d.bytes(30).toString("base64url")}` } };
    case 6:
      return {
        method: "POST",
        path: "/api/tasks",
        headers: { ...headers, "content-type": `multipart/form-data; boundary=${d.of(["x", "", '"'])}` },
        body: d.bytes(300),
      };
    default:
      return { method: "POST", path: "/api/login", headers, body: JSON.stringify({ code: d.of([1, null, "x", {}]) }) };
  }
}

test(`${COUNT} malformed requests over REST`, async () => {
  await using host = await startHost({ rest: true });
  const d = dice(1);
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  await flood(async () => {
    const { path, ...options } = restGarbage(d, host);
    const reply: RawReply = await raw(`${host.url()}${path}`, { ...options, agent });
    const where = `${options.method} ${path} ${String(options.body).slice(0, 80)}: ${reply.status} ${reply.text.slice(0, 200)}`;
    assert.ok(reply.status >= 400 && reply.status < 500, where);
    assert.match(reply.text, /^\{/, where);
    const { error, code } = JSON.parse(reply.text) as Json;
    told(error, code, where);
  });
  agent.destroy();
  // Bytes that are not even HTTP: the connection is answered 400 or closed, and only that one.
  await many(500, async () => {
    const socket = net.connect(Number(new URL(host.url()).port), "127.0.0.1");
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part)).on("error", () => {});
    socket.write(
      Buffer.concat([
        d.of([Buffer.from("GET / HTTP/1.1\r\n"), Buffer.from("POST /api/tasks HTTP/9.9\r\n"), Buffer.alloc(0)]),
        d.bytes(200),
      ]),
    );
    socket.end("\r\n\r\n\r\n");
    await new Promise<void>((resolve) => socket.on("close", () => resolve()));
    const text = Buffer.concat(parts).toString("latin1");
    assert.match(text, /^(HTTP\/1\.1 4\d\d |$)/);
  });
  await healthy(host);
});

function mcpGarbage(d: Dice): { body: string; call?: boolean } {
  const call = (params: unknown) => ({ body: JSON.stringify({ jsonrpc: "2.0", id: d.below(1000), method: "tools/call", params }) });
  switch (d.below(7)) {
    case 0:
      return { body: d.of(["{", "", "x", "\u0000", '{"jsonrpc":"2.0","id":1,', "[".repeat(20_000)]) };
    case 1:
      return { body: JSON.stringify({ jsonrpc: "2.0", id: d.below(1000), method: d.text(30) }) };
    case 2:
      return call({ name: d.text(30), arguments: {} });
    case 3:
      return call({ name: "task_create", arguments: { project: wrongValue(d), prompt: wrongValue(d) } });
    case 4:
      return call(d.of([undefined, null, 3, [], {}, { name: 3 }, { name: "task_list", arguments: "x" }, { name: "operation_call" }]));
    case 5:
      return {
        body: JSON.stringify(
          d.of([3, "x", null, [], {}, { id: 1 }, { jsonrpc: "1.0", id: 1, method: "ping" }, { jsonrpc: "2.0", id: {}, method: "ping" }]),
        ),
      };
    default:
      return call({
        name: "operation_call",
        arguments: { name: d.of(["", "x", d.text(20), "session.stream"]), input: d.of([{}, 3, "x"]) },
      });
  }
}

test(`${COUNT} malformed requests over MCP`, async () => {
  await using host = await startHost();
  const d = dice(2);
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const url = mcpUrl(host);
  await flood(async () => {
    const { body } = mcpGarbage(d);
    const reply = await raw(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream", authorization: `Bearer ${host.token}` },
      body,
      agent,
    });
    const where = `${body.slice(0, 120)}: ${reply.status} ${reply.text.slice(0, 200)}`;
    assert.ok(reply.status < 500, where);
    const { error, result } = JSON.parse(reply.text) as { error?: Json | string; result?: { isError?: boolean } };
    if (result) assert.equal(result.isError, true, where);
    else
      assert.ok(
        typeof error === "string" || (typeof error?.code === "number" && error.code !== -32603 && String(error.message).length > 5),
        where,
      );
  });
  agent.destroy();
  await healthy(host);
});

function socketGarbage(d: Dice): Buffer {
  const line = (value: unknown) => Buffer.from(JSON.stringify(value));
  switch (d.below(6)) {
    case 0: {
      const bytes = d.bytes(200).filter((byte) => byte !== 10);
      return Buffer.concat([Buffer.from("\u0001"), bytes]);
    }
    case 1:
      return Buffer.from(d.of([...WRONG_BODIES, "3", "{}", "true"]));
    case 2:
      return line({ id: d.of(["1", null, 1.5, -0.1, {}, 2 ** 60]), call: "status" });
    case 3:
      return line({ id: d.below(1000), call: d.of([1, null, {}, d.text(20), ""]) });
    case 4:
      return line({ id: d.below(1000), call: "task.create", input: { project: wrongValue(d) } });
    default:
      return line({ id: d.below(1000), call: "task.get", input: d.of([3, "x", [], { id: 3 }, { id: d.text(10) }]) });
  }
}

test(`${COUNT} malformed lines on the local socket`, async () => {
  await using host = await startHost();
  const d = dice(3);
  await flood(async (n) => {
    // One line a connection would only test connecting; a batch shares one, every tenth batch is cut off in the middle of a line.
    if (n % 50 !== 0) return;
    const lines = Array.from({ length: 50 }, () => socketGarbage(d));
    const socket = net.connect(`${host.home}/daemon.sock`);
    let text = "";
    const replies = new Promise<void>((resolve, reject) => {
      socket.on("data", (part: Buffer) => {
        text += part.toString("utf8");
        if (text.split("\n").length > lines.length) resolve();
      });
      socket.on("close", () => reject(new Error(`closed after ${text.split("\n").length - 1} replies`)));
    });
    for (const line of lines) socket.write(Buffer.concat([line, Buffer.from("\n")]));
    await replies;
    for (const reply of text.trimEnd().split("\n")) {
      const { error } = JSON.parse(reply) as { error?: Json };
      told(error?.error, error?.code, reply.slice(0, 200));
    }
    socket.removeAllListeners("close").end(d.of(["", '{"id":1,"ca']));
  });
  await healthy(host);
});

test("an endless line is refused and its connection closed; another connection goes on", async () => {
  await using host = await startHost();
  const socket = net.connect(`${host.home}/daemon.sock`);
  let text = "";
  socket.on("data", (part: Buffer) => (text += part.toString("utf8"))).on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  const piece = Buffer.alloc(1024 * 1024, 120);
  const feed = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on("drain", feed);
  feed();
  await closed;
  assert.equal((JSON.parse(text.split("\n")[0] ?? "") as { error: Json }).error.code, "TOO_LARGE");
  await healthy(host);
});

test("a client that asks and never reads is not read any more, so that replies do not pile up", async () => {
  await using host = await startHost();
  const socket = net.connect(`${host.home}/daemon.sock`);
  socket.pause();
  socket.on("error", () => {});
  const line = `${JSON.stringify({ id: 1, call: "manifest" })}\n`; // a reply of many kilobytes
  const before = process.memoryUsage().rss;
  let sent = 0;
  // Until the daemon stops taking: the line behind it is then full.
  await new Promise<void>((resolve) => {
    let waiting: NodeJS.Timeout | undefined;
    const more = (): void => {
      clearTimeout(waiting);
      while (sent < 200_000) {
        sent++;
        if (!socket.write(line)) break;
      }
      if (sent >= 200_000) resolve();
      waiting = setTimeout(resolve, 1000);
    };
    socket.on("drain", more);
    more();
  });
  assert.ok(sent < 200_000, "it was slowed down");
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < MAY_GROW, `memory grew by ${Math.round(grown / 1024 / 1024)} MiB`);
  socket.destroy();
  await healthy(host);
});
