/** The only place that removes folders: nothing outside the worktree root, nothing through a link, never a main checkout. */
import { chmod, lstat, readdir, realpath, rm, rmdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, sep } from "node:path";
import { ArgusError } from "@argus/protocol";

/** True when `path` is strictly below `folder`; both must be real paths. */
export function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** Real path of something whose last part may not exist any more. */
async function realPathOf(path: string): Promise<string | null> {
  const parent = await realpath(dirname(path)).catch(() => null);
  return parent && join(parent, basename(path));
}

/**
 * WORKTREE-23: the real path of a worktree that may be removed. Refuses links, anything that is not `<root>/<project>/<slug>` or deeper, and whatever is or
 * holds the project's own checkout. Throws PERMISSION_DENIED. The folder itself may be missing.
 */
export async function removablePath(path: string, root: string, projectPath: string): Promise<string> {
  const refuse = (reason: string): never => {
    throw new ArgusError("PERMISSION_DENIED", `Refused to remove ${path}: ${reason}. Only worktrees below ${root} are ever removed.`);
  };
  if (!isAbsolute(path)) return refuse("the path is relative");
  if (path.split(sep).includes("..")) return refuse("the path contains ..");
  const plain = path.replace(/\/+$/, "");
  if ((await lstat(plain).catch(() => null))?.isSymbolicLink()) return refuse("it is a link");
  const realRoot = (await realpath(root).catch(() => null)) ?? refuse("the worktree root does not exist");
  const real = (await realPathOf(plain)) ?? (await missingBelow(plain, root, realRoot)) ?? refuse("its parent folder does not exist");
  if (!isBelow(real, realRoot)) return refuse("it is not inside the worktree root");
  if (dirname(real) === realRoot) return refuse("it is the folder of a whole project");
  const project = await realpath(projectPath).catch(() => projectPath);
  if (project === real || isBelow(project, real)) return refuse("it is or holds the project's own checkout");
  return real;
}

/** The folder of a project disappears with its last worktree, so a removed worktree may have no parent left. */
async function missingBelow(path: string, root: string, realRoot: string): Promise<string | null> {
  const way = relative(root, path);
  return isBelow(path, root) && (await realPathOf(dirname(path))) !== null ? join(realRoot, way) : null;
}

/** Removes a folder that `removablePath` allowed, also one with read-only folders in it (module caches make them). */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "EACCES" && code !== "EPERM") throw cause;
    await makeWritable(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o700).catch(() => {});
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => []))
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name));
}

/** Removes a folder if nothing is in it. */
export async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
}

/** WORKTREE-28: worktree folders (`<root>/<project>/<slug>`) that no known path names or lies in, sorted. Links are not followed and never reported. */
export async function orphanFolders(root: string, known: string[]): Promise<string[]> {
  const realRoot = await realpath(root).catch(() => null);
  if (!realRoot) return [];
  const kept = await Promise.all(known.map(async (path) => (await realpath(path).catch(() => null)) ?? (await realPathOf(path)) ?? path));
  // A known path that cannot be resolved any more still protects what it names literally.
  kept.push(...known);
  const orphans: string[] = [];
  for (const project of await foldersOf(realRoot)) {
    for (const folder of await foldersOf(project)) {
      if (!kept.some((path) => path === folder || isBelow(path, folder))) orphans.push(folder);
    }
  }
  return orphans.sort();
}

async function foldersOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
}
