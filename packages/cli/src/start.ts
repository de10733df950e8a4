/** `npm start`: everything up, and where to look. On a terminal it ends in the interactive face, elsewhere it stays and logs. */
import fs from "node:fs";
import path from "node:path";
import { connect } from "./connection.ts";
import { daemonInfo, startDaemon } from "./daemon.ts";
import { parseGlobals } from "./globals.ts";
import { argusHome } from "./home.ts";
import { report } from "./output.ts";

const globals = parseGlobals(process.argv.slice(2));
const LISTEN_LIMIT_MS = 6000; // the daemon looks at its settings every 2 s

try {
  await buildPage();
  const running = await daemonInfo();
  const info = running ?? (await startDaemon());
  const connection = await connect(globals);
  // Starting by hand is asking for the page; a setting somebody made is respected.
  const { settings } = await connection.call<{ settings: { key: string; value: unknown; layer: string }[] }>("config.show");
  if (settings.find((one) => one.key === "api.enabled")?.layer === "default")
    await connection.call("settings.set", { api: { enabled: true } });
  let web = info.web;
  for (const until = Date.now() + LISTEN_LIMIT_MS; web === null && Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    web = (await daemonInfo())?.web ?? null;
  }
  const link = await connection.call<{ url: string; expires_in_minutes: number }>("token.login_link");
  const now = await daemonInfo();
  process.stdout.write(
    [
      "",
      `  Argus is ${running ? "running already" : "up"}.`,
      "",
      web ? `  Open      ${link.url}` : "  The web page is off: api.enabled is false in config.toml or the settings.",
      ...(web ? [`            (logs one browser in, within ${link.expires_in_minutes} minutes; \`./argus login\` prints another)`] : []),
      `  REST      ${now?.rest.join(", ") || "off"}`,
      `  MCP       ${now?.mcp ?? "not listening"}`,
      `  Token     ${path.join(argusHome(), "api-token")}`,
      "",
      "  ./argus demo     a sample repository and three tasks",
      "  ./argus help     everything else",
      "",
      "",
    ].join("\n"),
  );
  connection.close();
  if (process.stdout.isTTY && process.stdin.isTTY) process.exitCode = await (await import("./face.ts")).run([], globals);
  else process.exitCode = await follow();
} catch (thrown) {
  process.exitCode = report(thrown, false);
}
process.exit();

/** The page is built from its sources when they changed; without it everything else still works. */
async function buildPage(): Promise<void> {
  try {
    await (await import("@argus/web/build")).ensureWeb();
  } catch (thrown) {
    process.stderr.write(
      `The web page could not be built (${thrown instanceof Error ? thrown.message : String(thrown)}); everything else starts.\n`,
    );
  }
}

/** Prints the daemon's log as it grows; ends with the daemon, or leaves it running on a signal. */
async function follow(): Promise<number> {
  const log = path.join(argusHome(), "daemon.log");
  let from = fs.existsSync(log) ? fs.statSync(log).size : 0;
  let ending = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      ending = true;
    });
  process.stdout.write("Following the log. Ending this command leaves the daemon running; `./argus daemon stop` ends it.\n");
  let silent = 0;
  while (!ending) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const size = fs.existsSync(log) ? fs.statSync(log).size : 0;
    if (size < from) from = 0;
    if (size > from) {
      const part = Buffer.alloc(Math.min(size - from, 1024 * 1024));
      const fd = fs.openSync(log, "r");
      fs.readSync(fd, part, 0, part.length, from);
      fs.closeSync(fd);
      from += part.length;
      process.stdout.write(part);
    }
    silent = (silent + 1) % 4;
    if (silent === 0 && !(await daemonInfo())) {
      await new Promise((resolve) => setTimeout(resolve, 3000)); // a restart takes a moment
      if (!(await daemonInfo())) {
        process.stdout.write("The daemon has stopped.\n");
        return 0;
      }
    }
  }
  return 0;
}
