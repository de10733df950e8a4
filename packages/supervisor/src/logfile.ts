/** Reads the log of a task by absolute offset; knows how the files are laid out, and nothing of how they are written. */

import { closeSync, fstatSync, openSync, read, readFileSync, readSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";

/*
 * A log is the file `<log>` (newest bytes), perhaps `<log>.old` (the segment before it) and `<log>.at` (JSON), which says for each
 * file, by inode number, the offset of its first byte: absolute offset = that base + position in the file. The inode makes a reader
 * safe against a rotation between two of its steps: a name may change its file, a file never changes its base.
 * A stretch that could not be written (disk full) is a hole and reads as zero bytes, which a terminal ignores.
 */

export interface LogIndex {
  segments: { inode: number; base: number }[];
}

export interface LogPart {
  bytes: Buffer;
  /** Offset of the first byte of `bytes`; above the one asked for when the older part is gone. */
  offset: number;
  /** Offset after the newest byte in the log. */
  total: number;
  /** Lowest offset that can be read. */
  oldest: number;
}

export const indexOf = (log: string): string => `${log}.at`;
export const olderOf = (log: string): string => `${log}.old`;

/** Tries before an unmatched set of files is taken as it is; a rotation takes well under one try. */
const ATTEMPTS = 20;

function baseOf(index: LogIndex, inode: number): number | null {
  return index.segments.find((segment) => segment.inode === inode)?.base ?? null;
}

/** The index, or an empty one: a log without index begins at offset 0. */
export function readIndex(log: string): LogIndex {
  try {
    const value = JSON.parse(readFileSync(indexOf(log), "utf8")) as LogIndex;
    if (Array.isArray(value.segments)) return value;
  } catch {
    // Missing or damaged: the file itself is then taken to begin at 0.
  }
  return { segments: [] };
}

/** Replaces the index in one step, so that a reader sees the old or the new one and never a half. */
export function writeIndex(log: string, index: LogIndex): void {
  const draft = `${indexOf(log)}.new`;
  writeFileSync(draft, JSON.stringify(index), { mode: 0o600 });
  renameSync(draft, indexOf(log));
}

/** Removes every file of a log. */
export function removeLog(log: string): void {
  for (const file of [log, olderOf(log), indexOf(log), `${indexOf(log)}.new`, `${log}.new`]) rmSync(file, { force: true });
}

interface OpenLog {
  /** Reads that answer the question, in order. */
  reads: { fd: number; length: number; position: number }[];
  part: Omit<LogPart, "bytes">;
  close(): void;
}

function tryOpen(path: string): number | null {
  try {
    return openSync(path, "r");
  } catch {
    return null;
  }
}

/** Opens the files of a log and works out what to read where. Looks again when a rotation came in between. */
function openLog(log: string, offset: number, max: number): OpenLog {
  for (let attempt = 0; ; attempt++) {
    const olderFd = tryOpen(olderOf(log));
    const newerFd = tryOpen(log);
    const close = () => {
      if (olderFd !== null) closeSync(olderFd);
      if (newerFd !== null) closeSync(newerFd);
    };
    const index = readIndex(log);
    const newer = newerFd === null ? null : fstatSync(newerFd);
    const older = olderFd === null ? null : fstatSync(olderFd);
    const base = newer && (baseOf(index, newer.ino) ?? (index.segments.length === 0 ? 0 : null));
    const olderBase = older && baseOf(index, older.ino);
    const joined = newer && older && base !== null && olderBase !== null && olderBase + older.size === base;
    if (attempt < ATTEMPTS && (older || index.segments.length) && (!newer || base === null || (older && !joined))) {
      close();
      continue;
    }
    if (newerFd === null || !newer) return { reads: [], part: { offset, total: 0, oldest: 0 }, close };
    const first = base ?? 0;
    const oldest = joined ? olderBase : first;
    const total = first + newer.size;
    const from = Math.min(Math.max(offset, oldest), total);
    const until = Math.min(total, from + Math.max(0, max));
    const reads: OpenLog["reads"] = [];
    if (joined && olderFd !== null && from < first) {
      reads.push({ fd: olderFd, length: Math.min(until, first) - from, position: from - olderBase });
    }
    if (until > first) {
      const start = Math.max(from, first);
      reads.push({ fd: newerFd, length: until - start, position: start - first });
    }
    return { reads, part: { offset: from, total, oldest }, close };
  }
}

const readAt = promisify(read);

/** Up to `max` bytes of the log from `offset` on. A log that does not exist is empty; a read past the end gives no bytes. */
export async function readLog(log: string, offset: number, max: number): Promise<LogPart> {
  const opened = openLog(log, offset, max);
  try {
    const parts: Buffer[] = [];
    for (const { fd, length, position } of opened.reads) {
      const buffer = Buffer.alloc(length);
      parts.push(buffer.subarray(0, (await readAt(fd, buffer, 0, length, position)).bytesRead));
    }
    return { bytes: Buffer.concat(parts), ...opened.part };
  } finally {
    opened.close();
  }
}

/** As `readLog`, but at once; for the model's thread, which has nothing else to do meanwhile. */
export function readLogSync(log: string, offset: number, max: number): LogPart {
  const opened = openLog(log, offset, max);
  try {
    const parts = opened.reads.map(({ fd, length, position }) => {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
    });
    return { bytes: Buffer.concat(parts), ...opened.part };
  } finally {
    opened.close();
  }
}
