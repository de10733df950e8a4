/** Where the supervisor of a home folder keeps its files, and how long a socket path may be. */

import { join } from "node:path";
import { SupervisorError } from "./errors.ts";

export interface SupervisorPaths {
  home: string;
  socket: string;
  lock: string;
  pid: string;
  log: string;
  /** Processes to clean up if the supervisor is killed. */
  sessions: string;
  /** What one program image leaves to the next. */
  handover: string;
}

export function supervisorPaths(home: string): SupervisorPaths {
  const at = (ending: string) => join(home, `supervisor.${ending}`);
  return {
    home,
    socket: at("sock"),
    lock: at("lock"),
    pid: at("pid"),
    log: at("log"),
    sessions: at("sessions.json"),
    handover: at("handover"),
  };
}

/** Size of `sun_path`, including the zero byte at its end. */
export const SOCKET_PATH_LIMIT = process.platform === "darwin" ? 104 : 108;

/** Throws INVALID_INPUT when the operating system could not bind this path. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path) + 1;
  if (bytes <= SOCKET_PATH_LIMIT) return;
  throw new SupervisorError(
    "INVALID_INPUT",
    `The socket path ${path} takes ${bytes} bytes with its end mark; this system allows ${SOCKET_PATH_LIMIT}. Use a home folder with a shorter path.`,
  );
}
