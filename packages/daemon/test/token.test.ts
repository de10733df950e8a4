/** Who is asking: the master token, device and scope tokens, and the token of a run. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { ArgusError } from "@argus/protocol";
import { Tokens } from "../src/features/token/index.ts";
import { type Host, startHost } from "../src/host.ts";
import { TestClock } from "../src/kernel/clock.ts";
import type { Store } from "../src/kernel/database.ts";
import { Events } from "../src/kernel/events.ts";
import { Redactor } from "../src/kernel/redact.ts";
import { operations } from "../src/operations.ts";
import { onBothStores } from "./stores.ts";

function tokensOf(store: Store, home: string) {
  const clock = new TestClock();
  return { clock, tokens: new Tokens({ store, events: new Events(store, clock), clock, redactor: new Redactor(), home }) };
}

function scratch(t: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "argus-tokens-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

onBothStores(
  "TOKEN-03, TOKEN-04: a minted token is shown once; the list has its label and last four characters, the store its SHA-256",
  async (store, t) => {
    const { tokens } = tokensOf(store, scratch(t));
    const minted = [await tokens.mint("phone"), await tokens.mint("tablet"), await tokens.mint("phone")];
    const plugin = await tokens.mint("plugin sample", { scope: "sample" });
    assert.equal(new Set([...minted, plugin].map((one) => one.token)).size, 4);
    const listed = await tokens.list();
    assert.deepEqual(
      listed.map((one) => [one.label, one.last4, one.tier, one.scope]),
      [...minted, plugin].map((one) => [one.label, one.token.slice(-4), one.tier, one === plugin ? "sample" : undefined]),
    );
    assert.ok(![...minted, plugin].some((one) => JSON.stringify(listed).includes(one.token)));
    const rows = await store.db.selectFrom("tokens").selectAll().orderBy("id").execute();
    assert.deepEqual(
      rows.map((row) => row.hash),
      [...minted, plugin].map((one) => createHash("sha256").update(one.token).digest("hex")),
    );
    assert.ok(![...minted, plugin].some((one) => JSON.stringify(rows).includes(one.token)));
  },
);

onBothStores("TOKEN-06: last_used follows a token's use within a minute", async (store, t) => {
  const { tokens, clock } = tokensOf(store, scratch(t));
  const { token } = await tokens.mint("phone");
  const used = async () => (await tokens.list())[0]?.last_used ?? null;
  const since = async (before: string | null) => {
    for (;;) {
      const now = await used();
      if (now !== before) return now;
      await new Promise((resolve) => setImmediate(resolve)); // written beside the request, not before its answer
    }
  };
  assert.equal(await used(), null);
  await tokens.authenticate(token, "rest");
  const first = await since(null);
  clock.advance(60_000);
  await tokens.authenticate(token, "rest");
  const second = await since(first);
  assert.ok(Date.parse(second ?? "") - Date.parse(first ?? "") >= 60_000 && Date.parse(second ?? "") <= clock.now());
});

onBothStores("TOKEN-13: a token may be minted below the tier of its kind and never above it", async (store, t) => {
  const { tokens } = tokensOf(store, scratch(t));
  const tierOf = async (options: Parameters<Tokens["mint"]>[1]) =>
    (await tokens.authenticate((await tokens.mint("x", options)).token, "rest")).tier;
  assert.deepEqual(
    [await tierOf({}), await tierOf({ tier: "readonly" }), await tierOf({ scope: "s" }), await tierOf({ scope: "s", tier: "readonly" })],
    ["full", "readonly", "write", "readonly"],
  );
  for (const above of [{ tier: "admin" }, { scope: "s", tier: "full" }] as const)
    await assert.rejects(tokens.mint("x", above), (error: ArgusError) => error.code === "INVALID_INPUT");
});

onBothStores("TOKEN-02: the master is compared in constant time over equal lengths, others are found by hash", async (store, t) => {
  const { tokens } = tokensOf(store, scratch(t));
  const crypto = createRequire(import.meta.url)("node:crypto") as typeof import("node:crypto");
  const compare = t.mock.method(crypto, "timingSafeEqual");
  syncBuiltinESMExports();
  try {
    const tries = [tokens.master, `${tokens.master.slice(0, 63)}x`, tokens.master.slice(0, 5), "", "é".repeat(500)];
    for (const one of tries) await tokens.authenticate(one, "rest").catch(() => {});
    assert.equal(compare.mock.callCount(), tries.length);
    for (const call of compare.mock.calls) assert.equal(call.arguments[0].byteLength, call.arguments[1].byteLength);
    assert.equal((await tokens.authenticate(tokens.master, "rest")).kind, "master");
    await assert.rejects(tokens.authenticate(tries[1] as string, "rest"), (error: ArgusError) => error.code === "AUTH_REQUIRED");
  } finally {
    compare.mock.restore();
    syncBuiltinESMExports();
  }
});

test("TOKEN-05, TOKEN-14: a revoked token is refused at its next request and its open streams end; so it is with a rotated master", async () => {
  await using host = await startHost({ rest: true });
  const { id, token } = await host.call<{ id: string; token: string }>("token.mint", { label: "phone" });
  const open = (as: string) => fetch(new URL("/api/events/stream", host.url()), { headers: bearer(as) });
  const streams = await Promise.all([open(token), open(token)]);
  const other = await open(host.token);
  await host.call("token.revoke", { id });
  await Promise.all(streams.map((stream) => stream.text()));
  assert.equal((await host.rest("GET", "/api/status", undefined, bearer(token))).status, 401);
  assert.equal((await host.rest("GET", "/api/status")).status, 200, "another token's requests and streams stay");
  const reader = (other.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await host.call("token.rotate");
  for (let part = await reader.read(); !part.done; part = await reader.read());
  assert.equal((await host.rest("GET", "/api/status")).status, 401);
  assert.equal((await host.rest("GET", "/api/status", undefined, bearer(host.system.services.tokens.master))).status, 200);
});

/** What only the master token may do, from the document. */
const MASTER_ONLY: [string, string, unknown][] = [
  ["POST", "/api/backends", { name: "x", command: "true" }],
  ["PUT", "/api/backends/x", { command: "true" }],
  ["GET", "/api/source-path", undefined],
  ["PUT", "/api/source-path", { path: "" }],
  ["POST", "/api/update", {}],
  ["GET", "/api/tokens", undefined],
  ["POST", "/api/tokens", { label: "x" }],
  ["PUT", "/api/settings", { sandbox: { enabled: true } }],
  ["DELETE", "/api/tokens/999", undefined],
  ["DELETE", "/api/backends/x", undefined],
];

