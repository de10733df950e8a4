/** The checks that ask other programs or walk the disk: for `argus doctor`, not for a page that looks every few seconds. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type Check, type Look, pass, warn } from "./checks.ts";

const ASK_MS = 10_000; // an agent CLI is a large program; a cold one takes seconds to say its version
/** Programs whose `--version` is known to do nothing else. A backend may be any command line. */
const KNOWN = new Set(["claude", "codex", "pi", "opencode", "gemini"]);
const FULL_BYTES = 1024 ** 3; // below it, a build in a worktree fails half-way

const versions: Look = async ({ backends, node, paths }) => {
  const found = await Promise.all(
    [...new Set(backends.all().map((backend) => backend.command.split(/\s+/)[0] ?? ""))]
      .filter((program) => KNOWN.has(path.basename(program)))
      .map(async (program) => {
        if (!(await node.processes.which(program))) return [];
        const { code, stdout } = await node.processes.run([program, "--version"], { cwd: paths.home, timeoutMs: ASK_MS, maxBytes: 4096 });
        const line = stdout.trim().split("\n")[0] ?? "";
        return code === 0 && line !== ""
          ? [pass(`version of ${program}`, line)]
          : [warn(`version of ${program}`, `It does not say its version (exit status ${code ?? "none"}); is it installed completely?`)];
      }),
  );
  return found.flat();
};

const disk: Look = async ({ config, node, paths }) => {
  const { [paths.worktrees]: used = 0 } = await node.worktrees.diskUse([paths.worktrees]);
  const { bavail, bsize } = await fs.promises.statfs(paths.home);
  return [diskCheck(used, bavail * bsize, config.int("worktree.disk_warn_gb"))];
};

export function diskCheck(used: number, free: number, limitGb: number): Check {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const evidence = `worktrees take ${gigabytes(used)}, ${gigabytes(free)} are free`;
  if (free < FULL_BYTES) return warn("disk", `${evidence}: agents will fail to write. Delete tasks you are done with, or make room.`);
  if (used > limitGb * 1e9)
    return warn("disk", `${evidence}: more than worktree.disk_warn_gb (${limitGb}). \`argus task prune\` removes completed tasks.`);
  return pass("disk", evidence);
}

/** What git still lists although its folder is gone, and folders no task names. */
const worktrees: Look = async ({ node, paths, projects, store }) => {
  const checks: Check[] = [];
  for (const project of await projects.all()) {
    if (project.path === "" || !(await node.files.exists(project.path))) continue;
    const { stdout } = await node.processes.run(["git", "worktree", "list", "--porcelain"], { cwd: project.path, timeoutMs: ASK_MS });
    const stale = stdout
      .split("\n\n")
      .filter((entry) => /^prunable/m.test(entry))
      .map((entry) => /^worktree (.*)$/m.exec(entry)?.[1] ?? "");
    if (stale.length > 0)
      checks.push(
        warn(
          `worktrees of ${project.name}`,
          `git lists ${stale.join(", ")}, which is gone: git -C ${project.path} worktree prune forgets it`,
        ),
      );
  }
  const orphans = await node.worktrees.orphans(
    paths.worktrees,
    (await store.db.selectFrom("tasks").select("worktree").execute()).map((row) => row.worktree),
  );
  if (orphans.length > 0) checks.push(warn("worktrees", `no task names ${orphans.join(", ")}; \`argus task prune\` removes such folders`));
  return checks.length > 0 ? checks : [pass("worktrees", "every entry has its folder, every folder its task")];
};

const machine: Look = async ({ node, paths }) => {
  const ask = async (argv: string[]) =>
    (await node.processes.which(argv[0] as string))
      ? (await node.processes.run(argv, { cwd: paths.home, timeoutMs: ASK_MS }).catch(() => null))?.stdout
      : undefined;
  if (process.platform === "darwin") return [sleepOfMac((await ask(["pmset", "-g"])) ?? "")];
  const linger = lingerCheck(await ask(["loginctl", "show-user", os.userInfo().username, "--property=Linger"]));
  const read = (file: string) => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  const supplies = "/sys/class/power_supply";
  return [
    ...(linger ? [linger] : []),
    sleepOfLinux({
      states: read("/sys/power/state"),
      masked: fs.existsSync("/etc/systemd/system/sleep.target") && fs.realpathSync("/etc/systemd/system/sleep.target") === "/dev/null",
      battery: fs.existsSync(supplies) && fs.readdirSync(supplies).some((name) => name.startsWith("BAT")),
    }),
  ];
};

/** Null where no login manager ends anything at logout. */
export function lingerCheck(shown: string | undefined): Check | null {
  if (shown?.includes("Linger=yes")) return pass("linger", "on: agents live on after logout");
  if (shown?.includes("Linger=no")) return warn("linger", "off: agents end when you log out. `loginctl enable-linger` keeps them.");
  return null;
}

export function sleepOfLinux({ states, masked, battery }: { states: string; masked: boolean; battery: boolean }): Check {
  if (!/\b(mem|disk|freeze)\b/.test(states)) return pass("sleep", "this machine cannot sleep");
  if (masked) return pass("sleep", "sleep.target is masked");
  if (!battery) return pass("sleep", "no battery: it sleeps only when set up to");
  return warn("sleep", "this machine may sleep, and agents with it. `systemd-inhibit --what=sleep:idle sleep infinity` keeps it awake.");
}

export function sleepOfMac(pmset: string): Check {
  const minutes = Number(/^\s*sleep\s+(\d+)/m.exec(pmset)?.[1] ?? 0);
  if (minutes === 0 || /sleep prevented by/.test(pmset)) return pass("sleep", "this Mac stays awake");
  return warn("sleep", `this Mac sleeps after ${minutes} minutes, and agents with it. \`caffeinate -is\` keeps it awake.`);
}

export const DEEP: Look[] = [versions, disk, worktrees, machine];
