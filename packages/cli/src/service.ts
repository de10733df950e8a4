/** `argus daemon install|uninstall`: starts the daemon at login, by systemd on Linux and launchd on macOS. */
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { CallError } from "@argus/client/socket";
import { argusHome } from "./home.ts";
import { LAUNCHD_LABEL, launchdPlist, type ServiceParts, SYSTEMD_UNIT, servicePath, systemdUnit } from "./service-files.ts";

/** What the daemon must know and a service manager would not pass on. */
const PASSED_ON = ["ARGUS_HOME", "ARGUS_API_PORT", "ARGUS_MCP_PORT", "ARGUS_DATABASE", "ARGUS_NODE", "LANG"];
const LAUNCHER = fileURLToPath(new URL("../../../argus", import.meta.url));

export interface ServiceState {
  /** Null where neither launchd nor a systemd user manager exists. */
  file: string | null;
  installed: boolean;
  loaded: boolean;
}

export async function serviceState(platform: NodeJS.Platform = process.platform): Promise<ServiceState> {
  const kind = await manager(platform);
  if (!kind) return { file: null, installed: false, loaded: false };
  return { file: kind.file, installed: fs.existsSync(kind.file), loaded: await kind.loaded() };
}

/** The state as one line of `argus daemon status`. */
export function describeService({ file, installed, loaded }: ServiceState): string {
  if (file === null) return "none: neither launchd nor a systemd user manager runs here";
  if (!installed) return `not installed (argus daemon install writes ${file})`;
  return `${file}, ${loaded ? "loaded" : "not loaded"}`;
}

/** Writes the service's file, loads it, and says what happens at logout. Running it again brings the file up to date. */
export async function install(platform: NodeJS.Platform = process.platform): Promise<string[]> {
  const kind = await required(platform);
  const home = argusHome();
  fs.mkdirSync(home, { recursive: true, mode: 0o700 });
  const program = path.join(home, "argusd");
  replaceLink(program, LAUNCHER);
  const env: Record<string, string> = { PATH: servicePath(os.homedir(), process.env.PATH ?? "") };
  for (const name of PASSED_ON) if (process.env[name]) env[name] = process.env[name];
  fs.mkdirSync(path.dirname(kind.file), { recursive: true });
  const draft = `${kind.file}.new`;
  fs.writeFileSync(draft, kind.text({ program, log: path.join(home, kind.log), env }), { mode: 0o600 });
  fs.renameSync(draft, kind.file);
  await kind.load();
  return [
    `The daemon starts at login from now on.`,
    `  service  ${kind.file}`,
    `  program  ${program} -> ${LAUNCHER}`,
    ...(await kind.remarks()),
  ];
}

export async function uninstall(platform: NodeJS.Platform = process.platform): Promise<string[]> {
  const kind = await required(platform);
  if (!fs.existsSync(kind.file)) return ["No service was installed."];
  await kind.unload();
  fs.rmSync(kind.file, { force: true });
  await kind.forget();
  return [`The service is gone (${kind.file}). Agents and settings stay; \`argus daemon start\` starts the daemon by hand.`];
}

interface Manager {
  file: string;
  log: string;
  text(parts: ServiceParts): string;
  load(): Promise<void>;
  unload(): Promise<void>;
  forget(): Promise<void>;
  loaded(): Promise<boolean>;
  remarks(): Promise<string[]>;
}

async function required(platform: NodeJS.Platform): Promise<Manager> {
  const kind = await manager(platform);
  if (kind) return kind;
  throw new CallError({
    error:
      "Neither launchd nor a systemd user manager runs here, so nothing can start the daemon at login. `argus daemon start` starts it by hand.",
    code: "UNAVAILABLE",
  });
}

async function manager(platform: NodeJS.Platform): Promise<Manager | null> {
  if (platform === "darwin") return launchd();
  if (platform !== "linux") return null;
  return (await run("systemctl", ["--user", "show-environment"])).ok ? systemd() : null;
}

function systemd(): Manager {
  const config = process.env.XDG_CONFIG_HOME || path.join(os.homedir(), ".config");
  const systemctl = (...args: string[]) => run("systemctl", ["--user", ...args]);
  return {
    file: path.join(config, "systemd", "user", SYSTEMD_UNIT),
    log: "systemd.log",
    text: systemdUnit,
    load: async () => {
      await must(systemctl("daemon-reload"));
      await must(systemctl("enable", SYSTEMD_UNIT));
      await must(systemctl("restart", SYSTEMD_UNIT));
    },
    unload: async () => void (await systemctl("disable", "--now", SYSTEMD_UNIT)),
    forget: async () => void (await systemctl("daemon-reload")),
    loaded: async () => (await systemctl("is-enabled", SYSTEMD_UNIT)).ok,
    remarks: async () => {
      const linger = await run("loginctl", ["show-user", os.userInfo().username, "--property=Linger"]);
      return linger.text.includes("Linger=yes")
        ? []
        : ["Without linger, agents end when you log out. `loginctl enable-linger` keeps them running and starts the daemon at boot."];
    },
  };
}

function launchd(): Manager {
  const domain = `gui/${process.getuid?.() ?? 501}`;
  const file = path.join(os.homedir(), "Library", "LaunchAgents", `${LAUNCHD_LABEL}.plist`);
  const loaded = async () => (await run("launchctl", ["print", `${domain}/${LAUNCHD_LABEL}`])).ok;
  const unload = async () => void (await run("launchctl", ["bootout", `${domain}/${LAUNCHD_LABEL}`]));
  return {
    file,
    log: "launchd.log",
    text: launchdPlist,
    load: async () => {
      if (await loaded()) await unload();
      await must(run("launchctl", ["bootstrap", domain, file]));
    },
    unload,
    forget: async () => {},
    loaded,
    remarks: async () => [],
  };
}

/** In one step, so that a service that starts meanwhile finds the old or the new program. */
function replaceLink(link: string, target: string): void {
  const draft = `${link}.new`;
  fs.rmSync(draft, { force: true });
  fs.symlinkSync(target, draft);
  fs.renameSync(draft, link);
}

function run(program: string, args: string[]): Promise<{ ok: boolean; text: string; command: string }> {
  return new Promise((resolve) =>
    execFile(program, args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ ok: error === null, text: `${stdout}${stderr}`.trim(), command: [program, ...args].join(" ") }),
    ),
  );
}

async function must(done: ReturnType<typeof run>): Promise<void> {
  const { ok, text, command } = await done;
  if (!ok) throw new CallError({ error: `${command} failed: ${text || "it said nothing"}`, code: "UNAVAILABLE" });
}
