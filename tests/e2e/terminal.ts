/** A terminal for agent CLIs: it answers what they ask of a terminal, and tests wait for what its screen shows. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay, setImmediate as nextTick } from "node:timers/promises";
import pty from "@lydell/node-pty";
import xterm from "@xterm/headless";

const COLUMNS = 120;
const ROWS = 40;
const GIVE_UP_MS = 60_000; // a cold start of a 250 MB program on a shared machine takes a tenth of it
export const QUIET_MS = 3_000; // SESSION-18: this long without output is raw-idle

export interface Launch {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
}
export interface AgentTerminal extends AsyncDisposable {
  pid: number;
  /** Screen and scrollback as text. */
  screen(): string;
  write(text: string): void;
  /** Types a text, waits until it stands in the prompt line, then sends the carriage return on its own: together they count as a paste. */
  say(text: string): Promise<void>;
  /** Resolves once the screen shows `text` at least `times` times. */
  until(text: string, times?: number): Promise<void>;
  /** Resolves when the program has printed something, and then nothing for QUIET_MS. */
  quiet(): Promise<void>;
  /** Resolves with the exit record; rejects with the screen when the program goes on for too long. */
  ended(): Promise<ExitRecord>;
}
export interface ExitRecord {
  exitCode: number;
  signal?: number | undefined;
}

export function openTerminal({ argv, env, cwd }: Launch): AgentTerminal {
  const [program, ...rest] = argv as [string, ...string[]];
  const child = pty.spawn(program, rest, { cwd, env, cols: COLUMNS, rows: ROWS, encoding: null });
  const emulator = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, scrollback: 2_000, allowProposedApi: true });
  emulator.onData((answer) => child.write(answer));
  const listeners = new Set<() => void>();
  let lastOutput = Number.POSITIVE_INFINITY; // a program that has said nothing yet is starting, not quiet
  let gone = false;
  const tell = () => {
    for (const listener of [...listeners]) listener();
  };
  child.onData((data) => {
    lastOutput = Date.now();
    emulator.write(data as unknown as Uint8Array, tell);
  });
  const exited = new Promise<ExitRecord>((resolve) => {
    child.onExit((event) => {
      gone = true;
      resolve(event);
      emulator.write("", tell);
    });
  });
  const screen = () => {
    const { active } = emulator.buffer;
    return Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? "").join("\n");
  };
  const until = (text: string, times = 1): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (screen().split(text).length > times) return done();
        if (gone) done(new Error(`The program ended while waiting for ${JSON.stringify(text)}. The screen:\n${screen()}`));
      };
      const done = (error?: Error) => {
        clearTimeout(limit);
        listeners.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const limit = setTimeout(() => done(new Error(`Gave up waiting for ${JSON.stringify(text)}. The screen:\n${screen()}`)), GIVE_UP_MS);
      listeners.add(look);
      look();
    });
  return {
    pid: child.pid,
    screen,
    until,
    write: (text) => {
      if (!gone) child.write(text);
    },
    async say(text) {
      const before = screen().split(text).length - 1;
      child.write(text);
      await until(text, before + 1);
      child.write("\r");
    },
    quiet: () =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (gone) return reject(new Error(`The program ended instead of waiting. The screen:\n${screen()}`));
          const left = lastOutput + QUIET_MS - Date.now();
          if (left <= 0) resolve();
          else setTimeout(look, Math.min(left, QUIET_MS));
        };
        look();
      }),
    async ended() {
      const limit = new AbortController();
      const late = delay(GIVE_UP_MS, undefined, { signal: limit.signal }).then(() => {
        throw new Error(`The program did not end. The screen:\n${screen()}`);
      });
      try {
        return await Promise.race([exited, late]);
      } finally {
        limit.abort();
        late.catch(() => {});
      }
    },
    async [Symbol.asyncDispose]() {
      if (!gone) {
        try {
          process.kill(-child.pid, "SIGKILL");
        } catch {
          // gone between the question and the signal
        }
      }
      await exited;
      emulator.dispose();
    },
  };
}

/** Processes that carry `NAME=value` in their environment, whoever their parent is by now. Linux only. */
export function processesMarked(mark: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!pid || pid === process.pid) return false;
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark);
      } catch {
        return false; // ended, or not ours
      }
    });
}

/** Resolves when no process carries the mark any more; rejects with those that stay. */
export async function allGone(mark: string): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  for (;;) {
    const left = processesMarked(mark);
    if (left.length === 0) return;
    if (Date.now() > deadline) throw new Error(`Still running with ${mark}: ${left.join(", ")}.`);
    await nextTick();
  }
}
