/** The HTTP server itself: where it listens, whom it answers, how much it takes. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { type Host, startHost } from "../src/host.ts";
import { operation } from "../src/kernel/operation.ts";
import { isAllowedHost, tailscaleAddresses } from "../src/surfaces/hosts.ts";
import { type ListenerParts, Listeners } from "../src/surfaces/listeners.ts";
import { restApp } from "../src/surfaces/rest.ts";
import { sseResponse } from "../src/surfaces/sse.ts";
import { type Json, raw } from "./doors.ts";

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** A server on a free port of loopback, and the ports right behind it free too, so that "the next one" can be told. */
async function hold(port = 0, address = "127.0.0.1"): Promise<net.Server> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, address, resolve));
  return server;
}
const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port;
const free = (server: net.Server) => new Promise<void>((resolve) => server.close(() => resolve()));

test("REST-04: the token comes by header or by query, the header wins, and anything else is 401", async () => {
  await using host = await startHost({ rest: true });
  const status = async (headers: Record<string, string>, query = "") => {
    const reply = await raw(`${host.url()}/api/status${query}`, { headers });
    if (reply.status === 401) assert.deepEqual(Object.keys(JSON.parse(reply.text)).sort(), ["code", "error"]);
    return reply.status;
  };
  const good = host.token;
  const bad = "0".repeat(64);
  assert.deepEqual(
    [
      await status({}),
      await status(bearer(good)),
      await status(bearer(bad)),
      await status({}, `?token=${good}`),
      await status({}, `?token=${bad}`),
      await status(bearer(good), `?token=${bad}`),
      await status(bearer(bad), `?token=${good}`),
    ],
    [401, 200, 401, 200, 401, 200, 401],
  );
});

test("REST-05, REST-10: without a token only the page's own files answer; every reply carries the protecting headers", async () => {
  await using host = await startHost({ rest: true });
  const { paths } = (await (await host.rest("GET", "/api/openapi.json")).json()) as { paths: Record<string, Json> };
  const routes = Object.entries(paths).flatMap(([at, methods]) =>
    Object.keys(methods).map((method) => ({ method: method.toUpperCase(), at })),
  );
  for (const { method, at } of [...routes, { method: "GET", at: "/api/nothing" }, { method: "PATCH", at: "/api/status" }]) {
    const url = `${host.url()}${at.replace(/\{\w+\}/g, "1")}`;
    const reply = await raw(url, { method });
    assert.equal(reply.status, at === "/api/login" ? 400 : 401, `${method} ${at}`);
    assert.equal(reply.headers["x-content-type-options"], "nosniff", at);
    assert.equal(reply.headers["x-frame-options"], "DENY", at);
    if (method !== "GET" || at.endsWith("stream")) continue;
    const known = await raw(url, { headers: bearer(host.token) });
    assert.equal(known.headers["x-content-type-options"], "nosniff", at);
    assert.equal(known.headers["x-frame-options"], "DENY", at);
  }
  for (const at of ["/", "/share", "/manifest.webmanifest", "/sw.js", "/favicon.ico", "/assets/x.js", "/%ff", "/..%2f..%2fetc/passwd"]) {
    const reply = await raw(`${host.url()}${at}`);
    assert.ok([200, 404, 503].includes(reply.status), `${at}: ${reply.status}`); // 503: the page has not been built
    assert.equal(reply.headers["x-content-type-options"], "nosniff", at);
    assert.doesNotMatch(reply.text, /root:/, at);
  }
});

