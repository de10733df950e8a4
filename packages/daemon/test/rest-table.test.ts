/** The 69 endpoints of the requirement document, row by row: each answers as written, or says what is still missing. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type Host, startHost } from "../src/host.ts";
import type { Json } from "./doors.ts";

interface Row {
  /** As the document writes it; `{id}` is a living task, `{stopped}` one that was stopped, `{done}` a complete one. */
  at: string;
  body?: unknown;
  status: number;
  /** Part of the reply, or names its keys. */
  shape?: Json | string[];
}

const LATER = 501;
const form = (): FormData => {
  const data = new FormData();
  data.append("files", new Blob(["hello"]), "note.txt");
  return data;
};

const ROWS: Row[] = [
  { at: "GET /api/status", status: 200, shape: ["ok", "sessions", "tasks"] },
  { at: "GET /api/tasks", status: 200, shape: ["tasks"] },
  {
    at: "POST /api/tasks",
    body: { name: "made", prompt: "p", project: "demo" },
    status: 201,
    shape: { name: "made", status: "in_progress" },
  },
  { at: "GET /api/tasks/{id}", status: 200, shape: { archived: false, prompt: "", idle: false } },
  { at: "POST /api/tasks/{stopped}/stop", status: 200, shape: { status: "stopped" } },
  { at: "POST /api/tasks/{stopped}/resume", status: 200, shape: { status: "resumed" } },
  { at: "POST /api/tasks/{done}/restart", status: 200, shape: { status: "resumed" } },
  { at: "DELETE /api/tasks/{done}", status: 200, shape: { status: "deleted", saved_ref: null } },
  { at: "POST /api/tasks/{id}/archive", status: 200, shape: { archived: true } },
  { at: "POST /api/tasks/{id}/unarchive", status: 200, shape: { archived: false } },
  { at: "POST /api/tasks/{id}/rename", body: { name: "new" }, status: 200, shape: { name: "new" } },
  { at: "POST /api/tasks/{id}/fork", body: { name: "twin" }, status: 201, shape: { name: "twin", status: "in_progress" } },
  { at: "POST /api/tasks/{id}/status", body: { status: "in_review" }, status: 200, shape: { status: "in_review" } },
  { at: "GET /api/tasks/{id}/output", status: 200 },
  { at: "GET /api/tasks/{id}/links", status: 200, shape: { links: [] } },
  { at: "POST /api/tasks/{id}/input", body: Buffer.from("x"), status: 200, shape: { status: "ok", bytes: "1" } },
  { at: "POST /api/tasks/{id}/upload", body: form(), status: 200, shape: { paths: ["./.context/note.txt"] } },
  { at: "GET /api/tasks/{id}/stream", status: 200 },
  { at: "GET /api/tasks/{id}/size", status: 200, shape: { cols: 80, rows: 24 } },
  { at: "POST /api/tasks/{id}/resize", body: { cols: 90, rows: 30 }, status: 200, shape: { cols: 90, rows: 30, rerendered: false } },
  { at: "POST /api/sessions/stop-all", status: 200, shape: ["stopped"] },
  { at: "GET /api/tasks/{id}/git/status", status: 200, shape: ["task_id", "status", "diff", "branch_diff", "branch_files"] },
  { at: "GET /api/tasks/{id}/git/diff?path=README.md", status: 200, shape: { path: "README.md", diff: "" } },
  { at: "GET /api/tasks/{id}/files?dir=", status: 200, shape: ["task_id", "dir", "files"] },
  { at: "GET /api/tasks/{id}/artifacts", status: LATER },
  { at: "GET /api/tasks/{id}/artifacts/report.html", status: LATER },
  { at: "GET /api/dag", status: LATER },
  { at: "GET /api/tasks/{id}/deps", status: LATER },
  { at: "POST /api/tasks/{id}/deps", body: { parent_id: "1" }, status: LATER },
  { at: "DELETE /api/tasks/{id}/deps/1", status: LATER },
  { at: "POST /api/tasks/{id}/halt-downstream", status: LATER },
  { at: "POST /api/tasks/{id}/plan-slug", body: { plan_slug: "p" }, status: 200, shape: { plan_slug: "p" } },
  { at: "POST /api/maintenance/prune-completed", status: 200, shape: ["pruned", "worktrees", "orphans", "kept"] },
  { at: "GET /api/projects", status: 200, shape: { projects: ["demo"] } },
  { at: "GET /api/projects/full", status: 200, shape: ["projects"] },
  { at: "POST /api/projects", body: { name: "second", path: "$repo" }, status: 201, shape: { name: "second" } },
  { at: "PUT /api/projects/second", body: { branch: "main" }, status: 200, shape: { branch: "main" } },
  { at: "DELETE /api/projects/second", status: 200 },
  { at: "GET /api/backends", status: 200, shape: ["backends"] },
  { at: "POST /api/backends", body: { name: "mine", command: "x", prompt_flag: "", model: "m" }, status: 201, shape: { model: "m" } },
  { at: "PUT /api/backends/mine", body: { model: "n" }, status: 200, shape: { model: "n", command: "x" } },
  { at: "DELETE /api/backends/mine", status: 200 },
  { at: "GET /api/skills?project=demo&filter=x", status: 200, shape: ["skills"] },
  { at: "GET /api/push/vapid-public-key", status: LATER },
  { at: "POST /api/push/subscribe", body: { label: "l", endpoint: "e", keys: { p256dh: "p", auth: "a" } }, status: LATER },
  { at: "GET /api/push/subscriptions", status: LATER },
  { at: "DELETE /api/push/subscribe/1", status: LATER },
  { at: "POST /api/push/test", status: LATER },
  { at: "GET /api/tokens", status: 200, shape: { tokens: [] } },
  { at: "POST /api/tokens", body: { label: "My iPhone" }, status: 201, shape: ["id", "label", "token", "tier"] },
  { at: "DELETE /api/tokens/1", status: 200 },
  { at: "GET /api/schedules", status: LATER },
  { at: "POST /api/schedules", body: { name: "n", project: "demo", prompt: "p", schedule: "@daily", enabled: true }, status: LATER },
  { at: "PUT /api/schedules/1", body: { enabled: false }, status: LATER },
  { at: "DELETE /api/schedules/1", status: LATER },
  { at: "POST /api/schedules/1/run", status: LATER },
  { at: "GET /api/settings", status: 200, shape: ["sandbox", "kb", "api", "defaults"] },
  { at: "PUT /api/settings", body: { defaults: { share_project: "demo" } }, status: 200, shape: ["sandbox", "kb", "api", "defaults"] },
  { at: "GET /api/logs/ux?bytes=10", status: 200 },
  { at: "POST /api/mcp/tools", body: { name: "x_y" }, status: LATER },
  { at: "DELETE /api/mcp/tools/x_y", status: LATER },
  { at: "POST /api/plugins/views", body: { title: "t" }, status: LATER },
  { at: "GET /api/plugins/views", status: LATER },
  { at: "DELETE /api/plugins/views/1", status: LATER },
  { at: "POST /api/plugins/settings/sections", body: { title: "t" }, status: LATER },
  { at: "GET /api/plugins/settings/sections", status: LATER },
  { at: "POST /api/plugins/settings/sections/s/t/submit", body: {}, status: LATER },
  { at: "DELETE /api/plugins/settings/sections/s/t", status: LATER },
  { at: "GET /api/events/stream?since=0", status: 200 },
];

