/** The MCP server as agents meet it: clients of both eras, who they are, and what they are told when something is wrong. */
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { z } from "zod";
import { type Host, startHost } from "../src/host.ts";
import { type AnyOperation, operation } from "../src/kernel/operation.ts";
import { mcpName } from "../src/kernel/registry.ts";
import { operations } from "../src/operations.ts";
import { type Json, mcpUrl, raw, rpc, tool } from "./doors.ts";

interface Tool {
  name: string;
  inputSchema: Json;
  annotations: { readOnlyHint?: boolean; destructiveHint?: boolean };
}

const listed = async (host: Host, headers: Record<string, string> = {}) =>
  ((await rpc(host, "tools/list", {}, headers)).body.result as { tools: Tool[] }).tools;
const JSON_TYPE = { "content-type": "application/json" };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** An operation that is a tool while it is registered. */
const extra = (name = "extra.tool"): AnyOperation =>
  operation({
    name,
    summary: "A tool that came later",
    tier: "readonly",
    input: z.object({ a: z.string(), b: z.number() }),
    output: z.object({}),
    as: { mcp: name.replaceAll(".", "_") },
  }).run(() => ({}));

test("MCP-03: a request is answered 200, a notification 202, DELETE 200, GET streams, and more than 4 MiB is 413", async () => {
  await using host = await startHost();
  const url = mcpUrl(host);
  const answered = await rpc(host, "ping");
  assert.deepEqual([answered.status, answered.body.jsonrpc, answered.body.result], [200, "2.0", {}]);
  const post = (body: string) => raw(url, { method: "POST", headers: JSON_TYPE, body });
  const told = await post(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
  assert.deepEqual([told.status, told.text], [202, ""]);
  assert.equal((await raw(url, { method: "DELETE" })).status, 200);
  const stream = await fetch(url, { headers: { accept: "text/event-stream" } });
  assert.equal(stream.headers.get("content-type"), "text/event-stream");
  await stream.body?.cancel();
  const padded = (size: number) => {
    const text = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
    return text + " ".repeat(size - text.length);
  };
  assert.equal((await post(padded(4 * 1024 * 1024))).status, 200);
  assert.equal((await post(padded(4 * 1024 * 1024 + 1))).status, 413);
});

test("MCP-04: initialize echoes the client's version, the oldest when it names none, and says who serves", async () => {
  await using host = await startHost();
  for (const [sent, version] of [
    ["2025-06-18", "2025-06-18"],
    ["2024-11-05", "2024-11-05"],
    ["2025-11-25", "2025-11-25"],
    [undefined, "2024-11-05"],
  ]) {
    const { body } = await rpc(
      host,
      "initialize",
      sent ? { protocolVersion: sent, capabilities: {}, clientInfo: { name: "c", version: "1" } } : undefined,
    );
    const { protocolVersion, serverInfo, capabilities, instructions } = body.result as Json & { instructions: string };
    assert.equal(protocolVersion, version);
    assert.equal((serverInfo as Json).name, "argus");
    assert.ok((capabilities as Json).tools);
    assert.ok(Buffer.byteLength(instructions) < 2048 && instructions.includes("task_complete"));
  }
});

for (const [era, mode] of [
  ["2025-11-25 and before", "legacy"],
  ["2026-07-28", { pin: "2026-07-28" }],
] as const)
  test(`MCP-05: a real client of ${era} lists the tools and calls one`, async () => {
    await using host = await startHost();
    const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
    await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl(host))));
    try {
      const { tools } = await client.listTools();
      assert.ok(tools.some((one) => one.name === "task_create"));
      const reply = await client.callTool({ name: "task_list", arguments: {} });
      assert.deepEqual(reply.structuredContent, { tasks: [] });
    } finally {
      await client.close();
    }
  });

