/** A whole Argus for tests: real store, real supervisor process, real git, fixture agents, a clock that can be moved; and a check that nothing is left behind. */
import assert from "node:assert";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Task } from "@argus/protocol";
import { connectSupervisor } from "@argus/supervisor/client";
import { type Caller, SYSTEM } from "./kernel/caller.ts";
import { TestClock } from "./kernel/clock.ts";
import { type System, startSystem } from "./system.ts";

const FIXTURES = fileURLToPath(new URL("../../../fixtures/agents", import.meta.url));

export interface HostOptions {
  /** Goes on in this home folder instead of a new one; it is not removed. */
  home?: string;
  env?: Record<string, string>;
  /** Serve REST (on a port the system chooses). */
  rest?: boolean;
  approvalHoldMs?: number;
  /** Renames tasks in the background; off, so that a test sees the name it gave. */
  autoName?: boolean;
  database?: string;
}

export interface Host extends AsyncDisposable {
  home: string;
  repo: string;
  clock: TestClock;
  system: System;
  /** As the owner. */
  call<T = Record<string, unknown>>(name: string, input?: unknown, options?: { key?: string }): Promise<T>;
  as(caller: Caller): { call<T = Record<string, unknown>>(name: string, input?: unknown, options?: { key?: string }): Promise<T> };
  /** Master token. */
  token: string;
  url(): string;
  rest(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** Resolves with the task once the condition holds; looks at each event and each poll. */
  until(id: string, condition: (task: Task) => boolean, what?: string): Promise<Task>;
  /** Resolves when the condition holds, looking again every few milliseconds. */
  eventually<T>(look: () => Promise<T | false | null | undefined> | T | false | null | undefined, what: string): Promise<T>;
  /** Stops the daemon's part and starts it again; supervisor and agents go on. */
  restart(): Promise<void>;
}

const WAIT_LIMIT_MS = 20_000;

export const OWNER: Caller = { kind: "owner", id: "owner", tier: "admin", surface: "socket" };

/** The caller an agent is, by its task's token. */
export function agentOf(task: { id: string }): Caller {
  return { kind: "task", id: `task:${task.id}`, tier: "full", surface: "mcp", taskId: task.id };
}

export async function startHost(options: HostOptions = {}): Promise<Host> {
  const home = options.home ?? fs.mkdtempSync(path.join(os.tmpdir(), "argus-"));
  const userHome = path.join(home, "user");
  const repo = path.join(home, "repo");
  fs.mkdirSync(userHome, { recursive: true });
  if (!fs.existsSync(repo)) makeRepository(repo);
  const clock = new TestClock();
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: userHome,
    // What a test puts into `<home>/bin` is found before anything of this machine.
    PATH: `${path.join(home, "bin")}:${FIXTURES}:${process.env.PATH}`,
    ARGUS_HOME: home,
    ARGUS_MCP_PORT: "0",
    ...(options.rest && { ARGUS_API_PORT: "0" }),
    ...options.env,
  };
  const start = () =>
    startSystem({
      home,
      env,
      clock,
      checkReplies: true,
      autoName: options.autoName ?? false,
      ...(options.approvalHoldMs !== undefined && { approvalHoldMs: options.approvalHoldMs }),
      ...(options.database && { database: options.database }),
    });
  let system = await start();
  const caller = (who: Caller) => ({
    call: <T>(name: string, input: unknown = {}, more: { key?: string } = {}) =>
      system.gate.call(name, input, { caller: who, ...more }) as Promise<T>,
  });
  const host: Host = {
    home,
    repo,
    clock,
    get system() {
      return system;
    },
    call: (name, input, more) => caller(OWNER).call(name, input, more),
    as: caller,
    token: system.services.tokens.master,
    url: () => system.listeners.addresses().web ?? assert.fail("REST is not served: pass rest: true"),
    rest: (method, at, body, headers = {}) =>
      fetch(new URL(at, host.url()), {
        method,
        headers: {
          authorization: `Bearer ${host.token}`,
          ...(body !== undefined && !(body instanceof FormData) && !(body instanceof Uint8Array) && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && {
          body: body instanceof FormData || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
        }),
      }),
    until: (id, condition, what = "the task to change") =>
      host.eventually(async () => {
        await system.services.sessions.poll();
        const task = (await caller(SYSTEM).call("task.get", { id })) as Task;
        return condition(task) ? task : false;
      }, what),
    async eventually(look, what) {
      const deadline = Date.now() + WAIT_LIMIT_MS;
      for (;;) {
        const found = await look();
        if (found !== false && found !== null && found !== undefined) return found as never;
        if (Date.now() > deadline) assert.fail(`waited ${WAIT_LIMIT_MS / 1000} s for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async restart() {
      await system[Symbol.asyncDispose]();
      system = await start();
    },
    async [Symbol.asyncDispose]() {
      await system[Symbol.asyncDispose]();
      if (options.home) return; // whoever gave the folder ends what lives in it
      const pids = await endSupervisor(home);
      const left = pids.filter(isAlive);
      for (const pid of left) process.kill(pid, "SIGKILL");
      fs.rmSync(home, { recursive: true, force: true, maxRetries: 5 });
      assert.deepEqual(left, [], "processes were left behind");
    },
  };
  // Fixture agents as backends, so that tests name them and nothing else is needed on PATH.
  for (const file of fs.existsSync(FIXTURES) ? fs.readdirSync(FIXTURES) : []) {
    const name = `fixture-${path.parse(file).name}`;
    const known = system.services.backends.all().some((backend) => backend.name === name);
    if (!known) await system.services.backends.create({ name, command: path.join(FIXTURES, file), prompt_flag: "", model: "" });
  }
  if (!(await system.services.projects.all()).some((project) => project.name === "demo"))
    await system.services.projects.create("demo", {
      path: repo,
      branch: "",
      backend: "fixture-idle",
      sandbox: { enabled: null, deny_read: [], extra_write: [] },
    });
  return host;
}

/** Hangs up every session and waits for the supervisor to be gone. Returns the pids that must not live any more. */
export async function endSupervisor(home: string): Promise<number[]> {
  // Patient: on a busy machine an answer takes seconds, and giving up would leave the supervisor and its agents behind unseen.
  const client = await connectSupervisor(path.join(home, "supervisor.sock"), { timeoutMs: WAIT_LIMIT_MS }).catch(() => null);
  if (!client) return [];
  const sessions = await client.list();
  for (const session of sessions) if (!session.exit) await client.signal(session.id, "SIGKILL").catch(() => {});
  const pids = [client.hello.pid, ...sessions.map((session) => session.pid)];
  await client.shutdown().catch(() => {});
  await client.closed;
  const deadline = Date.now() + 5000;
  while (pids.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  return pids;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie whose parent has not waited yet is dead for our purpose.
    return process.platform !== "linux" || !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function makeRepository(folder: string): void {
  fs.mkdirSync(folder, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], { cwd: folder, stdio: "pipe" });
  fs.writeFileSync(path.join(folder, "README.md"), "# Demo\n");
  git("init", "-q", "-b", "main");
  git("add", "-A");
  git("commit", "-q", "-m", "Start");
}
