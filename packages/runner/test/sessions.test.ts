import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import { type ExitRecord, type Snapshot, type SupervisorClient, SupervisorError, type WatchHandlers } from "@argus/supervisor/client";
import { SupervisorSessions } from "../src/sessions.ts";

/** A supervisor with one session "s" that keeps all its bytes; its connections can be cut, and it can be away. */
class Scripted extends EventEmitter {
  bytes = Buffer.alloc(0);
  away = false;
  gone = false;
  cut = () => {};
  send = (_offset: number, _bytes: Buffer) => {};
  end = (_exit: ExitRecord) => {};
  readonly asked: string[] = [];

  readonly connect = async (): Promise<SupervisorClient> => {
    this.emit("tried");
    if (this.away) throw new SupervisorError("UNAVAILABLE", "away");
    const { promise: closed, resolve: cut } = Promise.withResolvers<void>();
    this.cut = cut;
    const unused = () => Promise.reject(new SupervisorError("INTERNAL", "not part of this test"));
    const client: SupervisorClient = {
      hello: { protocol: 1, build: "b", pid: 1, startedAt: 0 },
      closed,
      spawn: unused,
      snapshot: unused,
      shutdown: unused,
      collect: unused,
      input: async (id) => {
        if (id !== "s") throw new SupervisorError("NOT_FOUND", `No session ${id}.`);
      },
      resize: async (id, cols, rows, viewer) => {
        this.asked.push(`resize ${id} ${cols}x${rows} ${viewer}`);
        return { cols, rows };
      },
      signal: async () => {},
      list: async () => [],
      watch: async (id, handlers: WatchHandlers, options = {}) => {
        if (this.gone) throw new SupervisorError("NOT_FOUND", `No session ${id}.`);
        this.asked.push(`watch ${id} since ${options.since}`);
        this.send = (offset, bytes) => void handlers.onOutput(offset, bytes);
        this.end = (exit) => handlers.onExit(exit);
        if (options.since === undefined) handlers.onSnapshot({ offset: this.bytes.length } as Snapshot);
        else this.send(options.since, this.bytes.subarray(options.since));
        this.emit("watched");
        return { close: () => this.asked.push("closed") };
      },
      onExit: () => () => {},
      close: cut,
    };
    return client;
  };

  /** Bytes that the session writes now. */
  write(text: string): void {
    const offset = this.bytes.length;
    this.bytes = Buffer.concat([this.bytes, Buffer.from(text)]);
    this.send(offset, Buffer.from(text));
  }
}

function start() {
  const supervisor = new Scripted();
  const sessions = new SupervisorSessions({ socket: "/nowhere", connect: supervisor.connect });
  return {
    supervisor,
    sessions,
    async [Symbol.asyncDispose]() {
      sessions.close();
      await sessions.done;
    },
  };
}

/** What a viewer was given, as text; snapshots as their offset in brackets. */
function viewer() {
  const seen: string[] = [];
  const handlers = {
    onSnapshot: (snapshot: Snapshot) => void seen.push(`[${snapshot.offset}]`),
    onOutput: (offset: number, bytes: Buffer) => void seen.push(`${offset}:${bytes}`),
    onExit: (exit: ExitRecord) => void seen.push(`exit ${exit.code}`),
    onLost: () => void seen.push("lost"),
  };
  return { seen, handlers };
}

test("SESSION-28: after each lost connection a viewer goes on at the byte after the last one, without gap or double", async () => {
  await using at = start();
  const { seen, handlers } = viewer();
  at.supervisor.bytes = Buffer.from("abc");
  await at.sessions.watch("s", handlers);
  at.supervisor.write("de");
  for (const [during, after] of [
    ["fg", "h"],
    ["", "i"],
  ]) {
    at.supervisor.send = () => {};
    at.supervisor.cut();
    at.supervisor.write(during ?? "");
    await once(at.supervisor, "watched");
    at.supervisor.write(after ?? "");
  }
  assert.deepEqual(
    seen.filter((text) => !text.endsWith(":")),
    ["[3]", "3:de", "5:fg", "7:h", "8:i"],
  );
});

test("SESSION-28: bytes that come twice are handed on once", async () => {
  await using at = start();
  const { seen, handlers } = viewer();
  await at.sessions.watch("s", handlers, { since: 0 });
  at.supervisor.send(0, Buffer.from("abc"));
  at.supervisor.send(1, Buffer.from("bcde"));
  at.supervisor.send(2, Buffer.from("cd"));
  assert.deepEqual(seen.slice(1), ["0:abc", "3:de"]);
});