test("REST-06: each failure has its status and its code, and one sentence", async () => {
  await using host = await startHost({ rest: true });
  const { registry } = host.system.gate;
  registry.add(
    operation({ name: "test.fail", summary: "Fail", tier: "readonly", input: z.object({}), output: z.object({}) }).run(() => {
      throw new Error(`secret detail of ${host.home}`);
    }),
  );
  const { token } = await host.call<{ token: string }>("token.mint", { label: "phone" });
  await host.call("backend.create", { name: "gone", command: "no-such-program-anywhere" });
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name: "busy" });
  const cases: [string, string, unknown, number, string][] = [
    ["POST", "/api/tasks", { name: "x" }, 400, "INVALID_INPUT"],
    ["GET", "/api/tasks/999", undefined, 404, "NOT_FOUND"],
    ["GET", "/api/nothing", undefined, 404, "NOT_FOUND"],
    ["POST", "/api/call/no.such", {}, 404, "METHOD_NOT_FOUND"],
    ["POST", "/api/projects", { name: "demo", path: host.repo }, 409, "CONFLICT"],
    ["POST", `/api/tasks/${id}/resume`, undefined, 409, "BUSY"],
    ["POST", `/api/tasks/${id}/input`, Buffer.alloc(65_537), 413, "TOO_LARGE"],
    ["POST", "/api/call/test.fail", {}, 500, "INTERNAL"],
    ["GET", "/api/dag", undefined, 501, "NOT_IMPLEMENTED"],
    ["POST", "/api/tasks", { name: "y", project: "demo", backend: "gone" }, 503, "UNAVAILABLE"],
  ];
  for (const [method, at, body, status, code] of cases) {
    const response = await host.rest(method, at, body);
    const reply = (await response.json()) as Json;
    assert.deepEqual({ status: response.status, code: reply.code }, { status, code }, `${method} ${at}: ${JSON.stringify(reply)}`);
    assert.match(String(reply.error), /\S+ \S+/);
    assert.doesNotMatch(String(reply.error), /secret detail/);
  }
  assert.equal((await host.rest("POST", "/api/tokens", { label: "x" }, bearer(token))).status, 403);
  assert.equal((await host.rest("GET", "/api/status", undefined, bearer("nobody"))).status, 401);
});

test("REST-07: lists of a fresh database are empty lists", async () => {
  await using host = await startHost({ rest: true });
  await host.call("project.delete", { name: "demo" });
  for (const at of ["tasks", "projects", "projects/full", "tokens", "approvals", "skills"]) {
    const reply = (await (await host.rest("GET", `/api/${at}`)).json()) as Json;
    assert.deepEqual(Object.values(reply), [[]], at);
  }
  assert.doesNotMatch(await (await host.rest("GET", "/api/settings")).text(), /"(deny_read|extra_write)":null/);
});

