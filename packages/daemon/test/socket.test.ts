/** The owner's local socket and the client that speaks it: calls and streams side by side, errors as the daemon described them. */
import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { HttpClient } from "@argus/client/http";
import { SocketClient } from "@argus/client/socket";
import type { ArgusEvent } from "@argus/protocol";
import { startHost } from "../src/host.ts";

test("calls and streams share one connection; ending the loop ends the stream at the daemon", async () => {
  await using host = await startHost();
  const file = path.join(host.home, "daemon.sock");
  assert.equal(fs.statSync(file).mode & 0o777, 0o600, "only the owner can open it");
  using client = await SocketClient.connect(file);
  const stream = client.stream<ArgusEvent>("event.stream", { since: 0 });
  await stream.next();
  const [names, status] = await Promise.all([client.call<{ projects: string[] }>("project.list"), client.call<{ ok: boolean }>("status")]);
  assert.deepEqual([names.projects, status.ok], [["demo"], true]);
  await stream.return(undefined);
  await assert.rejects(client.call("task.get", { id: "999" }), { name: "CallError", code: "NOT_FOUND", message: "task not found" });
  await assert.rejects(client.call("session.stream", { id: "999" }), { code: "NOT_FOUND" });
  await assert.rejects(client.call("no.such"), { code: "METHOD_NOT_FOUND" });
});

test("a line may come in pieces and many in one piece, a running id cannot be used again, and cancel ends a stream", async () => {
  await using host = await startHost();
  const socket = net.connect(path.join(host.home, "daemon.sock"));
  const replies: { id: number | null; value?: unknown; end?: true; item?: unknown; error?: { code: string; error: string } }[] = [];
  let rest = "";
  socket.on("data", (part: Buffer) => {
    const lines = (rest + part.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    replies.push(...lines.map((line) => JSON.parse(line)));
  });
  const reply = (found: (one: (typeof replies)[number]) => boolean, what: string) => host.eventually(() => replies.find(found), what);
  socket.write('{"id":1,"call":"pro');
  socket.write('ject.list"}\n{"id":2,"call":"status"}\n\n{"id":3,"call":"event.stream","input":{"since":0}}\n');
  assert.deepEqual((await reply(({ id }) => id === 1, "the split call")).value, { projects: ["demo"] });
  assert.ok((await reply(({ id }) => id === 2, "the second call")).value);
  await reply(({ id, item }) => id === 3 && item !== undefined, "the stream's first item");
  socket.write('{"id":3,"call":"status"}\n');
  assert.equal((await reply(({ id, error }) => id === 3 && error !== undefined, "the refusal")).error?.code, "INVALID_INPUT");
  socket.write('{"id":3,"cancel":true}\n');
  await reply(({ id, end }) => id === 3 && end === true, "the end of the stream");
  socket.write('{"id":3,"call":"status"}\n');
  await reply(({ id, value }) => id === 3 && value !== undefined, "the id to be free again");
  socket.destroy();
});

test("without a daemon the client says how to start one, and when it goes away every waiting call is told", async () => {
  const host = await startHost({ rest: true });
  await assert.rejects(SocketClient.connect(path.join(host.home, "nothing.sock")), { code: "UNAVAILABLE", message: /argus daemon start/ });
  using client = await SocketClient.connect(path.join(host.home, "daemon.sock"));
  const stream = client.stream("event.stream", {});
  const told = assert.rejects(stream.next(), { code: "UNAVAILABLE" });
  await client.call("status");
  const over = new HttpClient({ url: host.url(), token: host.token });
  assert.deepEqual(await over.call("project.list"), { projects: ["demo"] });
  await assert.rejects(over.call("task.get", { id: "999" }), { name: "HttpCallError", code: "NOT_FOUND", status: 404 });
  await host[Symbol.asyncDispose]();
  await told;
  await assert.rejects(client.call("status"), { code: "UNAVAILABLE" });
  await assert.rejects(client.stream("event.stream").next(), { code: "UNAVAILABLE" });
});