test("sessions: a viewer's size is told again after a reconnection", async () => {
  await using at = start();
  await at.sessions.watch("s", viewer().handlers, { viewer: "v1" });
  await at.sessions.resize("s", 100, 30, "v1");
  await at.sessions.resize("s", 90, 20, "v1");
  at.supervisor.asked.length = 0;
  at.supervisor.cut();
  await once(at.supervisor, "watched");
  await at.sessions.list();
  assert.deepEqual(at.supervisor.asked, ["watch s since 0", "resize s 90x20 v1"]);
});

test("sessions: while the supervisor is away calls say UNAVAILABLE, an empty list is never invented, and trying goes on until it is back", async () => {
  await using at = start();
  let connected = 0;
  const states: string[] = [];
  at.sessions.onConnected(() => states.push(`${at.sessions.state} ${++connected}`));
  await at.sessions.list();
  at.supervisor.away = true;
  at.supervisor.cut();
  await once(at.supervisor, "tried");
  assert.equal(at.sessions.state, "unreachable");
  assert.equal(at.sessions.hello(), null);
  await assert.rejects(at.sessions.list(), { name: "ArgusError", code: "UNAVAILABLE" });
  await assert.rejects(at.sessions.watch("s", viewer().handlers), { name: "ArgusError", code: "UNAVAILABLE" });
  at.supervisor.away = false;
  await once(at.supervisor, "tried");
  await at.sessions.list();
  assert.deepEqual(states, ["connected 1", "connected 2"]);
  assert.deepEqual(at.sessions.hello()?.pid, 1);
});

test("sessions: a session that a new supervisor does not know is lost, which is no exit, and is told once", async () => {
  await using at = start();
  const { seen, handlers } = viewer();
  await at.sessions.watch("s", handlers);
  at.supervisor.gone = true;
  const lost = new Promise<void>((resolve) => {
    handlers.onLost = () => {
      seen.push("lost");
      resolve();
    };
  });
  at.supervisor.cut();
  await lost;
  at.supervisor.cut();
  await once(at.supervisor, "tried");
  await at.sessions.list();
  assert.deepEqual(seen, ["[0]", "lost"]);
});

test("sessions: a viewer that ended or was closed is not attached again", async () => {
  await using at = start();
  const ended = viewer();
  await at.sessions.watch("s", ended.handlers);
  at.supervisor.end({ code: 0, signal: null, at: 0, stopped: false });
  const closed = viewer();
  (await at.sessions.watch("s", closed.handlers)).close();
  at.supervisor.write("late");
  at.supervisor.asked.length = 0;
  at.supervisor.cut();
  await once(at.supervisor, "tried");
  await at.sessions.list();
  assert.deepEqual([at.supervisor.asked, ended.seen, closed.seen], [[], ["[0]", "exit 0"], ["[0]"]]);
});

test("SESSION-28: bytes of a new connection wait until the viewer has taken those of the old one", async () => {
  await using at = start();
  const order: string[] = [];
  const { promise: taken, resolve: take } = Promise.withResolvers<void>();
  const handlers = {
    ...viewer().handlers,
    onOutput: (_offset: number, bytes: Buffer) => {
      order.push(String(bytes));
      return String(bytes) === "a" ? taken.then(() => void order.push("taken")) : undefined;
    },
  };
  await at.sessions.watch("s", handlers);
  at.supervisor.write("a");
  at.supervisor.send = () => {};
  at.supervisor.cut();
  at.supervisor.write("b");
  await once(at.supervisor, "tried");
  await at.sessions.list();
  assert.deepEqual(order, ["a"]);
  take();
  await once(at.supervisor, "watched");
  assert.deepEqual(order, ["a", "taken", "b"]);
});

test("sessions: errors of the supervisor arrive with our code, and closing ends the trying", async () => {
  const at = start();
  await assert.rejects(at.sessions.input("x", Buffer.from("y")), { name: "ArgusError", code: "NOT_FOUND", message: "No session x." });
  at.supervisor.away = true;
  at.supervisor.cut();
  await once(at.supervisor, "tried");
  await at[Symbol.asyncDispose]();
  await assert.rejects(at.sessions.list(), { code: "UNAVAILABLE" });
});
