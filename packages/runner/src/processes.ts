/** Runs short auxiliary programs (git, gh, set-up commands) so that none of them can outlive its limit or fill our memory. */
import { spawn } from "node:child_process";
import { access, constants, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { loadOf } from "./load.ts";
import type { Processes, RunResult } from "./node.ts";

/** 4 MiB per stream: more than a person reads, little enough for many at once. */
export const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;
/** git removes its lock files and half-made worktrees on SIGTERM within milliseconds; whoever needs longer is killed. */
const KILL_GRACE_MS = 1_000;
/** What is still in the pipes after the program ended arrives at once; a helper that left the group must not hold the caller longer. */
const DRAIN_MS = 2_000;

export interface RunOptions {
  cwd: string;
  /** Instead of this process's own environment. */
  own?: NodeJS.ProcessEnv;
  /** Added to this process's environment (see `childEnvironment`). */
  env?: Record<string, string>;
  input?: string | Uint8Array;
  timeoutMs: number;
  /** Per stream; what comes after is read and dropped. */
  maxBytes?: number;
  signal?: AbortSignal;
  /** Ends the program as soon as stdout is full, for output that is only shown in part. */
  stopWhenFull?: boolean;
}

/** What a child must not inherit: another repository's location (as a hook or an alias would set it), the settings of our own start, and our tokens. */
const DROPPED =
  /^(?:GIT_(?:DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE|QUARANTINE_PATH|CONFIG|CONFIG_PARAMETERS|IMPLICIT_WORK_TREE|GRAFT_FILE|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|SHALLOW_FILE|EXTERNAL_DIFF|LITERAL_PATHSPECS|GLOB_PATHSPECS|NOGLOB_PATHSPECS|ICASE_PATHSPECS)|PORT|NODE_ENV|NODE_OPTIONS|NODE_COMPILE_CACHE|npm_.*|ARGUS_.*)$/;

/** This process's environment without what would mislead a child, plus `extra`. */
export function childEnvironment(extra: Record<string, string> = {}, own: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) if (value !== undefined && !DROPPED.test(name)) env[name] = value;
  return { ...env, ...extra };
}

/** A RunResult with the bytes of stdout, and whether something was cut off. */
export interface RawResult extends Omit<RunResult, "stdout" | "truncated"> {
  stdout: Buffer;
  truncated: boolean;
}

class Collected {
  readonly #chunks: Buffer[] = [];
  readonly #max: number;
  #size = 0;
  full = false;

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns true when this chunk filled the buffer. */
  add(chunk: Buffer): boolean {
    if (this.full) return false;
    const room = this.#max - this.#size;
    this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.#size += Math.min(chunk.length, room);
    this.full = chunk.length > room;
    return this.full;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/**
 * Runs `argv` without a shell as leader of its own process group. At the time limit and on abort the whole group gets SIGTERM and, a second later,
 * SIGKILL; the promise settles only after the program is gone, so a caller may clean up behind it.
 * Rejects with the signal's reason after an abort, and with NOT_FOUND when there is no such program or folder. An exit status is a result, not an error.
 */
export function runRaw(argv: string[], options: RunOptions): Promise<RawResult> {
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted) return reject(options.signal.reason);
    const [program = "", ...args] = argv;
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: childEnvironment(options.env, options.own),
      detached: true,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    const stdout = new Collected(options.maxBytes ?? DEFAULT_MAX_BYTES);
    const stderr = new Collected(options.maxBytes ?? DEFAULT_MAX_BYTES);
    const timers: NodeJS.Timeout[] = [];
    let timedOut = false;
    let status: { code: number | null; signal: string | null } = { code: null, signal: null };

    const signalGroup = (name: NodeJS.Signals) => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // The group is empty already.
      }
    };
    const dropPipes = () => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    const end = () => {
      signalGroup("SIGTERM");
      timers.push(
        setTimeout(() => {
          signalGroup("SIGKILL");
          dropPipes();
        }, KILL_GRACE_MS),
      );
    };
    const onAbort = () => end();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    timers.push(
      setTimeout(() => {
        timedOut = true;
        end();
      }, options.timeoutMs),
    );

    child.stdout?.on("data", (chunk: Buffer) => {
      if (stdout.add(chunk) && options.stopWhenFull) end();
    });
    child.stderr?.on("data", (chunk: Buffer) => stderr.add(chunk));
    // A program may end without reading its input.
    child.stdin?.on("error", () => {});
    if (options.input !== undefined) child.stdin?.end(options.input);

    const finish = () => {
      for (const timer of timers) clearTimeout(timer);
      options.signal?.removeEventListener("abort", onAbort);
    };
    child.on("error", (cause: NodeJS.ErrnoException) => {
      finish();
      if (cause.code === "ENOENT" || cause.code === "ENOTDIR")
        reject(
          new ArgusError(
            "NOT_FOUND",
            `Cannot run ${program}: no such program on PATH, or no folder ${options.cwd}. Install the one or create the other.`,
          ),
        );
      else
        reject(
          new ArgusError("UNAVAILABLE", `Cannot run ${program} (${cause.code ?? cause.message}). Try again when the machine is less busy.`),
        );
    });
    child.on("exit", (code, signal) => {
      status = { code, signal };
      timers.push(setTimeout(dropPipes, DRAIN_MS));
    });
    child.on("close", () => {
      // Whoever was ended early may have left helpers in its group.
      if (timedOut || options.signal?.aborted) signalGroup("SIGKILL");
      finish();
      if (options.signal?.aborted) return reject(options.signal.reason);
      resolve({
        ...status,
        stdout: stdout.bytes(),
        stderr: stderr.bytes().toString("utf8"),
        timedOut,
        truncated: stdout.full || stderr.full,
      });
    });
  });
}

export async function run(argv: string[], options: RunOptions): Promise<RunResult> {
  const result = await runRaw(argv, options);
  return { ...result, stdout: result.stdout.toString("utf8") };
}

/** Absolute path of an executable regular file on PATH, or null. */
export async function which(program: string, path: string = process.env.PATH ?? ""): Promise<string | null> {
  const candidates = isAbsolute(program)
    ? [program]
    : program.includes("/")
      ? []
      : path
          .split(delimiter)
          .filter(isAbsolute)
          .map((folder) => join(folder, program));
  for (const candidate of candidates) {
    try {
      await access(candidate, constants.X_OK);
      if ((await stat(candidate)).isFile()) return candidate;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

/** Programs are found and run with the given environment. */
export function processesIn(own: NodeJS.ProcessEnv): Processes {
  return {
    async run(argv, { cwd, ...options }) {
      if (cwd !== undefined) return run(argv, { ...options, cwd, own });
      const folder = await mkdtemp(join(tmpdir(), "argus-run-"));
      try {
        return await run(argv, { ...options, cwd: folder, own });
      } finally {
        await rm(folder, { recursive: true, force: true, maxRetries: 3 });
      }
    },
    which: (program) => which(program, own.PATH),
    load: loadOf,
  };
}