test("REST-08: a foreign Host is refused before the token is looked at", async () => {
  await using host = await startHost({ rest: true, env: {} });
  const { port } = new URL(host.url());
  const ask = async (name: string, headers = bearer(host.token)) =>
    (await raw(`${host.url()}/api/status`, { headers: { ...headers, host: name } })).status;
  for (const name of ["localhost", `localhost:${port}`, `127.0.0.1:${port}`, "[::1]", "LOCALHOST"])
    assert.equal(await ask(name), 200, name);
  for (const name of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7743", "", "100.64.0.1", "other.ts.net"])
    assert.equal(await ask(name), 403, name);
  assert.equal(await ask("evil.example", bearer("wrong")), 403, "not 401: the host is checked first");
  fs.writeFileSync(path.join(host.home, "config.toml"), 'api.allowed_hosts = ["phone.example"]\n');
  await host.eventually(async () => (await ask("phone.example")) === 200, "the allowed host to be served");
  assert.equal(await ask("evil.example"), 403);
});

test("REST-08: on a tailnet its address and this machine's own name are served too", () => {
  const own = `${execFileSync("hostname").toString().trim().split(".")[0]}.tail1234.ts.net`;
  const bound = ["127.0.0.1", "100.100.1.2"];
  assert.equal(isAllowedHost("100.100.1.2:7743", bound, []), true);
  assert.equal(isAllowedHost(own, bound, []), true);
  assert.equal(isAllowedHost(own, ["127.0.0.1"], []), false, "not bound to a tailnet, no such name");
  assert.equal(isAllowedHost(`other-${own}`, bound, []), false);
  assert.equal(isAllowedHost("100.100.1.3", bound, []), false);
});

test("REST-09: a foreign Origin is refused, and told nothing that would let a page read the answer", async () => {
  await using host = await startHost({ rest: true });
  const ask = (origin: string, method = "POST") =>
    raw(`${host.url()}/api/sessions/stop-all`, {
      method,
      headers: { ...bearer(host.token), origin, "access-control-request-method": "POST" },
    });
  for (const method of ["OPTIONS", "POST", "GET"])
    for (const origin of ["https://evil.example", "null", "http://localhost.evil.example", "file://", "https://127.0.0.1.evil.example"]) {
      const reply = await ask(origin, method);
      assert.equal(reply.status, 403, `${method} from ${origin}`);
      assert.deepEqual(
        Object.keys(reply.headers).filter((name) => name.startsWith("access-control")),
        [],
      );
    }
  assert.equal((await ask(host.url())).status, 200, "its own page may");
});

test("REST-11: 1 MiB of JSON is taken and one byte more is not, and what is no JSON is told so", async () => {
  await using host = await startHost({ rest: true });
  const body = (size: number) => {
    const empty = JSON.stringify({ project: "nowhere", prompt: "" });
    return JSON.stringify({ project: "nowhere", prompt: "x".repeat(size - empty.length) });
  };
  const post = async (text: string) =>
    raw(`${host.url()}/api/call/task.create`, {
      method: "POST",
      headers: { ...bearer(host.token), "content-type": "application/json" },
      body: text,
    });
  assert.equal((await post(body(1_048_576))).status, 400, "taken, and then its prompt is too long");
  assert.equal((await post(body(1_048_577))).status, 413);
  for (const text of ["{", "nonsense", "[]", "3", '"x"', "null", "{}x"]) {
    const reply = await post(text);
    assert.equal(reply.status, 400, text);
    assert.match(JSON.parse(reply.text).error, /JSON/, text);
  }
  const wrong = await post(JSON.stringify({ project: 1, name: 2, depends_on: 3 }));
  assert.deepEqual((JSON.parse(wrong.text).details as Json).fields, ["project", "name", "depends_on"]);
  const deep = await post(`{"project":${"[".repeat(100_000)}${"]".repeat(100_000)}}`);
  assert.equal(deep.status, 400);
});

test("REST-12: ten failed tokens from another machine make its address wait a minute; loopback never waits", async () => {
  await using host = await startHost({ rest: true });
  let now = 1_000_000;
  const { gate, services } = host.system;
  const app = restApp(
    {
      gate,
      registry: gate.registry,
      events: services.events,
      authenticate: (token) => services.tokens.authenticate(token, "rest"),
      login: (code, label) => services.tokens.login(code, label),
      bound: () => ["127.0.0.1"],
      allowedHosts: () => [],
      now: () => now,
    },
    (env) => (env as { from: string }).from,
  );
  const ask = (token: string, from: string) =>
    app.request("http://127.0.0.1/api/status", { headers: { ...bearer(token), host: "127.0.0.1" } }, { from });
  for (let n = 0; n < 10; n++) assert.equal((await ask("bad", "100.64.0.9")).status, 401);
  for (const token of ["bad", host.token]) {
    const refused = await ask(token, "100.64.0.9");
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get("retry-after"), "60");
    assert.equal(((await refused.json()) as Json).code, "RATE_LIMITED");
  }
  assert.equal((await ask(host.token, "100.64.0.10")).status, 200, "another address is another one");
  now += 60_001;
  assert.equal((await ask(host.token, "100.64.0.9")).status, 200);
  for (let n = 0; n < 20; n++) assert.equal((await ask("bad", "127.0.0.1")).status, 401);
  assert.equal((await ask(host.token, "127.0.0.1")).status, 200);
});