for (const [era, mode] of [
  ["an older", "legacy"],
  ["a newer", { pin: "2026-07-28" }],
] as const)
  test(`a tool that comes or goes is announced to ${era} client, and listed only while it is there`, async () => {
    await using host = await startHost();
    let changes = 0;
    const client = new Client(
      { name: "test", version: "1" },
      {
        versionNegotiation: { mode },
        listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => void changes++ } },
      },
    );
    await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl(host))));
    try {
      const has = async () => (await client.listTools(undefined, { cacheMode: "bypass" })).tools.some((one) => one.name === "extra_tool");
      assert.equal(await has(), false);
      // The stream of notifications opens by itself after connecting; a change is told once it is open.
      await host.eventually(() => {
        host.system.gate.registry.remove("extra.tool");
        host.system.gate.registry.add(extra());
        return changes > 0;
      }, "the change to be told");
      assert.equal(await has(), true);
      const before = changes;
      host.system.gate.registry.remove("extra.tool");
      await host.eventually(() => changes > before, "the removal to be told");
      assert.equal(await has(), false);
    } finally {
      await client.close();
    }
  });

test("MCP-06: bad JSON, unknown methods and tools, and every wrong argument are named; a tool that fails says so in a sentence", async () => {
  await using host = await startHost();
  const bad = await raw(mcpUrl(host), { method: "POST", headers: JSON_TYPE, body: '{"jsonrpc":' });
  assert.equal(JSON.parse(bad.text).error.code, -32700);
  assert.equal((await rpc(host, "no/such")).body.error?.code, -32601);
  assert.equal((await rpc(host, "tools/call", { name: "no_such" })).body.error?.code, -32601);
  const wrong = (await rpc(host, "tools/call", { name: "task_create", arguments: { project: 1, name: 2, depends_on: "x" } })).body.error;
  assert.equal(wrong?.code, -32602);
  for (const field of ["project", "name", "depends_on"]) assert.ok(wrong?.message.includes(field), `${field} is named: ${wrong?.message}`);
  const failed = await tool(host, "task_stop", { id: "999" });
  assert.equal(failed.isError, true);
  assert.equal(failed.content[0]?.text, "task not found");
});

test("MCP-07: a foreign Host and any Origin are refused", async () => {
  await using host = await startHost();
  const ask = async (headers: Record<string, string>) =>
    (
      await raw(mcpUrl(host), {
        method: "POST",
        headers: { ...JSON_TYPE, ...bearer(host.token), ...headers },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }),
      })
    ).status;
  for (const name of ["evil.example", "127.0.0.1.evil.example", ""]) assert.equal(await ask({ host: name }), 403, name);
  for (const origin of ["https://evil.example", "null", "http://localhost", mcpUrl(host)]) assert.equal(await ask({ origin }), 403, origin);
  assert.equal(await ask({ host: "localhost" }), 200);
});

test("MCP-02: with default settings the task tools are there and the knowledge tools are not", async () => {
  await using host = await startHost();
  const names = (await listed(host)).map((one) => one.name);
  assert.ok(names.includes("task_create"));
  assert.deepEqual(
    names.filter((name) => name.startsWith("kb_")),
    [],
  );
  assert.equal((await rpc(host, "tools/call", { name: "kb_search", arguments: { query: "x" } })).body.error?.code, -32601);
});

test("MCP-09: every tool's hints follow its tier, and a result is text and value at once", async () => {
  await using host = await startHost();
  const tools = await listed(host, bearer(host.token));
  for (const one of operations) {
    const found = tools.find((entry) => entry.name === mcpName(one));
    if (!found) continue;
    assert.equal(found.annotations.readOnlyHint, one.tier === "readonly", found.name);
    assert.equal(found.annotations.destructiveHint, /delete|prune|stop/.test(one.name), found.name);
  }
  const reply = await tool(host, "task_list");
  assert.deepEqual(JSON.parse(reply.content[0]?.text ?? ""), reply.structuredContent);
});

test("MCP-10: the whole list of tools stays below 48 KiB", async () => {
  await using host = await startHost();
  const { body } = await rpc(host, "tools/list", {}, bearer(host.token));
  const bytes = Buffer.byteLength(JSON.stringify(body));
  assert.ok(bytes < 48 * 1024, `${bytes} bytes`);
});

/** A port that is free now, with a name of its own so that it can be taken again. */
async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

