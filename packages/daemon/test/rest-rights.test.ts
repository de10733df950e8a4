/** What each kind of token may do over REST, and how its rights end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Host, startHost } from "../src/host.ts";
import type { Json } from "./doors.ts";

type Minted = { id: string; token: string };
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function ask(host: Host, token: string, method: string, at: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await host.rest(method, at, body, { ...bearer(token), ...headers });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: (text.startsWith("{") ? JSON.parse(text) : { text }) as Json };
}

async function tokens(host: Host) {
  const device = await host.call<Minted>("token.mint", { label: "phone" });
  const scope = await host.call<Minted>("token.mint_scope", { scope: "sample" });
  const readonly = await host.call<Minted>("token.mint", { label: "screen", tier: "readonly" });
  return { master: { id: "master", token: host.token }, device, scope, readonly };
}

test("TOKEN-07, REST-67, REST-73, REST-74: what only the master token may do is 403 for every other, and done for the master", async () => {
  await using host = await startHost({ rest: true });
  const { master, device, scope, readonly } = await tokens(host);
  const spare = await host.call<Minted>("token.mint", { label: "spare" });
  const rows: [string, string, unknown, number][] = [
    ["POST", "/api/backends", { name: "mine", command: "x" }, 201],
    ["PUT", "/api/backends/mine", { model: "m" }, 200],
    ["DELETE", "/api/backends/mine", undefined, 200],
    ["GET", "/api/source-path", undefined, 200],
    ["PUT", "/api/source-path", { path: "" }, 200],
    ["POST", "/api/update", undefined, 501],
    ["GET", "/api/tokens", undefined, 200],
    ["POST", "/api/tokens", { label: "new" }, 201],
    ["DELETE", `/api/tokens/${spare.id}`, undefined, 200],
    ["DELETE", "/api/tokens/999", undefined, 404],
    ["PUT", "/api/settings", { sandbox: { enabled: false } }, 200],
  ];
  for (const [method, at, body, status] of rows) {
    for (const { token } of [device, scope, readonly]) {
      const refused = await ask(host, token, method, at, body);
      assert.deepEqual([refused.status, refused.body.code], [403, "PERMISSION_DENIED"], `${method} ${at}`);
    }
    assert.equal((await ask(host, master.token, method, at, body)).status, status, `${method} ${at}`);
  }
  const { body } = await ask(host, master.token, "GET", "/api/tokens");
  const listed = (body.tokens as Json[]).find((one) => one.id === device.id);
  assert.deepEqual(Object.keys(listed ?? {}).sort(), ["created_at", "id", "label", "last4", "last_used", "tier"]);
  assert.equal(listed?.last4, device.token.slice(-4));
});

test("REST-79, REST-80: settings have their four sections; a subset changes, an absent key stays, and sandbox is for the master", async () => {
  await using host = await startHost({ rest: true });
  const { device } = await tokens(host);
  const put = (body: unknown, token = host.token) => ask(host, token, "PUT", "/api/settings", body);
  const section = async (name: string) => ((await ask(host, device.token, "GET", "/api/settings")).body[name] ?? {}) as Json;
  assert.deepEqual(Object.keys(await section("sandbox")).sort(), [
    "allow_apple_events",
    "available",
    "deny_read",
    "enabled",
    "extra_write",
  ]);
  assert.deepEqual(Object.keys(await section("kb")).sort(), ["enabled", "http_port", "metis_vault_path"]);
  assert.deepEqual(Object.keys(await section("api")).sort(), ["enabled", "http_port"]);
  assert.deepEqual(Object.keys(await section("defaults")).sort(), ["backend", "permission_mode", "share_project"]);
  await put({ sandbox: { deny_read: ["/a"], extra_write: ["/b"] } });
  assert.equal((await put({ kb: { metis_vault_path: "/vault" } }, device.token)).status, 200);
  assert.equal((await put({ kb: { metis_vault_path: "/other" }, sandbox: { deny_read: [] } }, device.token)).status, 403);
  assert.equal((await section("kb")).metis_vault_path, "/vault", "nothing of a refused change is kept");
  await put({ sandbox: { deny_read: [] } });
  assert.partialDeepStrictEqual(await section("sandbox"), { deny_read: [], extra_write: ["/b"] });
  assert.equal((await put({ nonsense: {} })).status, 400);
});

test("REST-81: logs end where they end, a missing one is empty, and another name is 400", async () => {
  await using host = await startHost({ rest: true });
  const get = async (at: string) => {
    const { status, body } = await ask(host, host.token, "GET", `/api/logs/${at}`);
    return [status, String(body.text ?? JSON.stringify(body))] as const;
  };
  assert.deepEqual(await get("ux"), [200, ""]);
  host.system.log.warn("x".repeat(2_000_000));
  assert.equal((await get("daemon"))[1].length, 65_536);
  assert.equal((await get("daemon?bytes=99999999"))[1].length, 1_048_576);
  assert.equal((await get("daemon?bytes=5"))[1].length, 5);
  assert.equal((await get("x"))[0], 400);
});

test("TOKEN-11, TOKEN-12: the server says who a token is, whatever the client claims", async () => {
  await using host = await startHost({ rest: true });
  const kinds = await tokens(host);
  for (const [name, { token, id }] of Object.entries(kinds)) {
    const claim = { "x-argus-auth": "master", "x-argus-token-id": "1234" };
    const { headers, body } = await ask(host, token, "GET", "/api/tokens/self", undefined, claim);
    const kind = name === "scope" ? "scope:sample" : name === "readonly" ? "device" : name;
    assert.deepEqual([headers.get("x-argus-auth"), headers.get("x-argus-token-id")], [kind, id], name);
    const tier = { master: "admin", device: "full", scope: "write", readonly: "readonly" }[name];
    assert.deepEqual([body.id, body.tier, body.last4], [id, tier, token.slice(-4)]);
    assert.equal((await ask(host, token, "POST", "/api/tokens", { label: "x" }, claim)).status, name === "master" ? 201 : 403);
  }
});

/** A stream that is open, and a promise of its end. */
async function open(host: Host, token: string, at: string) {
  const response = await fetch(new URL(at, host.url()), { headers: bearer(token) });
  assert.equal(response.status, 200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  const ended = (async () => {
    for (;;) if ((await reader.read()).done) return "ended";
  })();
  return { ended, close: () => reader.cancel() };
}

test("TOKEN-05, TOKEN-13, TOKEN-14: a readonly token watches and cannot type; revoked or rotated away, its streams end and it is 401", async () => {
  await using host = await startHost({ rest: true });
  const { readonly, device } = await tokens(host);
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: "watched", backend: "fixture-echo" });
  assert.equal((await ask(host, readonly.token, "POST", `/api/tasks/${id}/input`, Buffer.from("x"))).status, 403);
  assert.equal((await ask(host, readonly.token, "GET", `/api/tasks/${id}/size`)).status, 200);
  const both = ["/api/events/stream", `/api/tasks/${id}/stream`];
  const watching = await Promise.all(both.map((at) => open(host, readonly.token, at)));
  const others = await Promise.all(both.map((at) => open(host, device.token, at)));
  await host.call("token.revoke", { id: readonly.id });
  assert.deepEqual(await Promise.all(watching.map(({ ended }) => ended)), ["ended", "ended"]);
  assert.equal((await ask(host, readonly.token, "GET", "/api/status")).status, 401);
  const old = host.token;
  const mastered = await open(host, old, both[0] as string);
  await host.call("token.rotate");
  assert.equal(await mastered.ended, "ended");
  assert.equal((await ask(host, old, "GET", "/api/status")).status, 401);
  assert.equal((await ask(host, host.system.services.tokens.master, "GET", "/api/status")).status, 200);
  assert.equal((await ask(host, device.token, "GET", "/api/status")).status, 200, "another token is untouched");
  await Promise.all(others.map(({ close }) => close()));
});

