/** What is true of a whole repository: one change at a time, one fetch at a time, and the answer to "is this a repository". */
import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { commitOf, fatalLines, gitRead, gitText, gitWrite, spellings } from "./gitcommand.ts";

/** A slow remote must not hold up a creation longer; the task then starts from what is known locally. */
const FETCH_TIMEOUT_MS = 15_000;

const queues = new Map<string, Promise<unknown>>();

/** Known keys by path. A path that later holds another repository keeps its old key, which is as good for queueing. */
const keys = new Map<string, string>();
const KEYS_REMEMBERED = 2_000;

/** Key under which all worktrees of one repository meet: the real path of its common git directory. */
async function repositoryKey(path: string): Promise<string> {
  const known = keys.get(path);
  if (known !== undefined) return known;
  const key = await commonDirectory(path);
  if (key === null) return path;
  if (keys.size >= KEYS_REMEMBERED) keys.clear();
  keys.set(path, key);
  return key;
}

/** The git directory that all worktrees of a repository share, or null outside of one. */
export async function commonDirectory(path: string): Promise<string | null> {
  const result = await gitRead(path, ["rev-parse", "--path-format=absolute", "--git-common-dir"]).catch(() => null);
  if (result?.code !== 0) return null;
  const folder = result.stdout.trim();
  return await realpath(folder).catch(() => folder);
}

/**
 * Runs changes of one repository one after the other, since git's own locks fail instead of waiting; other repositories go on meanwhile. An abort while
 * waiting for the turn rejects at once; `work` that has begun is waited for, so that it can clean up behind itself.
 */
export async function exclusively<Result>(path: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  const key = await repositoryKey(path);
  signal?.throwIfAborted();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const before = queues.get(key) ?? Promise.resolve();
  const turn = before.then(() => {
    signal?.throwIfAborted();
    begin();
    return work();
  });
  const settled = turn.then(
    () => {},
    () => {},
  );
  queues.set(key, settled);
  void settled.then(() => {
    if (queues.get(key) === settled) queues.delete(key);
  });
  await waitFor(Promise.race([begun, settled]), signal);
  return turn;
}

interface Fetching {
  done: Promise<void>;
  waiting: number;
  stop: AbortController;
}
const fetches = new Map<string, Fetching>();

/**
 * Fetches all remotes, best effort. Creations that come while a fetch of the same repository runs share it; when the last one gives up, it ends.
 * Rejects only when `signal` aborts.
 */
export async function fetchRemotes(projectPath: string, signal?: AbortSignal, timeoutMs = FETCH_TIMEOUT_MS): Promise<void> {
  signal?.throwIfAborted();
  const remotes = await gitRead(projectPath, ["remote"]);
  if (remotes.stdout.trim() === "") return;
  const key = await repositoryKey(projectPath);
  let running = fetches.get(key);
  if (!running) {
    const stop = new AbortController();
    // Never with pruning: on a disk that ignores case, pruning and origin/HEAD together remove refs that exist.
    const args = [
      "fetch",
      "--all",
      "--jobs=4",
      "--no-prune",
      "--no-prune-tags",
      "--no-write-fetch-head",
      "--no-auto-maintenance",
      "--no-recurse-submodules",
      "--quiet",
    ];
    const done = gitWrite(projectPath, args, { timeoutMs, signal: stop.signal }).then(
      () => {},
      () => {},
    );
    running = { done, waiting: 0, stop };
    fetches.set(key, running);
    void done.then(() => fetches.delete(key));
  }
  const mine = running;
  mine.waiting++;
  try {
    await waitFor(mine.done, signal);
  } finally {
    if (--mine.waiting === 0 && fetches.get(key) === mine) {
      mine.stop.abort(new Error("nobody waits for this fetch"));
      await mine.done;
    }
  }
}

async function waitFor(done: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (!signal) return done;
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    void done.then(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}

/** WORKTREE-04: the top of a repository, or INVALID_INPUT saying what would work. Returns the default branch (`HEAD` when there is none). */
export async function checkRepository(path: string): Promise<{ branch: string }> {
  if (!isAbsolute(path))
    throw new ArgusError(
      "INVALID_INPUT",
      `A project needs an absolute path; "${path}" is relative. Pass the full path of a git repository.`,
    );
  const folder = await stat(path).catch(() => null);
  if (!folder?.isDirectory())
    throw new ArgusError("INVALID_INPUT", `There is no folder ${path}. Pass the absolute path of an existing git repository.`);
  const top = await gitRead(path, ["rev-parse", "--is-bare-repository", "--show-toplevel"]);
  const [bare, topLevel] = top.stdout.split("\n");
  if (bare !== "true") {
    if (top.code !== 0)
      throw new ArgusError(
        "INVALID_INPUT",
        `${path} is not a git repository (${fatalLines(top)}). Run "git init" there, or pass the path of a repository.`,
      );
    if ((await realpath(path)) !== (await realpath(topLevel ?? ""))) {
      throw new ArgusError("INVALID_INPUT", `${path} is a folder inside the repository ${topLevel}. Pass ${topLevel}.`);
    }
  }
  return { branch: await defaultBranch(path) };
}

async function defaultBranch(path: string): Promise<string> {
  const remote = await gitRead(path, ["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
  if (remote.code === 0) return remote.stdout.trim().replace(/^origin\//, "");
  return headBranch(path);
}

async function headBranch(path: string): Promise<string> {
  const head = await gitRead(path, ["symbolic-ref", "--quiet", "--short", "HEAD"]);
  return head.code === 0 ? head.stdout.trim() : "HEAD";
}

/**
 * WORKTREE-05: where a task's branch starts. An unknown name is an error with git's own words rather than a silent start from somewhere else.
 * Throws INVALID_INPUT.
 */
export async function resolveBase(projectPath: string, base?: string, projectBranch?: string): Promise<{ ref: string; commit: string }> {
  const wanted = base?.trim() || projectBranch?.trim() || "HEAD";
  for (const name of spellings(wanted)) {
    const commit = await commitOf(projectPath, name);
    if (commit) return { ref: name === "HEAD" ? await headBranch(projectPath) : name, commit };
  }
  if (/[\0\n]/.test(wanted)) throw new ArgusError("INVALID_INPUT", "A start point must be one line of text. Pass a branch, tag or commit.");
  const words = fatalLines(await gitRead(projectPath, ["cat-file", "commit", "--end-of-options", wanted]));
  const advice =
    wanted === "HEAD"
      ? "The repository has no commit yet: make one first."
      : `Looked for ${spellings(wanted).join(", ")}. Pass a branch, tag or commit that exists.`;
  throw new ArgusError("INVALID_INPUT", `Cannot start from "${wanted}" in ${projectPath}: ${words}. ${advice}`);
}

/** What counts as "the base branch" when asking whether work exists elsewhere: the project's branch, else what the main checkout has. */
export async function baseCommits(projectPath: string, projectBranch?: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of spellings(projectBranch?.trim() || "HEAD")) {
    const commit = await commitOf(projectPath, name);
    if (commit) found.push(commit);
  }
  return found;
}

/** Path of the main checkout (or bare repository) a worktree belongs to, or null when its `.git` file leads nowhere. */
export async function repositoryOf(worktree: string): Promise<string | null> {
  if (!(await readFile(join(worktree, ".git"), "utf8").catch(() => null))) return null;
  const list = await gitText(worktree, ["worktree", "list", "--porcelain"]).catch(() => "");
  const first = /^worktree (.+)$/m.exec(list);
  return first?.[1] ?? null;
}