test("REST-13: no token is found in any file below the home folder, however it came", async () => {
  await using host = await startHost({ rest: true });
  const device = await host.call<{ token: string }>("token.mint", { label: "phone" });
  const keyed = { "idempotency-key": "mint-1" };
  const minted = (await (await host.rest("POST", "/api/tokens", { label: "keyed" }, keyed)).json()) as { id: string; token: string };
  const again = (await (await host.rest("POST", "/api/tokens", { label: "keyed" }, keyed)).json()) as { id: string; token: string };
  assert.deepEqual([again.id, again.token], [minted.id, ""], "a repeated request finds the reply without what is shown once");
  const scope = await host.call<{ token: string }>("token.mint_scope", { scope: "sample" });
  const tokens = [host.token, device.token, scope.token, minted.token, "unknown-token-0123456789"];
  for (const token of tokens)
    for (const at of ["/api/status", "/api/nothing", "/api/tasks/999/stop", "/api/call/no.such"])
      for (const method of ["GET", "POST"]) {
        await raw(`${host.url()}${at}?token=${token}`, { method });
        await raw(`${host.url()}${at}`, { method, headers: bearer(token) });
      }
  host.system.log.warn({ url: `/api/tasks?token=${device.token}&x=1`, master: host.token }, "a line that would tell");
  const found: string[] = [];
  for (const entry of fs.readdirSync(host.home, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || file === path.join(host.home, "api-token")) continue;
    const text = fs.readFileSync(file, "latin1");
    for (const token of tokens) if (text.includes(token)) found.push(`${path.relative(host.home, file)}: ${token.slice(0, 12)}`);
  }
  assert.deepEqual(found, []);
  const rows = JSON.stringify([
    await host.call("audit.list", { limit: 1000 }),
    await host.system.store.db.selectFrom("events").selectAll().execute(),
  ]);
  for (const token of tokens) assert.ok(!rows.includes(token));
});

/** Listeners of their own beside the host's, with their own ports and addresses. */
async function listeners(host: Host, home: string, more: Partial<ListenerParts>): Promise<Listeners> {
  const { gate, services, log } = host.system;
  fs.mkdirSync(path.join(home, "run"), { recursive: true });
  return new Listeners({
    gate,
    registry: gate.registry,
    tokens: services.tokens,
    config: services.config,
    events: services.events,
    log,
    home,
    socket: path.join(home, "daemon.sock"),
    now: () => host.clock.now(),
    env: { ARGUS_MCP_PORT: "0", ARGUS_API_PORT: "0" },
    ...more,
  });
}

test("REST-02, MCP-01: a taken port moves REST and MCP to the next free ones, and status tells the real ones", async () => {
  // Two taken ones in a row, found by trying.
  let taken: net.Server[] = [];
  for (let tries = 0; taken.length < 2 && tries < 50; tries++) {
    const first = await hold();
    const second = await hold(portOf(first) + 1).catch(() => null);
    if (second) taken = [first, second];
    else await free(first);
  }
  const base = portOf(taken[0] as net.Server);
  await using host = await startHost({ env: { ARGUS_API_PORT: String(base), ARGUS_MCP_PORT: String(base) } });
  const info = await host.call<{ web: string; mcp: string }>("daemon.info");
  const ports = [Number(new URL(info.web).port), Number(new URL(info.mcp).port)];
  for (const port of ports) assert.ok(port > base + 1 && port <= base + 8, `${port} is one of the eight after ${base}`);
  assert.notEqual(ports[0], ports[1]);
  assert.equal((await raw(`${info.web}/api/status`, { headers: bearer(host.token) })).status, 200);
  for (const server of taken) await free(server);
});

test("REST-01: only the addresses of 100.64.0.0/10 count as a tailnet's", () => {
  const address = (text: string, family: "IPv4" | "IPv6" = "IPv4") =>
    ({ address: text, family, netmask: "", mac: "", internal: false, cidr: null, ...(family === "IPv6" && { scopeid: 0 }) }) as never;
  assert.deepEqual(
    tailscaleAddresses({
      lo: [address("127.0.0.1"), address("::1", "IPv6")],
      eth0: [address("192.168.1.5"), address("10.0.0.1"), address("100.63.255.255"), address("100.128.0.0"), address("0.0.0.0")],
      tailscale0: [address("100.64.0.0"), address("100.127.255.255"), address("fd7a:115c:a1e0::1", "IPv6")],
      odd: undefined,
    }),
    ["100.64.0.0", "100.127.255.255"],
  );
});

