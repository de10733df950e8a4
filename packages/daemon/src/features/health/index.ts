/** Is everything well, and where does it run? */
import fs from "node:fs";
import path from "node:path";
import { TASK_STATUSES } from "@argus/protocol";
import { sql } from "kysely";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { nearestKey } from "../config/index.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    paths: { home: string; worktrees: string; supervisorSocket: string; socket: string };
    /** Where the surfaces listen now; null while they do not. */
    addresses: () => { web: string | null; rest: string[]; mcp: string | null };
    /** `root` is the clone it runs from. */
    build: { version: string; name: string; root: string; startedAt: number };
  }
}

const Counts = z.object(
  Object.fromEntries(TASK_STATUSES.map((status) => [status, z.number()])) as Record<(typeof TASK_STATUSES)[number], z.ZodNumber>,
);

const status = operation({
  name: "status",
  summary: "Count running and idle sessions, and tasks by status",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ ok: z.literal(true), sessions: z.object({ running: z.number(), idle: z.number() }), tasks: Counts }),
  rest: { "GET /api/status": {} },
  example: { input: {}, output: { ok: true } },
}).run(async (_input, { sessions, store }) => {
  const rows = await store.db
    .selectFrom("tasks")
    .select(["status", sql<number>`count(*)`.as("n")])
    .where("archived", "=", 0)
    .groupBy("status")
    .execute();
  const tasks = Object.fromEntries(TASK_STATUSES.map((name) => [name, Number(rows.find((row) => row.status === name)?.n ?? 0)])) as z.infer<
    typeof Counts
  >;
  return { ok: true as const, sessions: sessions.counts(), tasks };
});

const daemon = operation({
  name: "daemon.info",
  summary: "Show process, build, ports and supervisor of this daemon",
  tier: "readonly",
  input: z.object({}),
  output: z.object({
    pid: z.number(),
    version: z.string(),
    build: z.string(),
    root: z.string(),
    uptime_seconds: z.number(),
    home: z.string(),
    web: z.string().nullable(),
    rest: z.array(z.string()),
    mcp: z.string().nullable(),
    supervisor: z.object({ state: z.string(), pid: z.number().nullable(), protocol: z.number().nullable(), build: z.string().nullable() }),
    store: z.string(),
  }),
  rest: { "GET /api/daemon": {} },
}).run((_input, { addresses, build, node, paths, store }) => {
  const hello = node.sessions.hello();
  return {
    pid: process.pid,
    version: build.version,
    build: build.name,
    root: build.root,
    uptime_seconds: Math.round((Date.now() - build.startedAt) / 1000),
    home: paths.home,
    ...addresses(),
    supervisor: { state: node.sessions.state, pid: hello?.pid ?? null, protocol: hello?.protocol ?? null, build: hello?.build ?? null },
    store: store.kind,
  };
});

const Check = z.object({ name: z.string(), status: z.enum(["pass", "warn", "fail"]), evidence: z.string() });
type Check = z.infer<typeof Check>;

const health = operation({
  name: "health",
  summary: "Run the quick checks of Argus on itself",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ checks: z.array(Check) }),
  rest: { "GET /api/health": {} },
}).run(async (_input, { node, store, paths, config, addresses, backends, sessions, audit }) => {
  const checks: Check[] = [];
  const add = (name: string, state: Check["status"], evidence: string) => checks.push({ name, status: state, evidence });

  const hello = node.sessions.hello();
  if (node.sessions.state === "connected")
    add("supervisor", "pass", `pid ${hello?.pid}, protocol ${hello?.protocol}, ${sessions.counts().running} sessions`);
  else
    add(
      "supervisor",
      "fail",
      "It does not answer. Running agents are unverifiable until it does; `argus session-supervisor start` starts one.",
    );

  const answered = await sql`select 1`.execute(store.db).then(
    () => null,
    (thrown: unknown) => String(thrown),
  );
  add("database", answered === null ? "pass" : "fail", answered ?? store.kind);
  const bad = await audit.verify();
  add("audit chain", bad === null ? "pass" : "fail", bad === null ? "intact" : `row ${bad} does not fit the one before it`);

  for (const [file, mode] of [
    ["", 0o700],
    ["api-token", 0o600],
    ["data.sql", 0o600],
    ["supervisor.sock", 0o600],
    ["daemon.sock", 0o600],
  ] as const) {
    const full = path.join(paths.home, file);
    if (!fs.existsSync(full)) continue;
    const actual = fs.statSync(full).mode & 0o777;
    add(
      `mode of ${file || "home folder"}`,
      actual === mode ? "pass" : "fail",
      actual === mode ? mode.toString(8) : `${actual.toString(8)} instead of ${mode.toString(8)}: chmod ${mode.toString(8)} ${full}`,
    );
  }
  const { broken, unknown } = config.fileLayer();
  if (broken) add("config.toml", "fail", `It is ignored: ${broken}`);
  else if (unknown.length > 0)
    add("config.toml", "warn", unknown.map((name) => `${name} is unknown; did you mean ${nearestKey(name)}?`).join(" "));
  else add("config.toml", "pass", fs.existsSync(config.file.path) ? "read" : "absent, which is fine");

  const { rest, mcp } = addresses();
  add(
    "web",
    rest.length > 0 ? "pass" : "warn",
    rest.length > 0
      ? rest.join(", ")
      : "off: api.enabled is false. `npm start` or `argus settings set --api '{\"enabled\":true}'` turns it on.",
  );
  add("mcp", mcp ? "pass" : "fail", mcp ?? "No free port from kb.http_port on");
  add(
    "git",
    (await node.processes.which("git")) ? "pass" : "fail",
    (await node.processes.which("git")) ?? "git is not on PATH; install it",
  );
  const usable: string[] = [];
  for (const backend of backends.all())
    if (backend.name !== "shell" && backend.name !== "argus" && (await node.processes.which(backend.command.split(/\s+/)[0] ?? "")))
      usable.push(backend.name);
  add(
    "agents",
    usable.length > 0 ? "pass" : "warn",
    usable.length > 0 ? usable.join(", ") : "No agent CLI is on PATH; the backends argus and shell work without one.",
  );
  return { checks };
});

export const operations = [status, daemon, health];