/** A task whose agent has said its first word. */
async function task(host: Host, name: string): Promise<string> {
  const { id } = await host.call<{ id: string }>("task.create", { project: "demo", name });
  await host.eventually(() => host.call("session.output", { id }).catch(() => null), "the first output");
  return id;
}

test("every endpoint of the requirement document answers as written, or says what is missing", async () => {
  assert.equal(ROWS.length, 69);
  await using host = await startHost({ rest: true });
  const ids: Record<string, string> = {
    id: await task(host, "living"),
    stopped: await task(host, "stopped"),
    done: await task(host, "done"),
  };
  await host.call("task.stop", { id: ids.done });
  await host.call("task.set_status", { id: ids.done, status: "complete" });
  for (const { at, body, status, shape } of ROWS) {
    const [method, template] = at.split(" ") as [string, string];
    const where = template.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? assert.fail(name));
    // What stops every session leaves nothing to read; start the living one again.
    if (template.includes("git/status")) await host.rest("POST", `/api/tasks/${ids.id}/resume`);
    const response = await host.rest(
      method,
      where,
      JSON.stringify(body)?.includes("$repo") ? { ...(body as Json), path: host.repo } : body,
    );
    if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
      assert.equal(response.status, status, at);
      await response.body?.cancel();
      continue;
    }
    const text = await response.text();
    assert.equal(response.status, status, `${at}: ${text}`);
    if (status === LATER) {
      const { code, error } = JSON.parse(text) as { code: string; error: string };
      assert.equal(code, "NOT_IMPLEMENTED", at);
      assert.match(error, /not available yet: .+ (is|are) missing/, at);
    } else if (Array.isArray(shape)) for (const key of shape) assert.ok(key in JSON.parse(text), `${at} answers ${key}: ${text}`);
    else if (shape) assert.partialDeepStrictEqual(JSON.parse(text), shape, at);
  }
});

test("REST-14: openapi.json describes every route that is served, and every one the rules name", async () => {
  await using host = await startHost({ rest: true });
  const { paths } = (await (await host.rest("GET", "/api/openapi.json")).json()) as { paths: Record<string, Json> };
  const described = new Set(
    Object.entries(paths).flatMap(([at, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${at}`)),
  );
  const { operations } = (await (await host.rest("GET", "/api/operations")).json()) as { operations: { rest: string[] }[] };
  const own = ["GET /api/openapi.json", "GET /api/operations", "POST /api/call/{operation}", "POST /api/login"];
  assert.deepEqual([...described].sort(), [...operations.flatMap((operation) => operation.rest), ...own].sort());

  // The document and the rules may call a parameter otherwise; where it stands is what counts.
  const plain = (route: string) => route.replace(/\?.*$/, "").replace(/\{[^}]+\}/g, "{}");
  const served = new Set([...described].map(plain));
  const named = new Set<string>();
  for (const { at } of ROWS) named.add(plain(at.replace(/\/(mine|second|1|x_y|s|t|ux|report\.html)(?=[/?]|$)/g, "/{}")));
  const rules = fs.readFileSync(path.resolve(import.meta.dirname, "../../../spec/rest.md"), "utf8");
  for (const [, method, at] of rules.matchAll(/`(GET|POST|PUT|DELETE) (\/api\/[^\s`]+)`/g)) named.add(plain(`${method} ${at}`));
  assert.ok(named.size > 70, "the rules were read");
  assert.deepEqual(
    [...named].filter((route) => !served.has(route)).sort(),
    ["GET /api/logs/ux"], // `/api/logs/{name}` takes two names
  );
});