test("REST-03: a tailnet address that appears is bound, and released when it goes", { skip: process.platform !== "linux" }, async () => {
  await using host = await startHost();
  const home = path.join(host.home, "second");
  let tailnet: string[] = [];
  await using surface = await listeners(host, home, { tailscale: () => tailnet });
  await surface.start();
  const one = surface.addresses().rest;
  assert.deepEqual(
    one.map((url) => new URL(url).hostname),
    ["127.0.0.1"],
  );
  const port = new URL(one[0] as string).port;
  const ask = (address: string) =>
    raw(`http://${address}:${port}/api/status`, { headers: bearer(host.token) }).then(
      (reply) => reply.status,
      () => null,
    );
  assert.equal(await ask("127.0.0.2"), null);
  tailnet = ["127.0.0.2"]; // stands for a tailnet's address: on Linux all of 127/8 can be bound
  // Looked at by its own timer, well within 30 s.
  await host.eventually(async () => (await ask("127.0.0.2")) === 200, "the new address to answer");
  tailnet = [];
  await host.eventually(async () => (await ask("127.0.0.2")) === null, "the address to be released");
  assert.equal(await ask("127.0.0.1"), 200);
});

const NAMESPACE = ["-rn", "sh", "-c"];
const mayUnshare =
  process.platform === "linux" &&
  spawnSync("unshare", [...NAMESPACE, "ip link set lo up && ip addr add 100.64.7.7/32 dev lo"]).status === 0;

test("REST-01: with a tailnet's address and a LAN's, loopback and tailnet listen and the LAN refuses", {
  skip: !mayUnshare && "no network namespaces here",
}, () => {
  const script = `
    import { startHost } from ${JSON.stringify(new URL("../src/host.ts", import.meta.url).href)};
    import { raw } from ${JSON.stringify(new URL("./doors.ts", import.meta.url).href)};
    import fs from "node:fs";
    {
      await using host = await startHost({ rest: true });
      const port = new URL(host.url()).port;
      const ask = (address) => raw("http://" + address + ":" + port + "/api/status", { headers: { authorization: "Bearer " + host.token } }).then((r) => r.status, (e) => e.code);
      const listening = fs.readFileSync("/proc/net/tcp", "utf8").split("\\n").flatMap((line) => { const f = line.trim().split(/\\s+/); return f[3] === "0A" ? [f[1].split(":")[0]] : []; });
      const six = fs.readFileSync("/proc/net/tcp6", "utf8").split("\\n").filter((line) => line.trim().split(/\\s+/)[3] === "0A").length;
      console.log(JSON.stringify({ answers: [await ask("127.0.0.1"), await ask("100.64.7.7"), await ask("192.168.7.7")], any: listening.includes("00000000"), six }));
    }
    process.exit();`;
  const done = spawnSync(
    "unshare",
    [
      ...NAMESPACE,
      'ip link set lo up; ip addr add 100.64.7.7/32 dev lo; ip addr add 192.168.7.7/32 dev lo; exec "$0" --disable-warning=ExperimentalWarning --input-type=module -e "$1"',
      process.execPath,
      script,
    ],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.deepEqual(JSON.parse(done.stdout.trim() || JSON.stringify(done.stderr)), {
    answers: [200, 200, "ECONNREFUSED"],
    any: false,
    six: 0,
  });
});

test("REST-38: a stream says something every 30 s, so that nobody in between closes it", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const controller = new AbortController();
  const silent = (async function* () {
    await new Promise<void>((resolve) => controller.signal.addEventListener("abort", () => resolve()));
    yield* [];
  })();
  const response = sseResponse(silent, () => ({ data: "" }), controller, {});
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const text = async () => new TextDecoder().decode((await reader.read()).value);
  assert.equal(await text(), ": connected\n\n");
  for (let n = 0; n < 3; n++) {
    t.mock.timers.tick(30_000);
    assert.equal(await text(), ": keepalive\n\n");
  }
  controller.abort();
  assert.equal((await reader.read()).done, true);
});
