/** Gives each test a supervisor process and a home of its own, and leaves neither behind. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  connectSupervisor,
  type ExitRecord,
  type SessionInfo,
  type SpawnRequest,
  type SupervisorClient,
  supervisorPaths,
  type Watch,
  type WatchHandlers,
} from "../src/client.ts";
import { processFact } from "../src/processes.ts";

export const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
export const agents = fileURLToPath(new URL("../../../fixtures/agents/", import.meta.url));

/** Waits for a fact; the limit only turns a hang into a failure. */
export async function until<T>(what: string, look: () => T | Promise<T>, limitMs = 20_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<T>;
    if (performance.now() > deadline) assert.fail(`waited ${limitMs} ms for: ${what}`);
    await pause(10);
  }
}

export function alive(pid: number): boolean {
  const fact = processFact(pid);
  return fact !== null && !fact.zombie;
}

export function startMain(home: string): ChildProcess {
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, "--home", home], {
    stdio: ["ignore", "ignore", "inherit"],
    detached: true,
  });
}

/** A folder of its own, removed at the end. */
export function folder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "sv-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export interface Host extends AsyncDisposable {
  home: string;
  paths: ReturnType<typeof supervisorPaths>;
  client: SupervisorClient;
  process: ChildProcess;
  connect(options?: { timeoutMs?: number; version?: number }): Promise<SupervisorClient>;
  /** Starts a fixture agent, or any program given with a slash. */
  spawn(id: string, argv: string[], more?: Partial<SpawnRequest>): Promise<{ pid: number }>;
  /** The session, as soon as it satisfies `test`. */
  info(id: string, test?: (info: SessionInfo) => boolean): Promise<SessionInfo>;
  ended(id: string): Promise<ExitRecord>;
  /** Resolves when the output contains `text`. */
  said(id: string, text: string): Promise<string>;
}

export async function startHost(): Promise<Host> {
  const home = mkdtempSync(join(tmpdir(), "sv-"));
  const paths = supervisorPaths(home);
  const child = startMain(home);
  const connect = (options?: { timeoutMs?: number; version?: number }) => connectSupervisor(paths.socket, options);
  const client = await until("the supervisor answers", () => connect().catch(() => null));
  const clients = [client];
  const host: Host = {
    home,
    paths,
    client,
    process: child,
    async connect(options) {
      const more = await connect(options);
      clients.push(more);
      return more;
    },
    spawn(id, argv, more = {}) {
      const [program, ...rest] = argv as [string, ...string[]];
      const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", HOME: home, TERM: "xterm-256color" };
      const path = program.includes("/") ? program : join(agents, program);
      return host.client.spawn({
        id,
        argv: [path, ...rest],
        env,
        cwd: home,
        cols: 80,
        rows: 24,
        log: join(home, "sessions", `${id}.log`),
        offset: 0,
        logMaxBytes: 64 * 1024 * 1024,
        ...more,
      });
    },
    info: (id, test = () => true) =>
      until(`session ${id}`, async () => {
        const info = (await host.client.list()).find((session) => session.id === id);
        return info && test(info) ? info : null;
      }),
    ended: async (id) => (await host.info(id, (info) => info.exit !== null)).exit as ExitRecord,
    async said(id, text) {
      const seen = collect();
      const watch = await host.client.watch(id, seen.handlers, { scrollback: 500 });
      await until(`${id} says ${JSON.stringify(text)}; it said ${JSON.stringify(seen.text().slice(-300))}`, () =>
        seen.text().includes(text),
      );
      watch.close();
      return seen.text();
    },
    async [Symbol.asyncDispose]() {
      for (const each of [host.client, ...clients]) each.close();
      const pid = Number(readFileSync(paths.pid, "utf8").trim() || 0);
      const last = await connect().catch(() => null);
      if (last) {
        for (const { id, exit } of await last.list()) if (!exit) await last.signal(id, "SIGKILL", { killAfterMs: 0 }).catch(() => {});
        await last.shutdown().catch(() => {});
        await until("the supervisor ends", () => !alive(pid));
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
  return host;
}

/** Handlers that keep everything: pictures and bytes in their order, and bytes by offset. */
export function collect() {
  const parts: { offset: number; bytes: Buffer; picture: boolean }[] = [];
  const resizes: string[] = [];
  const state = { exit: null as ExitRecord | null, pictures: 0, head: -1, gaps: 0 };
  const handlers: WatchHandlers = {
    onSnapshot(snapshot) {
      state.pictures++;
      state.head = snapshot.offset;
      parts.push({ offset: snapshot.offset, bytes: snapshot.data, picture: true });
    },
    onOutput(offset, bytes) {
      if (state.head >= 0 && offset !== state.head) state.gaps++;
      state.head = offset + bytes.length;
      parts.push({ offset, bytes, picture: false });
    },
    onResize: (cols, rows) => void resizes.push(`${cols}x${rows}`),
    onExit(exit) {
      state.exit = exit;
    },
  };
  const bytes = () => Buffer.concat(parts.filter((part) => !part.picture).map((part) => part.bytes));
  return { handlers, parts, resizes, state, bytes, text: () => Buffer.concat(parts.map((part) => part.bytes)).toString() };
}

export type Collected = ReturnType<typeof collect>;
export type { Watch };
