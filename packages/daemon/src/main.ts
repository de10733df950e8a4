/** The daemon's process: one per home folder, cleans up on its way out, leaves supervisor and agents alone. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { checkSocketPath, holdLock, supervisorPaths } from "@argus/supervisor/client";
import { startSystem } from "./system.ts";

const STOP_LIMIT_MS = 5000; // LIFECYCLE-09

const { values } = parseArgs({ options: { home: { type: "string" } } });
const home = path.resolve(values.home ?? process.env.ARGUS_HOME ?? path.join(os.homedir(), ".argus"));
try {
  checkSocketPath(supervisorPaths(home).socket);
} catch (thrown) {
  process.stderr.write(`${(thrown as Error).message}\n`);
  process.exit(2);
}
fs.mkdirSync(home, { recursive: true, mode: 0o700 });
// A folder that is deleted later must not be pinned or become our undoing (SUPERVISOR-13).
process.chdir(os.homedir());

const lock = await holdLock(path.join(home, "daemon.lock"), { waitMs: 2000 });
if (!lock) {
  process.stderr.write(`Another daemon holds ${home}; nothing to do.\n`);
  process.exit(0); // 0, or a service manager would start us again for ever
}
const pidFile = path.join(home, "daemon.pid");
fs.writeFileSync(`${pidFile}.new`, `${process.pid}\n`, { mode: 0o600 });
fs.renameSync(`${pidFile}.new`, pidFile);

const stopped = Promise.withResolvers<void>();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
  process.once(signal, () => {
    stopped.resolve();
    for (const other of ["SIGTERM", "SIGINT"] as const) process.once(other, () => process.exit(1)); // a second one means now
  });

try {
  const system = await startSystem({ home, env: process.env });
  process.on("uncaughtException", (err) => system.log.error({ err }, "uncaught; the daemon goes on"));
  process.on("unhandledRejection", (err) => system.log.error({ err }, "unhandled rejection; the daemon goes on"));
  await stopped.promise;
  setTimeout(() => process.exit(0), STOP_LIMIT_MS).unref();
  system.log.info("daemon stops");
  await system[Symbol.asyncDispose]();
} catch (thrown) {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  fs.appendFileSync(
    path.join(home, "daemon.log"),
    `${JSON.stringify({ level: 60, time: new Date().toISOString(), msg: "the daemon could not start", err: String(thrown instanceof Error ? thrown.stack : thrown) })}\n`,
  );
  process.exitCode = 10;
} finally {
  // Ours only: a successor may have written its own (SUPERVISOR-12).
  if (fs.existsSync(pidFile) && fs.readFileSync(pidFile, "utf8").trim() === String(process.pid)) {
    fs.rmSync(pidFile, { force: true });
    fs.rmSync(path.join(home, "daemon.sock"), { force: true });
  }
}
process.exit();
