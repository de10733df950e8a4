/** Builds the daemon from top to bottom; the only file that knows everyone. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { buildOf } from "@argus/protocol/build";
import { localNode, type Node } from "@argus/runner";
import { startSupervisor } from "@argus/supervisor/client";
import { Approvals } from "./features/approval/index.ts";
import { Backends, harnessOf, splitCommand } from "./features/backend/index.ts";
import { Clipboard } from "./features/clipboard/index.ts";
import { Config } from "./features/config/index.ts";
import { Projects } from "./features/project/index.ts";
import { Deliveries, decodeFiles, Launcher, Rerender, TaskSessions } from "./features/session/index.ts";
import { Creation, Dependencies, Destruction, Naming, Ports, type TaskRow, Tasks } from "./features/task/index.ts";
import { Tokens } from "./features/token/index.ts";
import { DiskUse, PullRequests } from "./features/worktree/index.ts";
import { Audit } from "./kernel/audit.ts";
import { Gate } from "./kernel/call.ts";
import { type Clock, systemClock } from "./kernel/clock.ts";
import { openStore, type Store } from "./kernel/database.ts";
import { Events } from "./kernel/events.ts";
import { type Log, openLog, rotateHeld } from "./kernel/log.ts";
import type { Services } from "./kernel/operation.ts";
import { Redactor } from "./kernel/redact.ts";
import { Registry } from "./kernel/registry.ts";
import { migrations, operations } from "./operations.ts";
import { Listeners } from "./surfaces/listeners.ts";

declare module "./kernel/operation.ts" {
  interface Services {
    node: Node;
    /** Conversations the task's harness recorded for its worktree. */
    conversationsOf: (row: TaskRow) => ReturnType<Node["conversations"]["list"]>;
    decodeFiles: typeof decodeFiles;
    /** Tells whoever keeps something of a task that it is gone. */
    destroyed: (taskId: number) => void;
  }
}

export interface SystemOptions {
  /** `~/.argus`, or ARGUS_HOME. */
  home: string;
  /** Environment that children inherit and that may override ports. */
  env: NodeJS.ProcessEnv;
  clock?: Clock;
  /** Replies that break their own schema are errors. */
  checkReplies?: boolean;
  /** Database address instead of `<home>/data.sql`. */
  database?: string;
  /** False leaves tasks that were created without a name under the beginning of their prompt. */
  autoName?: boolean;
  /** How long a call is held for an approval. */
  approvalHoldMs?: number;
}

export interface System extends AsyncDisposable {
  gate: Gate;
  services: Services;
  store: Store;
  log: Log;
  listeners: Listeners;
}

const VERSION = "0.1.0";
const ROOT = path.resolve(import.meta.dirname, "..", "..", "..");
/** Of the files as they were when this process loaded them. */
const BUILD = buildOf(ROOT);
/** How often a missing supervisor is looked for. It is only ever started when none answers, never restarted: that would hang up every agent. */
const REVIVE_MS = 2000;
const CAPTURE_SLACK_MS = 5000;

