import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { connectSupervisor, type ExitRecord, startSupervisor, supervisorPaths } from "@argus/supervisor/client";
import { localNode } from "../src/index.ts";
import { ended, scratch } from "./scratch.ts";

/** A real supervisor in a home of its own, and the node that talks to it. */
async function start() {
  const place = scratch();
  const home = join(place.path, "home");
  const { client } = await startSupervisor({ home, waitMs: 30_000 });
  const { pid } = client.hello;
  client.close();
  const { socket } = supervisorPaths(home);
  const node = localNode({ name: "here", supervisorSocket: socket });
  return {
    place,
    node,
    socket,
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      const last = await connectSupervisor(socket);
      await last.shutdown();
      await last.closed;
      await ended(pid);
      place[Symbol.dispose]();
    },
  };
}

test("SESSION-28: a viewer gets every byte once while the supervisor replaces itself, and learns of the exit", async () => {
  await using at = await start();
  const { sessions } = at.node;
  const log = join(at.place.path, "logs/1.log");
  const script = "read go; i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done; read go; echo last; exit 7";
  const request = { id: "1.1", argv: ["sh", "-c", script], env: { PATH: process.env.PATH ?? "/bin:/usr/bin" }, cwd: at.place.path };
  const { pid } = await sessions.spawn({ ...request, cols: 80, rows: 24, log, offset: 0, logMaxBytes: 10_000_000 });
  const chunks: Buffer[] = [];
  let next = 0;
  let look = () => {};
  const { promise: exited, resolve: exit } = Promise.withResolvers<ExitRecord>();
  await sessions.watch(
    "1.1",
    {
      onSnapshot: () => assert.fail("a viewer that is never behind needs no snapshot"),
      onOutput: (offset, bytes) => {
        assert.equal(offset, next);
        next += bytes.length;
        chunks.push(Buffer.from(bytes));
        look();
      },
      onExit: exit,
    },
    { since: 0 },
  );
  const until = (words: string) =>
    new Promise<void>((resolve) => {
      look = () => Buffer.concat(chunks).includes(words) && resolve();
      look();
    });
  await sessions.input("1.1", Buffer.from("\n"));
  await until("line-100\r\n");
  const again = new Promise<void>((resolve) => sessions.onConnected(resolve));
  const other = await connectSupervisor(at.socket);
  await other.shutdown({ handover: true });
  await again;
  assert.deepEqual(
    (await sessions.list()).map((session) => [session.id, session.pid]),
    [["1.1", pid]],
  );
  await until("line-2999\r\n");
  await sessions.input("1.1", Buffer.from("\n"));
  const record = await exited;
  assert.deepEqual([record.code, record.signal, record.stopped], [7, null, false]);
  const whole = Buffer.concat(chunks);
  const { bytes, total } = await sessions.readLog(log, 0, 10_000_000);
  const hash = (buffer: Buffer) => createHash("sha256").update(buffer).digest("hex");
  assert.deepEqual([total, hash(bytes)], [whole.length, hash(whole)]);
  assert.equal((whole.toString().match(/line-\d+\r\n/g) ?? []).length, 3000);
  await sessions.collect("1.1");
  await sessions.removeLog(log);
  assert.equal(await at.node.files.exists(log), false);
});

test("sessions: stop ends a session, and what is unknown says so with our code", async () => {
  await using at = await start();
  const { sessions } = at.node;
  const request = { id: "2.1", argv: ["sleep", "300"], env: { PATH: process.env.PATH ?? "/bin:/usr/bin" }, cwd: at.place.path };
  await sessions.spawn({ ...request, cols: 80, rows: 24, log: null, offset: 0, logMaxBytes: 1 });
  const exited = new Promise<[string, ExitRecord]>((resolve) => sessions.onExit((id, exit) => resolve([id, exit])));
  await sessions.signal("2.1", "SIGTERM", { killAfterMs: 5_000 });
  const [id, exit] = await exited;
  assert.deepEqual([id, exit.signal, exit.stopped], ["2.1", "SIGTERM", true]);
  await assert.rejects(sessions.input("9.9", Buffer.from("x")), { name: "ArgusError", code: "NOT_FOUND" });
  await assert.rejects(sessions.watch("9.9", { onSnapshot() {}, onOutput() {}, onExit() {} }), { name: "ArgusError", code: "NOT_FOUND" });
});
