/** Replaces the supervisor's program by a newer one in the same process: pid, agents and terminals stay, everything else travels in one file. */

import { execFile } from "node:child_process";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { SupervisorError } from "./errors.ts";
import { setInherited } from "./libc.ts";
import type { Lock } from "./lock.ts";
import type { SupervisorPaths } from "./paths.ts";
import type { Supervisor } from "./server.ts";
import type { SessionState } from "./session.ts";

/** Set in the environment of the next image only; an agent never sees it, because its environment comes whole with SPAWN. */
export const HANDOVER_VARIABLE = "ARGUS_SUPERVISOR_HANDOVER";

export interface Handover {
  lockFd: number;
  startedAt: number;
  sessions: SessionState[];
}

export interface HandoverOptions {
  supervisor: Supervisor;
  paths: SupervisorPaths;
  lock: Lock;
  startedAt: number;
  /** The program to become: node and its arguments. */
  command: string[];
}

/** A model that has not caught up after this long belongs to a flood; the handover is refused rather than the agents held up longer. */
const SETTLE_MS = 20_000;

/** Loading the next image on a busy machine takes about 0.3 s. */
const PROBE_MS = 10_000;

/**
 * Does not return when it succeeds: connections close with the old image, and clients come back with `since`.
 * When it throws, this image runs on as before and no connection was touched.
 */
export async function handOver(options: HandoverOptions): Promise<never> {
  const { supervisor, paths, lock } = options;
  if (process.execve === undefined)
    throw new SupervisorError("UNAVAILABLE", "This runtime cannot replace its program image; stop and start the supervisor instead.");
  const missing = options.command.filter((word) => word.startsWith("/") && !existsSync(word));
  if (missing.length)
    throw new SupervisorError("UNAVAILABLE", `The next program lacks ${missing.join(", ")}; the supervisor runs on unchanged.`);
  await probe(options.command);
  const sessions = [...supervisor.sessions.values()];
  const kept: number[] = [];
  supervisor.frozen = true;
  try {
    await supervisor.sweeper.saved();
    const frozen = await within(SETTLE_MS, Promise.all(sessions.map((session) => session.freeze())));
    write(
      paths.handover,
      { lockFd: lock.fd, startedAt: options.startedAt, sessions: frozen.map(({ state }) => state) },
      frozen.flatMap(({ ring, redraw }) => [ring, redraw]),
    );
    for (const { state } of frozen) if (!state.exit) kept.push(state.fd);
    kept.push(lock.fd);
    for (const fd of kept) setInherited(fd, true);
    process.execve(options.command[0] as string, options.command, { ...environment(), [HANDOVER_VARIABLE]: paths.handover });
  } catch (error) {
    for (const fd of kept) setInherited(fd, false);
    supervisor.frozen = false;
    for (const session of sessions) session.thaw();
    try {
      rmSync(paths.handover, { force: true });
    } catch {
      // What cannot be removed is why it failed; the error thrown says so.
    }
    throw error instanceof SupervisorError
      ? error
      : new SupervisorError("UNAVAILABLE", `The handover failed and the supervisor runs on: ${(error as Error).message}`);
  }
  throw new SupervisorError("INTERNAL", "The program image was not replaced.");
}

/** Loads the next image in a process of its own: if that fails, so would the replacement, and with it every agent. */
function probe(command: string[]): Promise<void> {
  const file = command[0] as string;
  const args = [...command.slice(1), "--probe"];
  return new Promise((resolve, reject) => {
    execFile(file, args, { timeout: PROBE_MS }, (error, _, complaint) => {
      if (!error) resolve();
      else
        reject(
          new SupervisorError(
            "UNAVAILABLE",
            `The next program does not load, and the supervisor runs on unchanged: ${complaint.trim().slice(-500) || error.message}`,
          ),
        );
    });
  });
}

function environment(): Record<string, string> {
  return Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new SupervisorError("BUSY", `The terminal models did not settle within ${ms / 1000} s; try again when the agents write less.`),
        ),
      ms,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** One line of JSON, then the ring and the redraw of each session as raw bytes. */
function write(path: string, handover: Handover, parts: Buffer[]): void {
  rmSync(path, { force: true });
  const fd = openSync(path, "wx", 0o600);
  try {
    for (const part of [Buffer.from(`${JSON.stringify(handover)}\n`), ...parts]) {
      for (let done = 0; done < part.length; ) done += writeSync(fd, part, done);
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What the previous image left, or null. The file is removed: it is for one reader. */
export function takeHandover(): { handover: Handover; parts: { ring: Buffer; redraw: Buffer }[] } | null {
  const path = process.env[HANDOVER_VARIABLE];
  if (!path) return null;
  delete process.env[HANDOVER_VARIABLE];
  const all = readFileSync(path);
  rmSync(path, { force: true });
  const end = all.indexOf(10);
  const handover = JSON.parse(all.toString("utf8", 0, end)) as Handover;
  let at = end + 1;
  const take = (bytes: number) => {
    // A copy: a slice would keep the whole file in memory.
    const part = Buffer.from(all.subarray(at, at + bytes));
    at += bytes;
    return part;
  };
  const parts = handover.sessions.map((state) => ({ ring: take(state.bytes), redraw: take(state.modelBytes) }));
  return { handover, parts };
}
