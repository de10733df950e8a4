/** Makes sure that one process at a time owns a home folder, also after kill -9, by a kernel lock on a file that is never removed. */

import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { setInherited, tryLock } from "./libc.ts";

export interface Lock {
  readonly path: string;
  /** The descriptor that holds the lock; passed on when a program replaces its own image. */
  readonly fd: number;
  /** Gives the lock back. The file stays: removing it would let two processes each hold "the" lock. */
  release(): void;
}

/** Time between two tries; the wait is short and rare, so a busy poll of 25 ms costs nothing. */
const RETRY_MS = 25;

/** Takes the lock at `path`, trying for `waitMs` (default 2,000). Returns null when another process holds it. */
export async function holdLock(path: string, options: { waitMs?: number } = {}): Promise<Lock | null> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
  const deadline = performance.now() + (options.waitMs ?? 2_000);
  while (!tryLock(fd)) {
    if (performance.now() >= deadline) {
      closeSync(fd);
      return null;
    }
    await pause(RETRY_MS);
  }
  if (!isStill(path, fd)) {
    closeSync(fd);
    return null;
  }
  return lockOf(path, fd);
}

/** False when the whole home folder was removed while we waited: a process that went on would serve nobody, for ever. */
function isStill(path: string, fd: number): boolean {
  try {
    return statSync(path).ino === fstatSync(fd).ino;
  } catch {
    return false;
  }
}

/** Wraps a descriptor that already holds the lock (taken over from the previous program image). */
export function lockOf(path: string, fd: number): Lock {
  setInherited(fd, false);
  let held = true;
  return {
    path,
    fd,
    release() {
      if (held) closeSync(fd);
      held = false;
    },
  };
}
