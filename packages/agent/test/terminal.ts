/** Starts the agent in a real terminal and waits for what it shows, never for a time. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as nextTick } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import pty from "@lydell/node-pty";

const MAIN = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const FLAGS = ["--disable-warning=ExperimentalWarning"];
const GIVE_UP_MS = 30_000; // far above what any step takes: reaching it is the failure, with the screen as its message

export interface Scratch extends Disposable {
  home: string;
  cwd: string;
}
export function scratch(): Scratch {
  const root = mkdtempSync(path.join(tmpdir(), "argus-agent-"));
  const cwd = mkdtempSync(path.join(root, "work-"));
  return { home: path.join(root, "home"), cwd, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

/** Resolves when a process has ended. One that nobody has reaped yet has: containers without an init keep those. */
export async function gone(pid: number): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  for (;;) {
    let state: string | undefined;
    try {
      process.kill(pid, 0);
      state = existsSync("/proc/self/stat") ? /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] : undefined;
    } catch {
      return;
    }
    if (state === "Z") return;
    if (Date.now() > deadline) throw new Error(`Process ${pid} is still running.`);
    await nextTick();
  }
}

export interface Terminal extends AsyncDisposable {
  pid: number;
  /** Everything printed so far, without escape sequences. */
  shown(): string;
  raw(): string;
  write(text: string): void;
  /** Resolves once `text` was printed after the last thing waited for. */
  until(text: string): Promise<void>;
  kill(signal: string): void;
  exited: Promise<{ exitCode: number; signal?: number | undefined }>;
}

/** Environment without any model the machine running the tests may have. */
export function cleanEnv(where: Scratch, extra: Record<string, string> = {}): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: where.home, TERM: "xterm-256color", ARGUS_AGENT_HOME: where.home, ...extra };
}

export function openAgent(where: Scratch, args: string[], extra: Record<string, string> = {}): Terminal {
  const child = pty.spawn(process.execPath, [...FLAGS, MAIN, ...args], {
    cols: 100,
    rows: 30,
    cwd: where.cwd,
    env: cleanEnv(where, extra),
    encoding: null,
  });
  const parts: Buffer[] = [];
  let read = 0;
  const listeners = new Set<() => void>();
  const raw = () => Buffer.concat(parts).toString("utf8");
  const shown = () => stripVTControlCharacters(raw());
  child.onData((data) => {
    parts.push(Buffer.from(data as unknown as Uint8Array));
    for (const listener of [...listeners]) listener();
  });
  let gone = false;
  const exited = new Promise<{ exitCode: number; signal?: number | undefined }>((resolve) => {
    child.onExit((event) => {
      gone = true;
      resolve(event);
      for (const listener of [...listeners]) listener();
    });
  });
  return {
    pid: child.pid,
    shown,
    raw,
    write: (text) => child.write(text),
    until(text) {
      return new Promise((resolve, reject) => {
        const fail = (why: string) => {
          done();
          reject(new Error(`${why} while waiting for ${JSON.stringify(text)}. The screen:\n${shown()}`));
        };
        const timer = setTimeout(() => fail("Gave up"), GIVE_UP_MS);
        const look = () => {
          const at = shown().indexOf(text, read);
          if (at >= 0) {
            read = at + text.length;
            done();
            resolve();
          } else if (gone) fail("The agent ended");
        };
        const done = () => {
          clearTimeout(timer);
          listeners.delete(look);
        };
        listeners.add(look);
        look();
      });
    },
    kill: (signal) => process.kill(child.pid, signal),
    exited,
    async [Symbol.asyncDispose]() {
      if (!gone) child.kill("SIGKILL");
      await exited;
    },
  };
}
