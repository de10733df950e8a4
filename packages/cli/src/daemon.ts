/** `argus daemon start|stop|restart|status|install|uninstall`. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CallError, SocketClient } from "@argus/client/socket";
import { buildOf } from "@argus/protocol/build";
import { UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { argusHome, daemonSocket } from "./home.ts";

const POLL_MS = 50; // LIFECYCLE-07
/** A cold start on a busy machine takes longer than the usual second; while the process lives it is waited for. */
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 7000; // the daemon allows itself 5 s
/** Of a socket's path with its end mark (SUPERVISOR-14). */
const LONGEST_SOCKET_PATH = process.platform === "darwin" ? 104 : 108;
const MAIN = fileURLToPath(import.meta.resolve("@argus/daemon/main"));
const RUNTIME_FLAGS = ["--disable-warning=ExperimentalWarning"];

interface Info {
  pid: number;
  version: string;
  build: string;
  root: string;
  uptime_seconds: number;
  home: string;
  web: string | null;
  rest: string[];
  mcp: string | null;
  supervisor: { state: string; pid: number | null; protocol: number | null };
}

export async function run(args: string[], globals: Globals): Promise<number> {
  const [verb = "status", ...rest] = args;
  if (rest.length > 0) throw new UsageError(`argus daemon ${verb} takes no word ${JSON.stringify(rest[0])}.`);
  switch (verb) {
    case "start":
      return show(await startDaemon(), globals);
    case "stop": {
      const stopped = await stopDaemon();
      return say(globals, { stopped }, stopped ? "The daemon has stopped. Agents go on." : "No daemon was running.");
    }
    case "restart":
      await stopDaemon();
      return show(await startDaemon(), globals);
    case "status": {
      const info = await daemonInfo();
      if (info) return show(info, globals);
      say(globals, { running: false }, "No daemon is running. Start it with: argus daemon start");
      return 1;
    }
    case "run":
      // For a service manager: this very process becomes the daemon.
      fs.mkdirSync(argusHome(), { recursive: true, mode: 0o700 });
      process.execve?.(process.execPath, [process.execPath, ...RUNTIME_FLAGS, MAIN, "--home", argusHome()]);
      throw new Error("This runtime cannot replace its own process.");
    case "install": {
      const lines = await (await import("./service.ts")).install();
      return say(globals, { installed: true }, lines.join("\n"));
    }
    case "uninstall": {
      const lines = await (await import("./service.ts")).uninstall();
      return say(globals, { installed: false }, lines.join("\n"));
    }
    default:
      throw new UsageError(`argus daemon takes start, stop, restart, status, install or uninstall, not ${JSON.stringify(verb)}.`);
  }
}

function say(globals: Globals, value: object, text: string): number {
  process.stdout.write(globals.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
  return 0;
}

async function show(info: Info, globals: Globals): Promise<number> {
  const { describeService, serviceState } = await import("./service.ts");
  const service = await serviceState();
  if (globals.json) process.stdout.write(`${JSON.stringify({ running: true, ...info, service }, null, 2)}\n`);
  else
    process.stdout.write(
      [
        `daemon      running, pid ${info.pid}, version ${info.version}, build ${info.build}, up ${info.uptime_seconds} s`,
        ...(isOther(info)
          ? ["            it runs another build than this command; `argus daemon restart` takes this one, agents go on"]
          : []),
        `web, REST   ${info.rest.length > 0 ? info.rest.join(", ") : "off (api.enabled is false)"}`,
        `MCP         ${info.mcp ?? "not listening"}`,
        `supervisor  ${info.supervisor.state}${info.supervisor.pid ? `, pid ${info.supervisor.pid}, protocol ${info.supervisor.protocol}` : ""}`,
        `service     ${describeService(service)}`,
        `home        ${info.home}`,
        "",
      ].join("\n"),
    );
  return 0;
}

/** True when the daemon's program is not the one this command belongs to (LIFECYCLE-11). */
export function isOther(info: { build: string }): boolean {
  return info.build !== buildOf(path.resolve(import.meta.dirname, "..", "..", ".."));
}

/** What the running daemon says of itself, or null. */
export async function daemonInfo(): Promise<Info | null> {
  const client = await SocketClient.connect(daemonSocket(), 1000).catch(() => null);
  if (!client) return null;
  try {
    return await client.call<Info>("daemon.info");
  } catch {
    return null;
  } finally {
    client.close();
  }
}

/** Starts a detached daemon unless one answers. Rejects with what its process said when it does not come up. */
export async function startDaemon(): Promise<Info> {
  const running = await daemonInfo();
  if (running) return running;
  const home = argusHome();
  const socket = daemonSocket(home);
  const bytes = Buffer.byteLength(path.join(home, "supervisor.sock")) + 1;
  if (bytes > LONGEST_SOCKET_PATH)
    throw new UsageError(
      `The socket path ${socket} is too long: with its neighbour supervisor.sock it takes ${bytes} bytes, and this system allows ${LONGEST_SOCKET_PATH}. Choose a shorter ARGUS_HOME.`,
    );
  fs.mkdirSync(home, { recursive: true, mode: 0o700 });
  if (!hasGit()) throw new CallError({ error: "git is not on PATH. Install git, then start again.", code: "UNAVAILABLE" });
  const errors = path.join(home, "daemon.stderr");
  const sink = fs.openSync(errors, "w", 0o600);
  const child = spawn(process.execPath, [...RUNTIME_FLAGS, MAIN, "--home", home], {
    detached: true,
    stdio: ["ignore", sink, sink],
    cwd: os.homedir(),
    env: process.env,
  });
  fs.closeSync(sink);
  let gone = false;
  child.once("exit", () => {
    gone = true;
  });
  child.once("error", () => {
    gone = true;
  });
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    const info = await daemonInfo();
    if (info) {
      child.unref();
      return info;
    }
    // Gone may also mean that another one won the race; its answer is waited for a moment longer.
    if (Date.now() > deadline || (gone && Date.now() > deadline - START_LIMIT_MS + 3000)) break;
    await pause(POLL_MS);
  }
  const said = fs.readFileSync(errors, "utf8").trim().split("\n").slice(-5).join("\n");
  throw new CallError({
    error: `The daemon did not come up.${said ? ` It said: ${said}` : ""} See ${path.join(home, "daemon.log")}.`,
    code: "UNAVAILABLE",
  });
}

function hasGit(): boolean {
  return (process.env.PATH ?? "").split(":").some((folder) => fs.existsSync(path.join(folder, "git")));
}

/** False when none was running. Agents and supervisor are left alone. */
export async function stopDaemon(): Promise<boolean> {
  const pid = (await daemonInfo())?.pid ?? pidFromFile();
  if (pid === null) return false;
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    return false;
  }
  const deadline = Date.now() + STOP_LIMIT_MS;
  while (alive(pid)) {
    if (Date.now() > deadline) {
      process.kill(pid, "SIGKILL");
      break;
    }
    await pause(POLL_MS);
  }
  return true;
}

/** The pid of a daemon that does not answer; only when the process really is one. */
function pidFromFile(): number | null {
  try {
    const pid = Number(fs.readFileSync(path.join(argusHome(), "daemon.pid"), "utf8"));
    if (!Number.isInteger(pid) || !alive(pid)) return null;
    if (process.platform === "linux" && !fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("daemon")) return null;
    return pid;
  } catch {
    return null;
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