test("TOKEN-07, TOKEN-11: the master-only list is refused to device and scope tokens and open to the master, and every reply says whose it is", async () => {
  await using host = await startHost({ rest: true });
  const device = await host.call<{ id: string; token: string }>("token.mint", { label: "phone" });
  const plugin = await host.call<{ id: string; token: string }>("token.mint_scope", { scope: "sample" });
  const lie = { "x-argus-auth": "master", "x-argus-token-id": "master" };
  for (const [method, at, body] of MASTER_ONLY) {
    for (const one of [device, plugin])
      assert.equal((await host.rest(method, at, body, { ...bearer(one.token), ...lie })).status, 403, `${method} ${at}`);
    const { status } = await host.rest(method, at, body);
    assert.ok(![401, 403].includes(status), `${method} ${at} as master: ${status}`);
  }
  const said = async (headers: Record<string, string>) => {
    const reply = await host.rest("GET", "/api/status", undefined, headers);
    return [reply.headers.get("x-argus-auth"), reply.headers.get("x-argus-token-id")];
  };
  assert.deepEqual(await said({}), ["master", "master"]);
  assert.deepEqual(await said({ ...bearer(device.token), ...lie }), ["device", device.id]);
  assert.deepEqual(await said({ ...bearer(plugin.token), ...lie }), ["scope:sample", plugin.id]);
  assert.equal((await host.rest("PUT", "/api/settings", { ui: { show_icons: false } }, bearer(device.token))).status, 200);
});

test("TOKEN-08, TOKEN-17: apart from the master-only list every route and every tool is open to a device token", () => {
  const listed = new Set(MASTER_ONLY.map(([method, at]) => `${method} ${at.replace(/\/(x|999)$/, "/*")}`));
  const admin = operations
    .filter((one) => one.tier === "admin")
    .flatMap((one) => Object.keys(one.rest ?? {}))
    .map((route) => route.replace(/\{\w+\}/, "*"));
  assert.deepEqual(
    admin.filter((route) => !listed.has(route)),
    [],
  );
  assert.deepEqual(
    operations.filter((one) => (one.rest || one.as?.mcp) && !["readonly", "write", "admin"].includes(one.tier)).map((one) => one.name),
    [],
  );
});

