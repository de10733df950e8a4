/** Where this user's Argus lives. */
import os from "node:os";
import path from "node:path";

/** `ARGUS_HOME`, or `~/.argus`. */
export function argusHome(): string {
  return path.resolve(process.env.ARGUS_HOME || path.join(os.homedir(), ".argus"));
}

export const daemonSocket = (home = argusHome()): string => path.join(home, "daemon.sock");
