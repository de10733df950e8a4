/** Owns one pseudo-terminal and the process in it: reads all it says, writes all it is told, and tells exactly how it ended. */

import { accessSync, closeSync, constants, openSync, statSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { constants as system } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { ReadStream } from "node:tty";
import { SupervisorError } from "./errors.ts";
import { childStatus, setInherited } from "./libc.ts";

/** The library's native part. Its JavaScript part is left out: it adds to the environment, and drops output 200 ms after an exit. */
interface Native {
  fork(
    file: string,
    args: string[],
    env: string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helper: string,
    onExit: (code: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string };
  resize(fd: number, cols: number, rows: number, pixelWidth: number, pixelHeight: number): void;
}

const require = createRequire(import.meta.url);
const { native } = require("@lydell/node-pty") as { native: Native };

export interface PtyStart {
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  cols: number;
  rows: number;
}

export interface PtyEvents {
  /** The bytes belong to the receiver. */
  onData(bytes: Buffer): void;
  /** All that was ever written has been read. */
  onDrained(): void;
  onExit(code: number | null, signal: string | null): void;
}

/** A small first buffer keeps an idle session cheap; a flooding one gets buffers that hold many reads. */
const FIRST_BUFFER_BYTES = 8 * 1024;
const BUFFER_BYTES = 128 * 1024;

/** The kernel hands out at most 4 KiB per read; a remainder below that is not worth a read. */
const READ_BYTES = 4 * 1024;

/** A program that does not read its input is asked again this often; it has 4 KiB of it in the kernel to work on. */
const WRITE_RETRY_MS = 4;

/** And this often at last, so that a program that never reads costs nothing. */
const WRITE_RETRY_LIMIT_MS = 64;

/** Keys and pastes kept for a program that does not read. More is refused, because it would be our memory. */
const INPUT_LIMIT_BYTES = 8 * 1024 * 1024;

const signalNames = new Map(Object.entries(system.signals).map(([name, number]) => [number as number, name]));

export class Pty {
  readonly pid: number;
  /** The master side. */
  readonly fd: number;
  /** Such as `/dev/pts/3`. */
  readonly name: string;
  #events: PtyEvents;
  #stream: ReadStream;
  /** Our own descriptor of the slave side: while it is open a program may close its terminal without the master seeing an end. */
  #slave: number | null = null;
  #input: Buffer[] = [];
  #inputBytes = 0;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = WRITE_RETRY_MS;
  #buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES);
  #used = 0;
  #ended = false;

  constructor(master: { pid: number; fd: number; name: string }, events: PtyEvents) {
    this.pid = master.pid;
    this.fd = master.fd;
    this.name = master.name;
    this.#events = events;
    setInherited(this.fd, false);
    try {
      this.#slave = openSync(this.name, constants.O_RDWR | constants.O_NOCTTY);
    } catch {
      // Without it all but the rare program that closes its own terminal works the same.
    }
    this.#stream = new ReadStream(this.fd, {
      onread: { buffer: () => this.#room(), callback: (length: number) => this.#received(length) },
    } as never);
    // EIO is how Linux says that nobody holds the other side any more.
    this.#stream.on("error", () => this.#end());
    this.#stream.on("close", () => this.#end());
    this.#stream.resume();
  }

  /** Takes the bytes; they are written in order and complete, as fast as the program reads. Throws BUSY above the limit. */
  write(bytes: Buffer): void {
    if (this.#ended || !bytes.length) return;
    if (this.#inputBytes + bytes.length > INPUT_LIMIT_BYTES) {
      throw new SupervisorError("BUSY", `The program has not read ${this.#inputBytes} bytes of input yet. Send more when it reads.`);
    }
    this.#input.push(bytes);
    this.#inputBytes += bytes.length;
    if (!this.#retry) this.#flush();
  }

  /** Input the program has not read. */
  get unread(): Buffer {
    return Buffer.concat(this.#input);
  }

  resize(cols: number, rows: number): void {
    if (!this.#ended) native.resize(this.fd, cols, rows, 0, 0);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** The process is gone: from now on the end of output can be seen. */
  letGo(): void {
    if (this.#slave !== null) closeSync(this.#slave);
    this.#slave = null;
    this.#stream.resume();
  }

  /** Closes the terminal; the kernel hangs up on whoever still uses it. */
  close(): void {
    this.letGo();
    this.#stream.destroy();
  }

  #room(): Buffer {
    if (this.#buffer.length - this.#used < READ_BYTES) {
      this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
      this.#used = 0;
    }
    return this.#buffer.subarray(this.#used);
  }

  #received(length: number): boolean {
    const bytes = this.#buffer.subarray(this.#used, this.#used + length);
    this.#used += length;
    this.#events.onData(bytes);
    return true;
  }

  #flush(): void {
    this.#retry = null;
    while (this.#input.length && !this.#ended) {
      const bytes = this.#input[0] as Buffer;
      let written: number;
      try {
        written = writeSync(this.fd, bytes);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") {
          this.#retry = setTimeout(() => this.#flush(), this.#retryMs);
          this.#retryMs = Math.min(this.#retryMs * 2, WRITE_RETRY_LIMIT_MS);
          return;
        }
        this.#input = [];
        this.#inputBytes = 0;
        return;
      }
      this.#retryMs = WRITE_RETRY_MS;
      this.#inputBytes -= written;
      if (written === bytes.length) this.#input.shift();
      else this.#input[0] = bytes.subarray(written);
    }
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#input = [];
    if (this.#slave !== null) closeSync(this.#slave);
    this.#slave = null;
    this.#stream.destroy();
    this.#events.onDrained();
  }
}

/** Starts a program in a terminal of its own. Throws NOT_FOUND or INVALID_INPUT when it cannot be started. */
export function startPty(start: PtyStart, events: PtyEvents): Pty {
  checkStart(start);
  const env = Object.entries(start.env).map(([name, value]) => `${name}=${value}`);
  const [file, ...args] = start.argv as [string, ...string[]];
  const master = native.fork(file, args, env, start.cwd, start.cols, start.rows, -1, -1, false, helperPath(), (code, signal) => {
    events.onExit(signal ? null : code, signal ? (signalNames.get(signal) ?? `SIG${signal}`) : null);
  });
  return new Pty({ pid: master.pid, fd: master.fd, name: master.pty }, events);
}

/** Goes on with a terminal and child of the previous program image. */
export function adoptPty(master: { pid: number; fd: number; name: string }, events: PtyEvents): Pty {
  const pty = new Pty(master, events);
  adopted.set(master.pid, events);
  if (adopted.size === 1) process.on("SIGCHLD", reap);
  // It may have ended between the two images; its signal came when nobody listened.
  setImmediate(reap);
  return pty;
}

const adopted = new Map<number, PtyEvents>();

function reap(): void {
  for (const [pid, events] of adopted) {
    const status = childStatus(pid);
    if (status === "running") continue;
    adopted.delete(pid);
    if (status === "gone") events.onExit(null, null);
    else events.onExit(status.code, status.signal ? (signalNames.get(status.signal) ?? `SIG${status.signal}`) : null);
  }
  if (adopted.size === 0) process.off("SIGCHLD", reap);
}

/** The child could only say these on its screen; here they become an answer. */
function checkStart(start: PtyStart): void {
  const command = start.argv[0];
  if (!command) throw new SupervisorError("INVALID_INPUT", "argv is empty; it needs at least the program.");
  if (!isFolder(start.cwd)) throw new SupervisorError("NOT_FOUND", `The working directory ${start.cwd} does not exist.`);
  if (command.includes("/")) {
    if (isProgram(isAbsolute(command) ? command : resolve(start.cwd, command))) return;
    throw new SupervisorError("NOT_FOUND", `The program ${command} does not exist or may not be executed.`);
  }
  const path = start.env.PATH ?? "/usr/local/bin:/usr/bin:/bin";
  if (path.split(":").some((folder) => isProgram(join(isAbsolute(folder) ? folder : resolve(start.cwd, folder), command)))) return;
  throw new SupervisorError("NOT_FOUND", `No program ${command} on PATH (${path}). Install it or give its whole path.`);
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** macOS starts children through a small program that comes with the library. */
function helperPath(): string {
  if (process.platform !== "darwin") return "";
  const library = require.resolve(`@lydell/node-pty-${process.platform}-${process.arch}`, {
    paths: [dirname(require.resolve("@lydell/node-pty"))],
  });
  return join(dirname(library), "..", "prebuilds", `${process.platform}-${process.arch}`, "spawn-helper");
}
