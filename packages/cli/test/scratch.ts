/** A home folder of its own with real processes in it, started through the launcher as a user starts them; nothing is left behind. */
import assert from "node:assert";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { SocketClient } from "@argus/client/socket";
import pty from "@lydell/node-pty";
import { endSupervisor, isAlive } from "../../daemon/src/host.ts";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const FIXTURES = path.join(ROOT, "fixtures", "agents");
const DAEMON = path.join(ROOT, "packages", "daemon", "src", "main.ts");
const WAIT_LIMIT_MS = 120_000; // far above what any step takes: reaching it is the failure

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

export interface Shown extends AsyncDisposable {
  text(): string;
  write(keys: string): void;
  until(words: string | RegExp): Promise<void>;
  exited: Promise<number>;
}

export class Scratch implements AsyncDisposable {
  readonly home: string;
  readonly env: Record<string, string>;
  #children: ChildProcess[] = [];

  constructor(more: Record<string, string> = {}) {
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), "argus-cli-"));
    const user = path.join(this.home, "user");
    fs.mkdirSync(user);
    this.env = {
      PATH: `${FIXTURES}:${process.env.PATH}`,
      HOME: user,
      TERM: "xterm-256color",
      LANG: "C.UTF-8",
      ARGUS_HOME: path.join(this.home, "h"),
      ARGUS_API_PORT: "0",
      ARGUS_MCP_PORT: "0",
      ...more,
    };
  }

  /** The home folder of this Argus. */
  get argus(): string {
    return this.env.ARGUS_HOME as string;
  }

  at(...names: string[]): string {
    return path.join(this.argus, ...names);
  }

  /** `./argus <args>`, not at a terminal. */
  run(args: string[], options: { env?: Record<string, string>; cwd?: string } = {}): Promise<Ran> {
    return this.program(path.join(ROOT, "argus"), args, options);
  }

  program(file: string, args: string[], options: { env?: Record<string, string>; cwd?: string } = {}): Promise<Ran> {
    const child = spawn(file, args, {
      env: { ...this.env, ...options.env },
      cwd: options.cwd ?? this.home,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve({ status: code ?? (signal ? 128 : 1), stdout, stderr }));
    });
  }

  /** As `run`, with exit status 0; answers what it printed. */
  async ok(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(args);
    assert.equal(status, 0, `argus ${args.join(" ")}: ${stderr || stdout}`);
    return stdout;
  }

  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, "--json")) as T;
  }

  /** `./argus <args>` at a terminal of its own. */
  terminal(args: string[], size: { cols?: number; rows?: number } = {}): Shown {
    const child = pty.spawn(path.join(ROOT, "argus"), args, {
      cols: size.cols ?? 100,
      rows: size.rows ?? 30,
      cwd: this.home,
      env: this.env,
    });
    let text = "";
    const wakes = new Set<() => void>();
    const wake = () => {
      for (const one of wakes) one();
    };
    child.onData((part) => {
      text += part;
      wake();
    });
    const exited = new Promise<number>((resolve) => child.onExit(({ exitCode }) => resolve(exitCode)));
    void exited.then(wake);
    return {
      text: () => text,
      write: (keys) => child.write(keys),
      exited,
      async until(words) {
        const deadline = AbortSignal.timeout(WAIT_LIMIT_MS);
        const has = () => (typeof words === "string" ? text.includes(words) : words.test(text));
        while (!has()) {
          if (deadline.aborted) assert.fail(`the terminal never showed ${words}; it showed ${text}`);
          await new Promise<void>((resolve) => {
            wakes.add(resolve);
            setTimeout(resolve, 100);
          });
        }
        text = typeof words === "string" ? text.slice(text.indexOf(words) + words.length) : text.replace(words, "");
      },
      async [Symbol.asyncDispose]() {
        try {
          child.kill("SIGKILL");
        } catch {}
        await exited;
      },
    };
  }

  /** A daemon as a child of this test, so that its exit can be seen. */
  daemon(env: Record<string, string> = {}): { child: ChildProcess; exited: Promise<{ code: number | null; signal: string | null }> } {
    return this.spawn(process.execPath, ["--disable-warning=ExperimentalWarning", DAEMON, "--home", this.argus], env);
  }

  spawn(
    file: string,
    args: string[],
    env: Record<string, string> = {},
  ): { child: ChildProcess; exited: Promise<{ code: number | null; signal: string | null }> } {
    const child = spawn(file, args, {
      env: { ...this.env, ...env },
      cwd: this.home,
      stdio: ["ignore", "ignore", "ignore"],
    });
    this.#children.push(child);
    return { child, exited: new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal }))) };
  }

  /** Resolves when a daemon answers: the one with this pid, when given. */
  answering(pid?: number): Promise<unknown> {
    return eventually(async () => {
      using client = await SocketClient.connect(this.at("daemon.sock")).catch(() => null);
      const info = client && (await client.call<{ pid: number }>("daemon.info").catch(() => null));
      return info !== null && (pid === undefined || info.pid === pid);
    }, "the daemon to answer");
  }

  /** The pid in the daemon's pid file. */
  pid(): number | null {
    const text = fs.existsSync(this.at("daemon.pid")) ? fs.readFileSync(this.at("daemon.pid"), "utf8").trim() : "";
    return text === "" ? null : Number(text);
  }

  repository(name = "repo"): string {
    const folder = path.join(this.home, name);
    fs.mkdirSync(folder);
    fs.writeFileSync(path.join(folder, "README.md"), "# Demo\n");
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@localhost", ...args], { cwd: folder, stdio: "pipe" });
    git("init", "-q", "-b", "main");
    git("add", "-A");
    git("commit", "-q", "-m", "Start");
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    const pids = new Set<number>();
    // A daemon that lost the race for the lock takes it when the winner is killed here: again, until none is left.
    await eventually(() => {
      const daemons = ofHome(this.argus).filter(({ command }) => command.includes("daemon"));
      for (const { pid } of daemons) {
        pids.add(pid);
        process.kill(pid, "SIGKILL");
      }
      return daemons.length === 0;
    }, "the daemons to end");
    for (const pid of await endSupervisor(this.argus)) pids.add(pid);
    await eventually(() => ![...pids].some(isAlive) && ofHome(this.argus).length === 0, `no process of ${this.argus} to be left`);
    fs.rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Living processes whose command line names this home. */
function ofHome(home: string): { pid: number; command: string }[] {
  return execFileSync("ps", ["-ww", "-eo", "pid=,stat=,args="], { encoding: "utf8" })
    .split("\n")
    .map((line) => /^\s*(\d+)\s+(\S+)\s+(.*)$/.exec(line))
    .filter((found) => found?.[3]?.split(" ").includes(home) && !found[2]?.startsWith("Z"))
    .map((found) => ({ pid: Number(found?.[1]), command: found?.[3] as string }));
}

/** Resolves with what `look` finds; looks again every few milliseconds. */
export async function eventually<T>(
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  what: string,
): Promise<T> {
  const deadline = Date.now() + WAIT_LIMIT_MS;
  for (;;) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found as T;
    if (Date.now() > deadline) assert.fail(`waited ${WAIT_LIMIT_MS / 1000} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A loopback port nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
