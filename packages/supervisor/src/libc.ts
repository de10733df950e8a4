/** The four C library calls that Node has no function for: locks, descriptor flags and the exit status of adopted children. */

import ffi from "node:ffi";

const library = ffi.dlopen(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6", {
  flock: { arguments: ["int32", "int32"], return: "int32" },
  fcntl: { arguments: ["int32", "int32", "int32"], return: "int32" },
  waitpid: { arguments: ["int32", "buffer", "int32"], return: "int32" },
});

const c = library.functions as unknown as {
  flock(fd: number, operation: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  waitpid(pid: number, status: Buffer, options: number): number;
};

const LOCK_EX = 2;
const LOCK_NB = 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const WNOHANG = 1;

/** Takes the exclusive lock of an open file if it is free. The kernel frees it when the last descriptor of that open file is closed, kill -9 included. */
export function tryLock(fd: number): boolean {
  return c.flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Says whether a program started from here inherits the descriptor. */
export function setInherited(fd: number, inherited: boolean): void {
  c.fcntl(fd, F_SETFD, inherited ? 0 : FD_CLOEXEC);
}

/** The wait status of a child, "running", or "gone" when it is no child of ours (any more). */
export function childStatus(pid: number): { code: number | null; signal: number | null } | "running" | "gone" {
  const status = Buffer.alloc(4);
  const found = c.waitpid(pid, status, WNOHANG);
  if (found === 0) return "running";
  if (found < 0) return "gone";
  const word = status.readInt32LE(0);
  const signal = word & 0x7f;
  return signal ? { code: null, signal } : { code: (word >> 8) & 0xff, signal: null };
}