test("TOKEN-12: a token is told what it is", async () => {
  await using host = await startHost({ rest: true });
  const self = async (token: string) => (await host.rest("GET", "/api/tokens/self", undefined, bearer(token))).json();
  const device = await host.call<{ id: string; token: string }>("token.mint", { label: "phone", tier: "readonly" });
  const plugin = await host.call<{ id: string; token: string }>("token.mint_scope", { scope: "sample" });
  assert.deepEqual(await self(host.token), { id: "master", label: "master", tier: "admin", last4: host.token.slice(-4) });
  assert.deepEqual(await self(device.token), { id: device.id, label: "phone", tier: "readonly", last4: device.token.slice(-4) });
  assert.deepEqual(await self(plugin.token), { id: plugin.id, label: "plugin sample", tier: "write", last4: plugin.token.slice(-4) });
});

test("TOKEN-13: a readonly token watches a terminal and cannot type", async () => {
  await using host = await startHost({ rest: true });
  const task = await host.call<{ id: string }>("task.create", { project: "demo", prompt: "wait" });
  const { token } = await host.call<{ token: string }>("token.mint", { label: "screen", tier: "readonly" });
  const stream = await fetch(new URL(`/api/tasks/${task.id}/stream`, host.url()), { headers: bearer(token) });
  assert.equal(stream.status, 200);
  await stream.body?.cancel();
  const typed = await host.rest("POST", `/api/tasks/${task.id}/input`, new TextEncoder().encode("x"), bearer(token));
  assert.equal(typed.status, 403);
});

test("TOKEN-18: each run has a token of its own, stored hashed, that names its task in the audit and is void when the run ends", async () => {
  await using host = await startHost({ rest: true });
  const start = async (name: string) => {
    const { id } = await host.call<{ id: string }>("task.create", { project: "demo", backend: "fixture-env", prompt: "x", name });
    return { id, token: await tokenOf(host, id, 0) };
  };
  await host.call("backend.update", { name: "fixture-env", command: `sh -c '${fixture("env")}; exec sleep 1000000'` });
  const [one, two] = [await start("one"), await start("two")];
  assert.notEqual(one.token, two.token);
  assert.ok(Buffer.from(one.token.replace(/^\w+_/, ""), "base64url").length >= 32 || /^[0-9a-f]{64}$/.test(one.token));
  for (const { id, token } of [one, two]) {
    assert.equal((await host.rest("POST", `/api/tasks/${id}/rename`, { name: `n${id}` }, bearer(token))).status, 200);
    const rows = await host.system.store.db.selectFrom("runs").selectAll().where("task_id", "=", Number(id)).execute();
    assert.ok(!JSON.stringify(rows).includes(token));
    assert.equal(rows[0]?.token_hash, createHash("sha256").update(token).digest("hex"));
  }
  const audit = await host.system.store.db.selectFrom("audit").selectAll().where("operation", "=", "task.rename").orderBy("id").execute();
  assert.deepEqual(
    audit.map((row) => [row.caller, row.task_id]),
    [one, two].map(({ id }) => [`task:${id}`, id]),
  );
  await host.call("task.stop", { id: one.id });
  await host.until(one.id, (task) => task.status !== "in_progress", "the run to end");
  assert.equal((await host.rest("GET", "/api/status", undefined, bearer(one.token))).status, 401);
  assert.equal((await host.rest("GET", "/api/status", undefined, bearer(two.token))).status, 200);
  await host.call("task.resume", { id: one.id });
  assert.notEqual(await tokenOf(host, one.id, 1), one.token, "the next run has another one");
});

const fixture = (name: string) => path.resolve(import.meta.dirname, "../../../fixtures/agents", name);

/** The token the task's `run`th launch got, from what the agent printed of its environment. */
async function tokenOf(host: Host, id: string, run: number): Promise<string> {
  const log = path.join(host.home, "sessions", `${id}.log`);
  return host.eventually(() => {
    if (!fs.existsSync(log)) return false;
    const text = fs.readFileSync(log, "utf8").replace(/\r?\n/g, "");
    return [...text.matchAll(/"ARGUS_MCP_TOKEN":"([^"]+)"/g)][run]?.[1];
  }, "the agent to print its token");
}