test("MCP-14: a restarted daemon waits for its old port, so that a running agent's tools go on", async (t) => {
  const port = await freePort();
  await using host = await startHost({ env: { ARGUS_MCP_PORT: String(port) } });
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: "living" });
  const before = mcpUrl(host);
  assert.equal(new URL(before).port, String(port));
  // Somebody sits on the port while the daemon is down, and leaves after it was asked for once.
  const squatter = net.createServer();
  const dispose = host.system[Symbol.asyncDispose].bind(host.system);
  host.system[Symbol.asyncDispose] = async () => {
    await dispose();
    squatter.listen(port, "127.0.0.1");
    await once(squatter, "listening");
    let asked = 0;
    const { listen } = net.Server.prototype;
    t.mock.method(net.Server.prototype, "listen", function (this: net.Server, ...args: unknown[]) {
      if (args.includes(port) || args.some((one) => (one as Json | null)?.port === port)) {
        asked++;
        this.once("error", () => squatter.close());
      }
      return Reflect.apply(listen, this, args);
    });
    t.after(() => assert.ok(asked >= 2, "the port was asked for while it was taken, and again"));
  };
  await host.restart();
  assert.equal(mcpUrl(host), before);
  assert.equal(((await tool(host, "task_get", { id })).structuredContent as Json).status, "in_progress");
});

/** A living task and the token its agent was given, as its environment holds it. */
async function agent(host: Host, name: string): Promise<{ id: string; token: string; worktree: string }> {
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name, backend: "fixture-env-idle" });
  const found = await host.eventually(async () => {
    const { text } = await host.call<{ text: string }>("session.output", { id }).catch(() => ({ text: "" }));
    return text.match(/token=(\S+)/)?.[1];
  }, "the agent to tell its token");
  const { worktree_path } = await host.call<{ worktree_path: string }>("task.get", { id });
  return { id, token: found, worktree: worktree_path };
}

/** A backend whose agent prints what it was given and stays. */
async function talkative(host: Host): Promise<void> {
  const file = path.join(host.home, "env-idle");
  fs.writeFileSync(file, '#!/bin/sh\nprintf "url=%s token=%s \\r\\n" "$ARGUS_MCP_URL" "$ARGUS_MCP_TOKEN"\nexec sleep 1000000\n', {
    mode: 0o755,
  });
  await host.call("backend.create", { name: "fixture-env-idle", command: file });
}

test("MCP-15: a task's token is who it is, whatever cwd says, and ends with its run", async () => {
  await using host = await startHost();
  await talkative(host);
  const [a, b] = [await agent(host, "a"), await agent(host, "b")];
  const done = await tool(host, "task_complete", { cwd: b.worktree }, a.token);
  assert.equal(done.structuredContent.id, a.id, "the reply says which one");
  const statusOf = async (id: string) => (await host.call<{ status: string }>("task.get", { id })).status;
  assert.deepEqual([await statusOf(a.id), await statusOf(b.id)], ["complete", "in_progress"]);
  await tool(host, "task_rename", { id: b.id, name: "by a" }, a.token);
  assert.equal((await host.call<{ name: string }>("task.get", { id: b.id })).name, "by a", "id names the object of the call");
  const { rows } = await host.call<{ rows: Json[] }>("audit.list", { caller: `task:${a.id}` });
  assert.deepEqual(
    rows.map((row) => [row.operation, row.identity]),
    [
      ["task.rename", "proven"],
      ["task.complete", "proven"],
    ],
  );
  await host.call("task.stop", { id: a.id });
  assert.equal((await rpc(host, "ping", undefined, bearer(a.token))).status, 401);
  assert.equal((await rpc(host, "ping", undefined, bearer(b.token))).status, 200);
});

