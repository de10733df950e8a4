/** Copies ignored files such as `.env` from the main checkout into a worktree, and nothing from outside the checkout (WORKTREE-13). */
import { constants, copyFile, lstat, mkdir, readlink, realpath, stat, symlink } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import picomatch from "picomatch";
import { isBelow } from "./folders.ts";
import { gitReadBytes } from "./gitcommand.ts";

/** Names of ignored files: 64 MiB is about a million of them, more than any dependency folder holds. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;

/** A glob that names a folder means everything in it. */
function matcher(globs: string[]): (path: string) => boolean {
  const patterns = globs.flatMap((glob) => {
    const plain = glob.replace(/^\.\//, "").replace(/\/+$/, "");
    return plain === "" ? [] : [plain, `${plain}/**`];
  });
  return patterns.length === 0 ? () => false : picomatch(patterns, { dot: true });
}

/**
 * Returns the relative paths that were copied, sorted. What the worktree already has stays. Links are copied as links when they lead to something inside
 * the checkout by a relative path, and left out otherwise. Throws CONFLICT when git cannot list, and file errors as they are.
 */
export async function copyIgnored(projectPath: string, worktree: string, globs: string[]): Promise<string[]> {
  if (globs.length === 0) return [];
  const matches = matcher(globs);
  const listed = await gitReadBytes(projectPath, ["ls-files", "--others", "--ignored", "--exclude-standard", "-z"], {
    maxBytes: MAX_LIST_BYTES,
  });
  if (listed.code !== 0 || listed.truncated)
    throw new ArgusError(
      "CONFLICT",
      `git could not list the ignored files of ${projectPath}: ${listed.stderr.trim() || "there are too many"}`,
    );
  const from = await realpath(projectPath);
  const to = await realpath(worktree);
  const copied: string[] = [];
  for (const path of listed.stdout.toString("utf8").split("\0")) {
    if (path === "" || path.endsWith("/") || !matches(path)) continue;
    if (await copyOne(path, from, to)) copied.push(path);
  }
  return copied.sort();
}

async function copyOne(path: string, from: string, to: string): Promise<boolean> {
  const source = join(from, path);
  const target = join(to, path);
  const parent = await realpath(dirname(source)).catch(() => null);
  if (!parent || (parent !== from && !isBelow(parent, from))) return false;
  const found = await lstat(source).catch(() => null);
  if (!found || (await lstat(target).catch(() => null))) return false;
  if (!(await reachable(dirname(target), to))) return false;
  if (found.isSymbolicLink()) {
    const leads = await readlink(source);
    const real = await realpath(source).catch(() => null);
    if (isAbsolute(leads) || !real || !isBelow(real, from)) return false;
    await mkdir(dirname(target), { recursive: true });
    await symlink(leads, target);
    return true;
  }
  // A socket or pipe is no file to copy.
  if (!found.isFile()) return false;
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  return true;
}

/** True when the nearest existing folder on the way is a folder really inside the worktree: the branch may track a link to elsewhere. */
async function reachable(folder: string, to: string): Promise<boolean> {
  for (let current = folder; ; current = dirname(current)) {
    const real = await realpath(current).catch(() => null);
    if (real) return (real === to || isBelow(real, to)) && (await stat(real)).isDirectory();
    if (await lstat(current).catch(() => null)) return false;
    if (current === to || current === dirname(current)) return false;
  }
}
