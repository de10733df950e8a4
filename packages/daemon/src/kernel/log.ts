/** The daemon's log: JSON lines in a file that rotates, with every known secret blanked. */
import fs from "node:fs";
import pino from "pino";

export type Log = pino.Logger;

const ROTATE_BYTES = 10 * 1024 * 1024; // LIFECYCLE-24
const KEEP = 3;

/** Appends to `path`; at 10 MiB shifts it to `.1`, `.2`, `.3` and starts afresh. A full disk loses log lines, never the process. */
class RotatingFile {
  #fd: number;
  #size: number;
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    this.#fd = fs.openSync(path, "a", 0o600);
    this.#size = fs.fstatSync(this.#fd).size;
  }

  write(line: string): void {
    // The number of a closed file may be somebody else's by now: a late line once went to the supervisor and cost the connection.
    if (this.#fd < 0) return;
    try {
      if (this.#size > ROTATE_BYTES) this.#rotate();
      this.#size += fs.writeSync(this.#fd, line);
    } catch {
      // Nowhere left to say it.
    }
  }

  #rotate(): void {
    fs.closeSync(this.#fd);
    shift(this.path);
    fs.renameSync(this.path, `${this.path}.1`);
    this.#fd = fs.openSync(this.path, "a", 0o600);
    this.#size = 0;
  }

  close(): void {
    fs.closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** `.1` to `.2`, `.2` to `.3`; the place of `.1` is free afterwards. */
function shift(path: string): void {
  for (let n = KEEP - 1; n >= 1; n--) if (fs.existsSync(`${path}.${n}`)) fs.renameSync(`${path}.${n}`, `${path}.${n + 1}`);
}

/** Rotates a log that another process holds open for appending: its content is copied away and the file emptied, so that the writer goes on in it. */
export function rotateHeld(path: string): void {
  if ((fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= ROTATE_BYTES) return;
  shift(path);
  fs.copyFileSync(path, `${path}.1`);
  fs.chmodSync(`${path}.1`, 0o600);
  fs.truncateSync(path);
}

export interface LogFile {
  log: Log;
  close(): void;
}

/** `secrets` is asked at each line, so that a token minted later is blanked too. */
export function openLog(path: string, redact: (line: string) => string): LogFile {
  const file = new RotatingFile(path);
  const log = pino(
    { level: process.env.ARGUS_LOG_LEVEL ?? "info", base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: (line: string) => file.write(redact(line)) },
  );
  return { log, close: () => file.close() };
}