test("MCP-16: without a token cwd finds the nearest task at a separator, and else is told the candidates", async () => {
  await using host = await startHost();
  const { db } = host.system.store;
  const place = async (name: string, worktree: string) => {
    const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name });
    await host.call("task.stop", { id });
    await db.updateTable("tasks").set({ worktree }).where("id", "=", Number(id)).execute();
    return id;
  };
  const [a, ab, nested] = [await place("a", "/w/a"), await place("ab", "/w/ab"), await place("nested", "/w/a/deep")];
  const find = async (cwd: string) => {
    const reply = await tool(host, "task_get", { cwd });
    return reply.isError ? (reply.content[0]?.text ?? "") : String(reply.structuredContent.id);
  };
  assert.deepEqual(
    [await find("/w/a"), await find("/w/ab/src"), await find("/w/a/deep/er"), await find("/w/a/deeper")],
    [a, ab, nested, a],
  );
  await host.call("task.set_status", { id: ab, status: "in_progress" });
  assert.match(
    await find("/w/b"),
    new RegExp(`No task in /w/b\\. .*: ${ab} in /w/ab, ${nested} in /w/a/deep, ${a} in /w/a\\.`),
    "candidates, a running one first",
  );
  await host.call("task.archive", { id: nested, archived: true });
  assert.equal(await find("/w/a/deep/er"), a, "archived ones do not count");
});

test("MCP-17: a call without a token is marked as a claim, and refused when tokens are required", async () => {
  await using host = await startHost();
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: "x" });
  await tool(host, "task_pin", { id, pinned: true });
  const { rows } = await host.call<{ rows: Json[] }>("audit.list", { caller: "anonymous" });
  assert.deepEqual(
    rows.map((row) => [row.operation, row.identity]),
    [["task.pin", "claimed"]],
  );
  await host.call("settings.set", { mcp: { require_token: true } });
  assert.equal((await rpc(host, "tools/list")).status, 401);
  assert.equal((await rpc(host, "tools/list", {}, bearer("wrong"))).status, 401);
  assert.equal((await rpc(host, "tools/list", {}, bearer(host.token))).status, 200);
});

test("MCP-34: no caller finds a way to answer approvals, by tool, by search or by name", async () => {
  await using host = await startHost();
  await talkative(host);
  const { token } = await agent(host, "a");
  const device = await host.call<{ token: string }>("token.mint", { label: "phone" });
  for (const who of [undefined, token, device.token, host.token]) {
    const headers = who ? bearer(who) : {};
    const names = (await listed(host, headers)).map((one) => one.name);
    assert.ok(names.includes("approval_wait"));
    assert.deepEqual(
      names.filter((name) => /resolve|approve/.test(name)),
      [],
    );
    const found = (await tool(host, "operation_search", { query: "approval", limit: 50 }, who)).structuredContent as {
      operations: { name: string }[];
    };
    assert.ok(found.operations.length > 0 && !found.operations.some((one) => one.name === "approval.resolve"));
    const { body } = await rpc(host, "tools/call", { name: "operation_call", arguments: { name: "approval.resolve", input: {} } }, headers);
    assert.equal(body.error?.code, -32601);
  }
});

test("MCP-33, MCP-34: an agent's delete waits for a person, and the same call afterwards runs once", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  await talkative(host);
  const { token } = await agent(host, "a");
  const victim = await host.call<{ id: string }>("task.create", { project: "demo", name: "victim" });
  const asked = await tool(host, "task_delete", { id: victim.id }, token);
  const pending = String(asked.structuredContent.pending);
  assert.ok(pending && !asked.isError, JSON.stringify(asked));
  assert.equal((await host.call<{ id: string }>("task.get", { id: victim.id })).id, victim.id, "it is still there");
  assert.equal((await tool(host, "approval_wait", { id: pending, timeout_seconds: 0 }, token)).structuredContent.status, "pending");
  const { approvals } = await host.call<{ approvals: { id: string; digest: string }[] }>("approval.list", { status: "pending" });
  const [approval] = approvals;
  const waiting = tool(host, "approval_wait", { id: pending, timeout_seconds: 25 }, token);
  await host.call("approval.resolve", { id: pending, decision: "allow-once", digest: approval?.digest });
  assert.equal((await waiting).structuredContent.status, "allowed");
  assert.equal((await tool(host, "task_delete", { id: victim.id }, token)).structuredContent.status, "deleted");
  await assert.rejects(host.call("task.get", { id: victim.id }), { code: "NOT_FOUND" });
  assert.equal(
    (await rpc(host, "tools/call", { name: "approval_wait", arguments: { id: "1", timeout_seconds: 26 } })).body.error?.code,
    -32602,
  );
});
