/** Creates, removes and recovers the private checkouts of tasks: all of it or none of it, and never somebody's work lost. */
import { lstat, mkdir, readdir, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { carry } from "./carry.ts";
import { readContract } from "./contract.ts";
import { copyIgnored } from "./copy.ts";
import { excludeLocally } from "./exclude.ts";
import { orphanFolders, removablePath, removeIfEmpty, removeTree } from "./folders.ts";
import { commitOf, fatalLines, gitChange, gitRead, gitText, gitWrite } from "./gitcommand.ts";
import type { CreatedWorktree, CreateWorktree, RemoveWorktree, Worktrees } from "./node.ts";
import { run } from "./processes.ts";
import { checkRepository, exclusively, fetchRemotes, repositoryOf, resolveBase } from "./repository.ts";
import { slugOf } from "./slug.ts";
import { expireTrash, saveWork, stateOf, trashRef } from "./trash.ts";

/** WORKTREE-03: more tasks of one name than this are a mistake in a loop rather than a wish. */
const MAX_SUFFIX = 99;
/** Deleting a branch on a remote is one short exchange; the caller waits for it. */
const REMOTE_TIMEOUT_MS = 30_000;
/** Measured in the background; a cold disk with many worktrees takes minutes. */
const DISK_TIMEOUT_MS = 10 * 60_000;
const OWN_BRANCH = /^argus\/./;

export interface WorktreeOptions {
  /** Unix milliseconds. */
  now?: () => number;
  /** Time limit of the fetch before a creation. */
  fetchTimeoutMs?: number;
}

export function worktrees(options: WorktreeOptions = {}): Worktrees {
  const now = options.now ?? Date.now;
  return {
    checkRepository,
    create: (request) => create(request, options.fetchTimeoutMs),
    discard: (request) => discard(request),
    state: stateOf,
    remove: (request) => remove(request, now),
    recover,
    expireTrash: (projectPath, days) => exclusively(projectPath, () => expireTrash(projectPath, days, now())),
    orphans: orphanFolders,
    contract: readContract,
    copyIgnored,
    carry,
    exclude: excludeLocally,
    repositoryOf,
    diskUse,
  };
}

/** A project's name as a folder; the daemon checks names when a project is registered, this only keeps the path inside the root. */
function projectFolder(root: string, project: string): string {
  if (project === "" || project.startsWith(".") || project.startsWith("-") || /[/\\\0]/.test(project))
    throw new ArgusError(
      "INVALID_INPUT",
      `"${project}" cannot be the folder of a project. Use a name without slashes that begins with a letter or digit.`,
    );
  return join(root, project);
}

async function create(request: CreateWorktree, fetchTimeoutMs?: number): Promise<CreatedWorktree> {
  const { projectPath, signal } = request;
  const folder = projectFolder(request.root, request.project);
  request.onStep?.("fetch");
  // Side by side: each git process costs about 8 ms, most of it its start. The answer of the check is heard first, because its words are the better ones.
  const checked = checkRepository(projectPath);
  const based = fetchRemotes(projectPath, signal, fetchTimeoutMs).then(() => resolveBase(projectPath, request.base, request.projectBranch));
  await Promise.allSettled([checked, based]);
  await checked;
  const base = await based;
  signal?.throwIfAborted();
  request.onStep?.("worktree");
  return exclusively(
    projectPath,
    async () => {
      signal?.throwIfAborted();
      const reserved = reserve(projectPath, folder, request.name);
      // A stale entry of a folder that was deleted by hand keeps its branch locked.
      await Promise.allSettled([gitWrite(projectPath, ["worktree", "prune"], { signal }), reserved]);
      const { slug, path } = await reserved;
      const branch = `argus/${slug}`;
      try {
        await addWorktree(projectPath, ["--no-track", "-b", branch], path, base.commit, signal);
        return { path: await realpath(path), slug, branch, baseRef: base.ref, baseCommit: base.commit };
      } catch (cause) {
        await takeAway(projectPath, path, branch);
        throw cause;
      }
    },
    signal,
  );
}

/** `git worktree add`, counting as done when only a hook after the checkout failed (WORKTREE-08). */
async function addWorktree(projectPath: string, args: string[], path: string, commit: string, signal?: AbortSignal): Promise<void> {
  const result = await gitWrite(projectPath, ["worktree", "add", "--quiet", ...args, "--", path, commit], { signal });
  if (result.code === 0) return;
  const made = !result.timedOut && (await lstat(join(path, ".git")).catch(() => null))?.isFile();
  if (!made) throw new ArgusError("CONFLICT", `Could not create the worktree ${path}: ${fatalLines(result)}`);
}

/** The first free of `slug`, `slug-1` ... `slug-99`; its folder is made at once, so that nobody else can take it. */
async function reserve(projectPath: string, folder: string, name: string): Promise<{ slug: string; path: string }> {
  const plain = slugOf(name);
  const list = await gitText(projectPath, ["for-each-ref", "--format=%(refname)", "refs/heads/argus/"]);
  // Compared in lower case: on a disk that ignores case two such branches would be one file.
  const taken = new Set<string>();
  for (const ref of list.toLowerCase().split("\n").filter(Boolean)) {
    // A branch argus/a/b makes argus/a impossible.
    taken.add(ref.slice("refs/heads/argus/".length).split("/")[0] ?? "");
  }
  for (let suffix = 0; suffix <= MAX_SUFFIX; suffix++) {
    const slug = suffix === 0 ? plain : `${plain}-${suffix}`;
    if (taken.has(slug.toLowerCase())) continue;
    const path = join(folder, slug);
    if (await makeFolder(path)) return { slug, path };
  }
  throw new ArgusError(
    "CONFLICT",
    `"${plain}" and "${plain}-1" to "${plain}-${MAX_SUFFIX}" are all taken in ${folder}. Choose another name, or clean up old tasks.`,
  );
}

/** Makes a folder; false when something of that name is there. */
async function makeFolder(path: string): Promise<boolean> {
  for (;;) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    try {
      await mkdir(path);
      return true;
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === "EEXIST") return false;
      // The clean-up of another task just removed the empty project folder.
      if (code !== "ENOENT") throw cause;
    }
  }
}

