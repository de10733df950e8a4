/** The owner's local socket: one JSON object a line, calls and streams side by side. */
import fs from "node:fs";
import net from "node:net";
import { ArgusError, MAX_LINE_BYTES, type SocketReply, toArgusError } from "@argus/protocol";
import type { Gate } from "../kernel/call.ts";
import { owner } from "../kernel/caller.ts";
import type { Log } from "../kernel/log.ts";
import type { Registry } from "../kernel/registry.ts";

/** More at once from one connection is a loop gone wrong. */
const MAX_RUNNING = 1000;

export interface SocketParts {
  gate: Gate;
  registry: Registry;
  log: Log;
}

/** Listens at `path` (mode 0600). Who can open the file is the owner: there is no token here. */
export async function listenSocket(path: string, parts: SocketParts): Promise<AsyncDisposable> {
  const connections = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    serve(socket, parts);
  });
  fs.rmSync(path, { force: true }); // the lock is ours, so whoever left it is gone
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  } finally {
    process.umask(before);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function serve(socket: net.Socket, parts: SocketParts): void {
  const running = new Map<number, AbortController>();
  const send = (reply: SocketReply) => socket.writable && socket.write(`${JSON.stringify(reply)}\n`);
  let rest: Buffer[] = [];
  let held = 0;
  const read = (chunk: Buffer) => {
    let from = 0;
    for (let at = chunk.indexOf(10, from); at >= 0; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...rest, chunk.subarray(from, at)]);
      rest = [];
      held = 0;
      from = at + 1;
      if (line.length > 0) handle(line);
    }
    const tail = chunk.subarray(from);
    held += tail.length;
    if (held > MAX_LINE_BYTES) {
      send({ id: null, error: new ArgusError("TOO_LARGE", `A line holds at most ${MAX_LINE_BYTES} bytes.`).toBody() });
      rest = [];
      held = 0;
      socket.off("data", read);
      socket.end();
      socket.destroySoon(); // the rest of the line is not waited for
      return;
    }
    if (tail.length > 0) rest.push(Buffer.from(tail));
    // Who does not read the replies is not read either, or they would pile up here.
    if (socket.writableNeedDrain && !socket.isPaused()) {
      socket.pause();
      void drained(socket).then(() => socket.resume());
    }
  };
  socket.on("data", read);
  socket.on("error", () => {});
  socket.on("close", () => {
    for (const controller of running.values()) controller.abort();
  });

  function handle(line: Buffer): void {
    let request: { id?: unknown; call?: unknown; input?: unknown; key?: unknown; cwd?: unknown; cancel?: unknown };
    try {
      request = JSON.parse(line.toString("utf8"));
      if (typeof request !== "object" || request === null) throw new Error("not an object");
    } catch {
      send({
        id: null,
        error: new ArgusError("INVALID_INPUT", 'Each line is one JSON object, such as {"id":1,"call":"status","input":{}}.').toBody(),
      });
      return;
    }
    const { id } = request;
    if (typeof id !== "number" || !Number.isSafeInteger(id)) {
      send({ id: null, error: new ArgusError("INVALID_INPUT", "id must be an integer.").toBody() });
      return;
    }
    if (request.cancel === true) {
      running.get(id)?.abort();
      return;
    }
    if (typeof request.call !== "string")
      return void send({ id, error: new ArgusError("INVALID_INPUT", "call must name an operation.").toBody() });
    if (running.has(id))
      return void send({ id, error: new ArgusError("INVALID_INPUT", `A call with id ${id} is running already.`).toBody() });
    if (running.size >= MAX_RUNNING)
      return void send({ id, error: new ArgusError("RATE_LIMITED", `At most ${MAX_RUNNING} calls at a time.`).toBody() });
    void run(
      id,
      request.call,
      request.input,
      typeof request.key === "string" ? request.key : undefined,
      typeof request.cwd === "string" ? request.cwd : undefined,
    );
  }

  /** All operations, or those asked for by name: a command line needs one. */
  function manifest(input: unknown) {
    const names = (input as { names?: unknown } | undefined)?.names;
    return parts.registry.manifest(Array.isArray(names) ? new Set(names as string[]) : undefined);
  }

  async function run(id: number, name: string, input: unknown, key: string | undefined, cwd: string | undefined): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const caller = owner(cwd);
      if (name === "manifest") return void send({ id, value: { operations: manifest(input) } });
      if (!parts.registry.find(name).stream)
        return void send({ id, value: (await parts.gate.call(name, input, { caller, key, signal: controller.signal })) ?? null });
      for await (const item of await parts.gate.open(name, input, { caller, signal: controller.signal }))
        if (send({ id, item }) === false) await drained(socket);
      send({ id, end: true });
    } catch (thrown) {
      send({ id, error: toArgusError(thrown).toBody() });
    } finally {
      controller.abort();
      running.delete(id);
    }
  }
}

/** Resolves when the reader has caught up or is gone. */
function drained(socket: net.Socket): Promise<void> {
  if (socket.destroyed || !socket.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}
