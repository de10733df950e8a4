/** Is everything well, and where does it run? */
import { TASK_STATUSES } from "@argus/protocol";
import { sql } from "kysely";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { Check, QUICK } from "./checks.ts";
import { DEEP } from "./deep.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    paths: { home: string; worktrees: string; supervisorSocket: string; socket: string };
    /** Where the surfaces listen now; null while they do not. */
    addresses: () => { web: string | null; rest: string[]; mcp: string | null };
    /** Where they were asked to listen; 0 lets the system choose. */
    wantedPorts: () => { rest: number; mcp: number };
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

const health = operation({
  name: "health",
  summary: "Run the checks of Argus on itself",
  tier: "readonly",
  input: z.object({ deep: z.coerce.boolean().default(false).describe("Also what takes a while: disk, versions, worktrees, this machine") }),
  output: z.object({ checks: z.array(Check) }),
  rest: { "GET /api/health": {} },
}).run(async ({ deep }, services) => ({
  checks: (await Promise.all([...QUICK, ...(deep ? DEEP : [])].map(async (check) => check(services)))).flat(),
}));

export const operations = [status, daemon, health];