/** Removes folder, worktree entry and branch, in the order git needs: it keeps a branch whose entry is stale. */
async function takeAway(projectPath: string, path: string, branch: string): Promise<void> {
  const repository = (await lstat(projectPath).catch(() => null))?.isDirectory() ?? false;
  // Twice --force: an agent may have locked its worktree.
  if (repository) await gitWrite(projectPath, ["worktree", "remove", "--force", "--force", "--", path]);
  await removeTree(path);
  await removeIfEmpty(dirname(path));
  if (!repository) return;
  await gitWrite(projectPath, ["worktree", "prune"]);
  // WORKTREE-25. Fails, as it should, for a branch that somebody has checked out elsewhere.
  if (OWN_BRANCH.test(branch)) await gitWrite(projectPath, ["branch", "--quiet", "-D", "--", branch]);
}

async function discard(request: Omit<RemoveWorktree, "taskId">): Promise<void> {
  const path = await removablePath(request.path, request.root, request.projectPath);
  await exclusively(request.projectPath, () => takeAway(request.projectPath, path, request.branch));
}

async function remove(request: RemoveWorktree, now: () => number): Promise<{ savedRef: string | null }> {
  const { projectPath, branch, force } = request;
  const path = await removablePath(request.path, request.root, projectPath);
  return exclusively(projectPath, async () => {
    const savedRef = await saveWork({ ...request, worktree: path, now: now() }).catch((cause: unknown) => {
      if (force) return null;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new ArgusError(
        "CONFLICT",
        `${path} was kept, because its work could not be stored first: ${reason} Pass force to remove it and lose that work.`,
      );
    });
    if (request.remote && OWN_BRANCH.test(branch)) await deleteRemoteBranch(projectPath, branch);
    await takeAway(projectPath, path, branch);
    return { savedRef };
  });
}

/** Runs before anything local is removed, so that a failure leaves everything as it was. Throws UNAVAILABLE. */
async function deleteRemoteBranch(projectPath: string, branch: string): Promise<void> {
  for (const remote of (await gitText(projectPath, ["remote"])).split("\n").filter(Boolean)) {
    if (!(await commitOf(projectPath, `refs/remotes/${remote}/${branch}`))) continue;
    const result = await gitWrite(projectPath, ["push", "--quiet", "--no-verify", "--delete", "--", remote, `refs/heads/${branch}`], {
      timeoutMs: REMOTE_TIMEOUT_MS,
    });
    if (result.code !== 0 && !/remote ref does not exist/.test(result.stderr))
      throw new ArgusError(
        "UNAVAILABLE",
        `Could not delete ${branch} on ${remote}: ${fatalLines(result)}. Nothing was removed; try again, or without remote.`,
      );
  }
}

/** One `du` for all, outside this process: a dependency folder has a hundred thousand files. */
async function diskUse(paths: string[]): Promise<Record<string, number>> {
  if (paths.length === 0) return {};
  const { stdout } = await run(["du", "-sk", "--", ...paths], { cwd: "/", timeoutMs: DISK_TIMEOUT_MS });
  const sizes = stdout.split("\n").flatMap((line) => {
    const [, blocks, path] = /^(\d+)\s+(.+)$/.exec(line) ?? [];
    return path === undefined ? [] : [[path, Number(blocks) * 1024]];
  });
  return Object.fromEntries(sizes);
}

async function recover(projectPath: string, taskId: string, into: string): Promise<{ path: string; branch: string }> {
  if (!isAbsolute(into))
    throw new ArgusError("INVALID_INPUT", `Cannot recover into "${into}": it is relative. Pass the absolute path of a new folder.`);
  const ref = await trashRef(projectPath, taskId);
  const saved = await commitOf(projectPath, ref);
  if (!saved)
    throw new ArgusError(
      "NOT_FOUND",
      `There is no safety copy of task ${taskId} in ${projectPath}. Copies are kept 30 days, and made only of work that exists nowhere else.`,
    );
  if ((await readdir(into).catch(() => [])).length > 0 || (await lstat(into).catch(() => null))?.isFile())
    throw new ArgusError("CONFLICT", `Cannot recover into ${into}: something is there. Pass a folder that does not exist.`);
  const branch = `argus/recovered-${taskId}`;
  return exclusively(projectPath, async () => {
    if ((await gitRead(projectPath, ["show-ref", "--verify", "--quiet", `refs/heads/${branch}`])).code === 0)
      throw new ArgusError(
        "CONFLICT",
        `Task ${taskId} was recovered before: the branch ${branch} exists. Check it out, or delete it and try again.`,
      );
    await gitWrite(projectPath, ["worktree", "prune"]);
    await mkdir(dirname(into), { recursive: true });
    try {
      await addWorktree(projectPath, ["--no-track", "-b", branch], into, saved);
      const parents = (await gitText(projectPath, ["rev-list", "--parents", "--max-count=1", saved])).split(" ").slice(1);
      // Back to how the task was left: its commits, and what was uncommitted uncommitted. More parents hold commits that only this branch names.
      if (parents.length === 1) await gitChange(into, ["reset", "--quiet", "--mixed", parents[0] ?? saved]);
    } catch (cause) {
      await takeAway(projectPath, into, branch);
      throw cause;
    }
    return { path: await realpath(into), branch };
  });
}
