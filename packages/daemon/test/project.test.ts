/** Registered repositories: rows and entries of config.toml. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Project } from "@argus/protocol";
import { agentOf, type Host, startHost } from "../src/host.ts";
import { create, git } from "./scratch.ts";

const INHERITED = { enabled: null, deny_read: [], extra_write: [] };

function repository(host: Host, name: string): string {
  const folder = path.join(host.home, name);
  fs.mkdirSync(folder);
  git(folder, "init", "-q", "-b", "main");
  git(folder, "commit", "-q", "--allow-empty", "-m", "Start");
  return folder;
}
const full = async (host: Host) => ((await (await host.rest("GET", "/api/projects/full")).json()) as { projects: Project[] }).projects;

test("REST-61, REST-62, REST-63: projects are registered whole, listed sorted, and a taken name is refused", async () => {
  await using host = await startHost({ rest: true });
  const [zeta, alpha] = [repository(host, "zeta"), repository(host, "alpha")];
  const sandbox = { enabled: true, deny_read: ["/secret"], extra_write: ["/cache"] };
  const made = await host.rest("POST", "/api/projects", { name: "zeta", path: zeta, branch: "main", backend: "fixture-echo", sandbox });
  assert.deepEqual(
    [made.status, await made.json()],
    [201, { name: "zeta", path: zeta, branch: "main", default_backend: "fixture-echo", sandbox }],
  );
  await host.rest("POST", "/api/projects", { name: "alpha", path: alpha, sandbox: { enabled: false } });
  assert.equal((await host.rest("POST", "/api/projects", { name: "zeta", path: alpha })).status, 409);
  assert.deepEqual(await (await host.rest("GET", "/api/projects")).json(), { projects: ["alpha", "demo", "zeta"] });
  assert.deepEqual(await full(host), [
    { name: "alpha", path: alpha, branch: "", default_backend: "", sandbox: { ...INHERITED, enabled: false } },
    { name: "demo", path: host.repo, branch: "", default_backend: "fixture-idle", sandbox: INHERITED },
    { name: "zeta", path: zeta, branch: "main", default_backend: "fixture-echo", sandbox },
  ]);
});

test("REST-63, WORKTREE-04: a name that is no path segment, a path that is no repository and an unknown backend are refused", async () => {
  await using host = await startHost({ rest: true });
  const plain = path.join(host.home, "plain");
  fs.mkdirSync(plain);
  const bodies = [
    { name: "", path: host.repo },
    { name: "a/b", path: host.repo },
    { name: "..", path: host.repo },
    { name: "x" },
    { name: "x", path: plain },
    { name: "x", path: "relative" },
    { name: "x", path: path.join(host.home, "missing") },
    { name: "x", path: host.repo, backend: "nope" },
    { name: "x", path: host.repo, sandbox: { enabled: "maybe" } },
  ];
  for (const body of bodies) assert.equal((await host.rest("POST", "/api/projects", body)).status, 400, JSON.stringify(body));
  assert.equal((await full(host)).length, 1);
});

test("WORKTREE-04: a repository that is none any more is refused at the next creation", async () => {
  await using host = await startHost();
  fs.rmSync(path.join(host.repo, ".git"), { recursive: true });
  await assert.rejects(create(host), /git repository/);
  assert.deepEqual(fs.readdirSync(path.join(host.home, "worktrees")), []);
});

test("REST-64: changing a project changes what was sent and leaves the rest", async () => {
  await using host = await startHost({ rest: true });
  const before = (await full(host))[0];
  const reply = await host.rest("PUT", "/api/projects/demo", { branch: "main" });
  assert.deepEqual([reply.status, await reply.json()], [200, { ...before, branch: "main" }]);
  await host.rest("PUT", "/api/projects/demo", { sandbox: { enabled: true } });
  assert.deepEqual((await full(host))[0]?.sandbox, { ...INHERITED, enabled: true });
  await host.rest("PUT", "/api/projects/demo", { sandbox: null });
  assert.deepEqual((await full(host))[0], { ...before, branch: "main" });
  assert.equal((await host.rest("PUT", "/api/projects/nope", { branch: "main" })).status, 404);
  for (const body of [{ path: "/" }, { backend: "nope" }]) assert.equal((await host.rest("PUT", "/api/projects/demo", body)).status, 400);
});

test("REST-65: a project in use is deleted only with force, and repository and worktrees stay on disk", async () => {
  await using host = await startHost({ rest: true });
  const task = await create(host);
  const refused = await host.rest("DELETE", "/api/projects/demo");
  assert.equal(refused.status, 409);
  assert.match(((await refused.json()) as { error: string }).error, /1 task uses the project "demo"/);
  assert.equal((await host.rest("DELETE", "/api/projects/demo?force=1")).status, 200);
  assert.ok(fs.existsSync(host.repo) && fs.existsSync(task.worktree_path));
  assert.equal((await host.rest("DELETE", "/api/projects/demo")).status, 404);
  await host.call("project.create", { name: "demo", path: host.repo });
  await host.call("task.archive", { id: task.id });
  assert.equal((await host.rest("DELETE", "/api/projects/demo")).status, 200);
});

test("CONFIG-05: a project of config.toml replaces the stored one whole, works, and is changed only there", async () => {
  await using host = await startHost({ rest: true });
  const other = repository(host, "other");
  const before = (await full(host))[0];
  fs.writeFileSync(
    path.join(host.home, "config.toml"),
    `[projects.demo]\npath = "${other}"\n[projects.demo.sandbox]\nenabled = true\ndeny_read = ["/x"]\n[projects.only-here]\npath = "${other}"\nbackend = "fixture-idle"\n`,
  );
  assert.deepEqual(await full(host), [
    { name: "demo", path: other, branch: "", default_backend: "", sandbox: { enabled: true, deny_read: ["/x"], extra_write: [] } },
    { name: "only-here", path: other, branch: "", default_backend: "fixture-idle", sandbox: INHERITED },
  ]);
  assert.equal((await create(host, { project: "only-here" })).status, "in_progress");
  for (const [method, name] of [
    ["PUT", "only-here"],
    ["DELETE", "only-here?force=1"],
    ["PUT", "demo"],
    ["DELETE", "demo?force=1"],
  ] as const) {
    const reply = await host.rest(method, `/api/projects/${name}`, method === "PUT" ? { branch: "main" } : undefined);
    assert.equal(reply.status, 409, `${method} ${name}`);
    assert.match(((await reply.json()) as { error: string }).error, /set by config.toml/);
  }
  fs.rmSync(path.join(host.home, "config.toml"));
  assert.deepEqual(await full(host), [before]);
});

test("MCP-33: an agent's deletion of a project waits for a person", async () => {
  await using host = await startHost({ approvalHoldMs: 0 });
  const task = await create(host);
  await assert.rejects(host.as(agentOf(task)).call("project.delete", { name: "demo", force: true }), { code: "PENDING" });
  assert.equal((await host.call<{ projects: string[] }>("project.list")).projects.length, 1);
});