/** Starts everything and resolves when all surfaces answer. What was opened is closed again when a step fails. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const { home, env } = options;
  const clock = options.clock ?? systemClock;
  const paths = makeFolders(home);
  await using opened = new AsyncDisposableStack();

  const redactor = new Redactor();
  const logFile = openLog(path.join(home, "daemon.log"), redactor.redact);
  opened.defer(() => logFile.close());
  const log = logFile.log;
  const store = await openStore(options.database ?? env.ARGUS_DATABASE ?? path.join(home, "data.sql"), migrations);
  opened.defer(() => store.close());
  const events = new Events(store, clock);
  const audit = new Audit(store, clock);
  const config = await Config.open(store, home, log);

  await ensureSupervisor(home, log);
  const node = opened.use(localNode({ name: "local", env, supervisorSocket: paths.supervisorSocket, now: () => clock.now() }));

  const services = {} as Services;
  const all = () => services;
  const projects = new Projects(store, events, config, clock);
  const backends = await Backends.open(store, events, config);
  const tasks = new Tasks(store, events, clock);
  const conversationsOf = async (row: TaskRow) => {
    const project = await projects.find(row.project).catch(() => null);
    const words = splitCommand(backends.choose(row.backend, project?.default_backend ?? "").command);
    const { conversations } = harnessOf(path.basename(words.argv[0] as string), config.fileLayer().harnesses);
    return conversations ? node.conversations.list(conversations, row.worktree, words.env.HOME ?? env.HOME ?? os.homedir()) : [];
  };
  const logOf = (taskId: number) => path.join(home, "sessions", `${taskId}.log`);
  const sessions = new TaskSessions({
    store,
    events,
    clock,
    log,
    node,
    tasks,
    logOf,
    capture: async (row, run) => {
      const newest = (await conversationsOf(row))[0];
      // A conversation that ended before this run belongs to another one.
      return newest && newest.updatedAt >= Number(run.started_at) - CAPTURE_SLACK_MS ? newest.id : null;
    },
  });
  const tokens = new Tokens({ store, events, clock, redactor, home });
  const approvals = new Approvals({
    store,
    events,
    clock,
    config,
    redactor,
    ...(options.approvalHoldMs !== undefined && { holdMs: options.approvalHoldMs }),
  });
  const registry = new Registry(operations);
  const gate = new Gate({
    registry,
    services,
    store,
    audit,
    clock,
    log,
    checkReplies: options.checkReplies ?? env.ARGUS_CHECK_REPLIES === "1",
  });
  gate.approver = approvals;
  opened.defer(async () => {
    gate.stop();
    await audit.flush();
    // What is half made is undone while there still are hands to do it.
    await services.creation?.settled();
  });

  const listeners = new Listeners({ gate, registry, tokens, config, events, log, env, home, socket: paths.socket, now: () => clock.now() });
  const launcher = new Launcher({
    node,
    events,
    tasks,
    sessions,
    backends,
    projects,
    config,
    log,
    redactor,
    home,
    env,
    mcpUrl: () => listeners.addresses().mcp,
  });
  const naming = options.autoName === false ? null : new Naming(node, tasks, log);
  const creation = new Creation({ services: all, ports: new Ports(store, node), naming, clock, log, worktreeRoot: paths.worktrees });
  const clipboard = opened.use(new Clipboard(clock));
  const deliveries = new Deliveries({ node, sessions, events, clock, log });
  opened.defer(() => deliveries.stop());
  const disk = new DiskUse(node, tasks, clock, log);
  const pullRequests = await PullRequests.open({ store, events, clock, log, node, tasks, projects });
  Object.assign(services, {
    store,
    events,
    audit,
    config,
    node,
    projects,
    backends,
    tasks,
    sessions,
    launcher,
    rerender: new Rerender(launcher, log),
    deliveries,
    clipboard,
    creation,
    disk,
    destruction: new Destruction(all, log, paths.worktrees),
    dependencies: new Dependencies(all, log),
    tokens,
    approvals,
    decodeFiles,
    conversationsOf,
    userHome: env.HOME ?? os.homedir(),
    destroyed: (taskId: number) => {
      clipboard.clear(taskId);
      void approvals.cancelOf(taskId).catch((err) => log.warn({ err }, "approvals not cancelled"));
    },
    paths,
    addresses: () => listeners.addresses(),
    wantedPorts: () => listeners.wanted(),
    build: { version: VERSION, name: BUILD, root: ROOT, startedAt: Date.now() },
  } satisfies Services);

  sessions.onEnded((taskId, { pendingRestart }) => {
    if (!pendingRestart) clipboard.clear(taskId);
    void (async () => {
      if (!pendingRestart) await approvals.cancelOf(taskId);
      const row = await tasks.byId(String(taskId)).catch(() => null);
      if (row) await launcher.clean(taskId, row.run_count);
      await services.dependencies.release();
    })().catch((err) => log.warn({ err, task: taskId }, "follow-up of an ended run failed"));
  });
  opened.defer(() => naming?.stop());
  opened.use(disk.start());
  opened.use(pullRequests.start());
  sessions.onInterrupted((rows) => void resumeInterrupted(rows, services, log));
  await opened.use(listeners).start();
  await sessions.start();
  let reviving: Promise<void> | null = null;
  // Waited for: a supervisor that comes up after its daemon has gone would belong to nobody.
  opened.defer(() => reviving ?? undefined);
  opened.defer(
    systemClock.every(REVIVE_MS, () => {
      if (node.sessions.state === "connected" || reviving) return;
      reviving = ensureSupervisor(home, log).finally(() => {
        reviving = null;
      });
    }),
  );
  opened.defer(() => sessions.stop());
  opened.defer(
    clock.every(
      60_000,
      () =>
        void Promise.all([approvals.expire(), gate.forgetReplies(), rotateLogs(home)]).catch((err) =>
          log.warn({ err }, "housekeeping failed"),
        ),
    ),
  );
  void services.dependencies.release();
  log.info({ version: VERSION, home, ...listeners.addresses() }, "daemon is up");

  const keep = opened.move();
  return { gate, services, store, log, listeners, [Symbol.asyncDispose]: () => keep.disposeAsync() };
}

/** The supervisor keeps its log open for its whole life, and so may a service manager; the daemon's own rotates as it is written. */
async function rotateLogs(home: string): Promise<void> {
  for (const name of ["supervisor.log", "systemd.log", "launchd.log"]) rotateHeld(path.join(home, name));
}

/** Starts a supervisor unless one answers (SUPERVISOR-03). */
async function ensureSupervisor(home: string, log: Log): Promise<void> {
  const found = await startSupervisor({ home }).catch((err: unknown) => {
    log.error({ err }, "no supervisor could be started; running agents are unverifiable until one answers");
    return null;
  });
  if (found?.started) log.info({ pid: found.client.hello.pid }, "supervisor started");
  found?.client.close();
}

function makeFolders(home: string) {
  for (const folder of [home, path.join(home, "sessions"), path.join(home, "run"), path.join(home, "worktrees")]) {
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    fs.chmodSync(folder, 0o700);
  }
  return {
    home,
    worktrees: path.join(home, "worktrees"),
    socket: path.join(home, "daemon.sock"),
    supervisorSocket: path.join(home, "supervisor.sock"),
  };
}

/** SUPERVISOR-07: oldest first, two at a time; only what has a conversation to go on with. */
async function resumeInterrupted(rows: TaskRow[], { config, launcher, tasks }: Services, log: Log): Promise<void> {
  if (!config.bool("supervisor.resume_interrupted")) return;
  const queue = rows.filter((row) => row.session_id !== null && !row.archived);
  const again = async (row: TaskRow) => {
    // A harness that cannot continue would begin its whole work anew, and nobody asked for that.
    if ((await launcher.plan(row, row.session_id, null, "")).resumed)
      await launcher.start(await tasks.byId(String(row.id)), { resume: true });
  };
  const worker = async () => {
    for (let row = queue.shift(); row; row = queue.shift())
      await again(row).catch((err) => log.warn({ err, task: row?.id }, "an interrupted session could not be resumed"));
  };
  await Promise.all([worker(), worker()]);
}
