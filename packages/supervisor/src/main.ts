/** The session supervisor process: `node main.ts --home <folder>`. Owns the agents of one home and outlives every daemon. */

import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { handOver, takeHandover } from "./handover.ts";
import { setInherited } from "./libc.ts";
import { holdLock, type Lock, lockOf } from "./lock.ts";
import { checkSocketPath, supervisorPaths } from "./paths.ts";
import { ownDescriptors } from "./processes.ts";
import { Supervisor } from "./server.ts";

const { values } = parseArgs({ options: { home: { type: "string" }, probe: { type: "boolean" } } });

// Asked by the image that wants to become this program: all modules loaded, so it could run.
if (values.probe) process.exit(0);
if (!values.home) fail("Which home? Start it as: node main.ts --home <folder>", 2);
const paths = supervisorPaths(resolve(values.home));

function report(message: string): void {
  process.stderr.write(`${new Date().toISOString()} ${message}\n`);
}

function fail(message: string, status: number): never {
  process.stderr.write(`${message}\n`);
  process.exit(status);
}

process.on("uncaughtException", (error) => {
  // Ending would hang up every agent; whatever went wrong concerns one client or one session.
  report(`Unexpected: ${error.stack ?? error}`);
});
process.on("unhandledRejection", (error) => report(`Unexpected: ${(error as Error)?.stack ?? error}`));
process.on("SIGPIPE", () => {});
process.on("SIGHUP", () => {});

/** Names this very code, so that a daemon can say whether a newer one is installed. */
function buildName(): string {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const hash = createHash("sha256");
  for (const file of readdirSync(folder).sort())
    if (file.endsWith(".ts") && !file.endsWith(".test.ts")) hash.update(file).update(readFileSync(join(folder, file)));
  const { version } = JSON.parse(readFileSync(join(folder, "..", "package.json"), "utf8")) as { version: string };
  return `${version}+${hash.digest("hex").slice(0, 12)}`;
}

/** Descriptors that were open when we were started are none of an agent's business. */
function closeDoors(): void {
  for (const { fd } of ownDescriptors()) if (fd > 2) setInherited(fd, false);
}

function listen(server: Server): Promise<void> {
  rmSync(paths.socket, { force: true });
  return new Promise((done, failed) => {
    server.once("error", failed);
    // Between making the socket and the chmod nobody else may connect. Put back at once: agents inherit the mask.
    const mask = process.umask(0o177);
    server.listen(paths.socket, () => {
      chmodSync(paths.socket, 0o600);
      done();
    });
    process.umask(mask);
  });
}

function ownsPidFile(): boolean {
  try {
    return Number(readFileSync(paths.pid, "utf8")) === process.pid;
  } catch {
    return false;
  }
}

async function run(): Promise<void> {
  const taken = takeHandover();
  checkSocketPath(paths.socket);
  mkdirSync(paths.home, { recursive: true, mode: 0o700 });
  if (!taken) chmodSync(paths.home, 0o700);
  closeDoors();
  let lock: Lock | null;
  if (taken) lock = lockOf(paths.lock, taken.handover.lockFd);
  else lock = await holdLock(paths.lock);
  if (!lock) {
    // Status 0: a service manager would otherwise start us again and again.
    report(`Another supervisor owns ${paths.home}; this one is not needed.`);
    process.exit(0);
  }
  process.chdir(homedir());
  writeFileSync(`${paths.pid}.new`, `${process.pid}\n`, { mode: 0o600 });
  renameSync(`${paths.pid}.new`, paths.pid);

  const startedAt = taken?.handover.startedAt ?? Date.now();
  let ending = false;
  const supervisor = new Supervisor({
    build: buildName(),
    startedAt,
    sessionsFile: paths.sessions,
    report,
    onShutdown: async (handover) => {
      if (handover) await replace();
      else setImmediate(() => void end());
    },
  });
  if (taken) {
    supervisor.sweeper.adopt(taken.handover.sessions.flatMap((state) => (state.exit ? [] : [state.request.id])));
    for (const [i, state] of taken.handover.sessions.entries()) {
      const { ring, redraw } = taken.parts[i] as { ring: Buffer; redraw: Buffer };
      supervisor.adopt({ state, ring, redraw });
    }
  } else void supervisor.sweeper.sweepPredecessor();

  const server = createServer((socket) => supervisor.accept(socket));
  const end = async () => {
    if (ending) return;
    ending = true;
    // A second signal ends the process at once, whatever still hangs.
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.removeAllListeners(signal);
    // Not server.close(): that would remove the socket file even when it is our successor's by now.
    server.removeAllListeners("connection").on("connection", (socket) => socket.destroy());
    await supervisor.hangUp();
    await supervisor.disconnect();
    if (ownsPidFile()) for (const file of [paths.socket, paths.pid]) rmSync(file, { force: true });
    process.exit(0);
  };

  const replace = async () => {
    if (ending || supervisor.frozen) return;
    const command = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url), "--home", paths.home];
    try {
      await handOver({ supervisor, paths, lock, startedAt, command });
    } catch (error) {
      report((error as Error).message);
      throw error;
    }
  };

  await listen(server);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void end());
  process.on("SIGUSR2", () => void replace().catch(() => {}));
  report(`Supervisor ${process.pid} ${taken ? "goes on after a handover" : "serves"} at ${paths.socket}.`);
}

run().catch((error: Error) => fail(error.message, 1));
