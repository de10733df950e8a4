/** The one way git is started: argv only, no prompts, no foreign repository from the environment, English messages, bounded time and output. */
import { ArgusError } from "@argus/protocol";
import type { RunResult } from "./node.ts";
import { type RawResult, run, runRaw } from "./processes.ts";

/** Reads answer within this even on a cold disk; whatever takes longer is stuck. */
const READ_TIMEOUT_MS = 60_000;
/** A checkout of a very large repository takes minutes. */
const WRITE_TIMEOUT_MS = 15 * 60_000;
/** Another git holds a lock for milliseconds: 20 tries of 50 ms outlast every ordinary one. */
const LOCK_TRIES = 20;
const LOCK_WAIT_MS = 50;

export interface GitOptions {
  env?: Record<string, string>;
  input?: string | Uint8Array;
  timeoutMs?: number;
  maxBytes?: number;
  signal?: AbortSignal;
  stopWhenFull?: boolean;
}

const ENVIRONMENT = { GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" };
// Automatic maintenance would go on in the background after the command, holding locks.
const COMMON = ["-c", "core.quotepath=off", "-c", "gc.auto=0", "-c", "maintenance.auto=false"];
// A repository's own configuration may name programs; looking at a repository must run none of them.
const READ = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "color.ui=false"];

function readOptions(cwd: string, options: GitOptions) {
  return { cwd, timeoutMs: READ_TIMEOUT_MS, ...options, env: { ...ENVIRONMENT, GIT_OPTIONAL_LOCKS: "0", ...options.env } };
}

/** Runs a reading git command; the exit status is in the result. */
export function gitRead(cwd: string, args: string[], options: GitOptions = {}): Promise<RunResult> {
  return run(["git", ...COMMON, ...READ, ...args], readOptions(cwd, options));
}

/** The same with the bytes of stdout. */
export function gitReadBytes(cwd: string, args: string[], options: GitOptions = {}): Promise<RawResult> {
  return runRaw(["git", ...COMMON, ...READ, ...args], readOptions(cwd, options));
}

/** Runs a changing git command, again when somebody else's lock was in the way; the exit status is in the result. */
export async function gitWrite(cwd: string, args: string[], options: GitOptions = {}): Promise<RunResult> {
  for (let attempt = 1; ; attempt++) {
    const result = await run(["git", ...COMMON, ...args], {
      cwd,
      timeoutMs: WRITE_TIMEOUT_MS,
      ...options,
      env: { ...ENVIRONMENT, ...options.env },
    });
    const locked = result.code !== 0 && !result.timedOut && /\.lock': File exists|could not lock|cannot lock ref/i.test(result.stderr);
    if (!locked || attempt === LOCK_TRIES) return result;
    await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
  }
}

/** What a person is told of a failed git command: its `fatal:` lines, else the last lines of stderr. */
export function fatalLines(result: RunResult): string {
  const lines = result.stderr.split("\n").filter((line) => line.trim() !== "");
  const fatal = lines.filter((line) => line.startsWith("fatal:"));
  if (fatal.length > 0) return fatal.join("\n");
  if (result.timedOut) return "git took too long";
  return lines.slice(-5).join("\n") || `git ended with status ${result.code ?? result.signal}`;
}

/** Stdout of a reading command without the line end. Throws CONFLICT with git's words when it fails. */
export async function gitText(cwd: string, args: string[], options: GitOptions = {}): Promise<string> {
  const result = await gitRead(cwd, args, options);
  if (result.code !== 0) throw new ArgusError("CONFLICT", `git ${args[0]} failed in ${cwd}: ${fatalLines(result)}`);
  return result.stdout.replace(/\n$/, "");
}

/** Stdout of a changing command without the line end. Throws CONFLICT with git's words when it fails. */
export async function gitChange(cwd: string, args: string[], options: GitOptions = {}): Promise<string> {
  const result = await gitWrite(cwd, args, options);
  if (result.code !== 0) throw new ArgusError("CONFLICT", `git ${args[0]} failed in ${cwd}: ${fatalLines(result)}`);
  return result.stdout.replace(/\n$/, "");
}

/** The commit a name stands for, or null. A name that begins with a dash is never an option. */
export async function commitOf(cwd: string, name: string): Promise<string | null> {
  if (name === "" || name.includes("\0") || name.includes("\n")) return null;
  const result = await gitRead(cwd, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${name}^{commit}`]);
  return result.code === 0 ? result.stdout.trim() : null;
}

/** Names tried for a branch that may live only on a remote, in this order. */
export function spellings(name: string): string[] {
  return name === "HEAD" || /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(name) ? [name] : [name, `upstream/${name}`, `origin/${name}`];
}
