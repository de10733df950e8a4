/** Starts a supervisor that outlives the caller, unless one answers already. */

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { homedir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { connectSupervisor } from "./connect.ts";
import type { SupervisorClient } from "./contract.ts";
import { SupervisorError } from "./errors.ts";
import { checkSocketPath, supervisorPaths } from "./paths.ts";

export interface StartOptions {
  /** Folder of socket, lock, pid file and log, such as `~/.argus`. Made with mode 0700 when missing. */
  home: string;
  /** How long to wait for an answer after the start; default 3,000, and up to 10,000 while the process is still coming up. */
  waitMs?: number;
  /** Working directory of the process; default the user's home directory, because a folder that is deleted later must not be pinned. */
  cwd?: string;
}

const POLL_MS = 50;

/** Longest wait for a process that runs and does not answer yet. */
const BUSY_MS = 10_000;

/** All the supervisor needs itself; an agent's environment comes whole with SPAWN, so no secret of the caller has to live in this process. */
const PASSED_ON = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "TMPDIR",
  "XDG_RUNTIME_DIR",
  "NODE_COMPILE_CACHE",
];

/** A connection to the running supervisor of this home, started first when nobody answers. Throws UNAVAILABLE after `waitMs`. */
export async function startSupervisor(options: StartOptions): Promise<{ client: SupervisorClient; started: boolean }> {
  const paths = supervisorPaths(options.home);
  checkSocketPath(paths.socket);
  const running = await connectSupervisor(paths.socket, { timeoutMs: 1_000 }).catch(() => null);
  if (running) return { client: running, started: false };

  mkdirSync(options.home, { recursive: true, mode: 0o700 });
  const log = openSync(paths.log, "a", 0o600);
  const main = fileURLToPath(new URL("./main.ts", import.meta.url));
  const env = Object.fromEntries(PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", main, "--home", options.home], {
    detached: true,
    cwd: options.cwd ?? homedir(),
    env,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let failure: string | null = null;
  child.once("error", (error) => {
    failure = error.message;
  });
  child.once("exit", (code) => {
    // 0 means that another start won the lock; that one will answer.
    if (code !== 0) failure = `it ended with status ${code}`;
  });
  child.unref();
  const waitMs = options.waitMs ?? 3_000;
  const began = performance.now();
  // A process that is still coming up is not given up on: under load loading the program alone can take longer.
  const over = () =>
    performance.now() - began > (child.exitCode === null && child.signalCode === null ? Math.max(waitMs, BUSY_MS) : waitMs);
  for (;;) {
    const client = await connectSupervisor(paths.socket, { timeoutMs: 1_000 }).catch(() => null);
    if (client) return { client, started: true };
    if (failure || over()) {
      throw new SupervisorError(
        "UNAVAILABLE",
        `The session supervisor did not start (${failure ?? `no answer within ${waitMs} ms`}). Its log is ${paths.log}.`,
      );
    }
    await pause(POLL_MS);
  }
}