test("REST-83: approvals are listed and answered once, by somebody else, for what was shown, and in time", async () => {
  await using host = await startHost({ rest: true, approvalHoldMs: 0 });
  const { device, scope } = await tokens(host);
  const victim = await host.call<{ id: string }>("task.create", { project: "demo", name: "victim" });
  const agent = { kind: "task", id: "task:77", tier: "full", surface: "mcp", taskId: "77" } as const;
  const question = async (force: boolean) => {
    await assert.rejects(host.as(agent).call("task.delete", { id: victim.id, force }), { code: "PENDING" });
    const { body } = await ask(host, device.token, "GET", "/api/approvals?status=pending");
    return (body.approvals as { id: string; digest: string }[]).at(-1) as { id: string; digest: string };
  };
  const answer = (token: string, { id, digest }: { id: string; digest: string }, decision = "deny") =>
    ask(host, token, "POST", `/api/approvals/${id}/resolve`, { decision, digest });
  const first = await question(false);
  assert.equal((await answer(scope.token, first)).status, 403, "a plugin is no person");
  assert.equal((await answer(device.token, { ...first, digest: "0".repeat(64) })).status, 409);
  assert.equal((await answer(device.token, first, "maybe")).status, 400);
  const all = await Promise.all(Array.from({ length: 20 }, (_, n) => answer(n % 2 ? device.token : host.token, first)));
  assert.deepEqual(
    all.map(({ status }) => status).toSorted((a, b) => a - b),
    [200, ...Array.from({ length: 19 }, () => 409)],
  );
  const second = await question(true);
  host.clock.advance(601_000);
  assert.equal((await answer(device.token, second)).status, 410);
  assert.equal((await ask(host, device.token, "GET", `/api/tasks/${victim.id}`)).status, 200);
});

test("REST-85: health names each check with its evidence, and a broken one turns to fail", async () => {
  await using host = await startHost({ rest: true });
  const check = async (name: string) => {
    const { body } = await ask(host, host.token, "GET", "/api/health");
    return (body.checks as { name: string; status: string; evidence: string }[]).find((one) => one.name === name);
  };
  const row = await check("audit chain");
  assert.deepEqual(row, { name: "audit chain", status: "pass", evidence: row?.evidence });
  await host.call("task.list");
  await host.call("token.mint", { label: "x" });
  await host.system.store.db.updateTable("audit").set({ outcome: "forged" }).execute();
  assert.equal((await check("audit chain"))?.status, "fail");
});
