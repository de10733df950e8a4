/** Temporary folders and real repositories for the tests of this package. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

// The machine's own git settings and identity must neither help nor disturb.
process.env.GIT_CONFIG_GLOBAL = "/dev/null";
process.env.GIT_CONFIG_NOSYSTEM = "1";

export function git(cwd: string, ...args: string[]): string {
  return execFileSync("git", ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "protocol.file.allow=always", ...args], {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, LC_ALL: "C" },
  }).trimEnd();
}

export function write(path: string, text: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode });
}

/** Waits until a process is gone or only its entry is left for somebody to read; without that the test hangs and fails at its time limit. */
export async function ended(pid: number): Promise<void> {
  for (;;) {
    const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
    if (stdout.trim() === "" || stdout.trim().startsWith("Z")) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** All files below a folder but git's own, as relative path to content (links as `-> target`). */
export function contents(folder: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(folder, below), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(below, entry.name);
    if (entry.name === ".git") continue;
    if (entry.isDirectory()) Object.assign(found, contents(folder, path));
    else if (entry.isSymbolicLink()) found[path] = `-> ${readlinkSync(join(folder, path))}`;
    else found[path] = readFileSync(join(folder, path), "latin1");
  }
  return found;
}

export interface Scratch extends Disposable {
  path: string;
  /** A repository on branch main with one commit; it has no identity and would refuse to guess one. */
  repository(name?: string): string;
  /** Commits everything in a folder and returns the commit. */
  commit(repository: string, message?: string): string;
  /** Adds a bare remote with everything pushed to it. */
  remote(repository: string, name?: string): string;
}

export function scratch(): Scratch {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "argus-runner-")));
  const commit = (repository: string, message = "change") => {
    git(repository, "add", "-A");
    git(repository, "commit", "-q", "--allow-empty", "-m", message);
    return git(repository, "rev-parse", "HEAD");
  };
  return {
    path,
    commit,
    repository(name = "demo") {
      const repository = join(path, name);
      mkdirSync(repository);
      git(repository, "init", "-q", "-b", "main");
      git(repository, "config", "user.useConfigOnly", "true");
      write(join(repository, "readme.txt"), "hello\n");
      commit(repository, "first");
      return repository;
    },
    remote(repository, name = "origin") {
      const bare = join(path, `${name}.git`);
      git(path, "init", "-q", "--bare", "-b", "main", bare);
      git(repository, "remote", "add", name, bare);
      git(repository, "push", "-q", name, "--all");
      git(repository, "fetch", "-q", name);
      return bare;
    },
    [Symbol.dispose]() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}
