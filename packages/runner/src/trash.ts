/** Keeps the work of a worktree that is about to go: a commit with every change, reachable through refs/argus/trash/<task id>. */
import { copyFile, lstat, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { commitOf, fatalLines, type GitOptions, gitChange, gitRead, gitText, gitWrite } from "./gitcommand.ts";
import type { WorktreeState } from "./node.ts";
import { baseCommits } from "./repository.ts";

/** Independent of any identity configured on the machine: a safety copy must not fail for want of a name. */
const IDENTITY = "Argus";
const ADDRESS = "argus@localhost";
const SECONDS_PER_DAY = 86_400;

/** Ref of a task's safety copy. Throws INVALID_INPUT for an id that cannot be part of one. */
export async function trashRef(projectPath: string, taskId: string): Promise<string> {
  const ref = `refs/argus/trash/${taskId}`;
  const plain = !taskId.includes("/") && !taskId.includes("\0");
  if (plain && (await gitRead(projectPath, ["check-ref-format", ref])).code === 0) return ref;
  throw new ArgusError("INVALID_INPUT", `"${taskId}" cannot name a safety copy. Pass the id of a task.`);
}

/** Runs `work` with an index of its own that starts as a copy of the worktree's, so that neither the worktree nor its index is touched. */
export async function withIndex<Result>(worktree: string, work: (options: GitOptions) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), "argus-index-"));
  try {
    const index = join(folder, "index");
    const real = await gitText(worktree, ["rev-parse", "--path-format=absolute", "--git-path", "index"]);
    // Copied rather than read from HEAD: its file times spare hashing every unchanged file.
    await copyFile(real, index).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
    });
    return await work({ env: { GIT_INDEX_FILE: index, GIT_OPTIONAL_LOCKS: "1" } });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tree with everything a worktree holds now: staged, unstaged, deleted and untracked, not ignored. Throws CONFLICT with git's words. */
export async function treeOf(worktree: string): Promise<string> {
  return withIndex(worktree, async (options) => {
    const settings = [
      "-c",
      "core.fsmonitor=false",
      "-c",
      "core.untrackedCache=false",
      "-c",
      "core.safecrlf=false",
      "-c",
      "advice.addEmbeddedRepo=false",
    ];
    const added = await gitWrite(worktree, [...settings, "add", "--all", "--", ":/"], options);
    if (added.code !== 0) throw new ArgusError("CONFLICT", `git add failed in ${worktree}: ${fatalLines(added)}`);
    return gitChange(worktree, ["write-tree"], options);
  });
}

/** True when something in the worktree is not in its last commit; ignored files do not count, and what is inside other repositories is asked of those. */
async function isDirty(worktree: string): Promise<boolean> {
  return (
    (await gitText(worktree, ["status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty"], {
      maxBytes: 4096,
      stopWhenFull: false,
    })) !== ""
  );
}

/** Commits of `tips` that are on no remote and in none of `elsewhere`. A branch that is about to be deleted on its remote too counts for nothing. */
async function unsavedCommits(projectPath: string, tips: string[], elsewhere: string[], goingRemote?: string): Promise<number> {
  if (tips.length === 0) return 0;
  const except = goingRemote ? [`--exclude=*/${goingRemote}`] : [];
  const args = ["rev-list", "--count", ...tips, "--not", ...except, "--remotes", ...elsewhere];
  return Number(await gitText(projectPath, args));
}

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isDirectory() ?? false;
}

/** Without its own `.git` git would answer for whatever repository lies above, such as a home directory kept in git. */
async function requireGitFile(worktree: string): Promise<void> {
  if (await lstat(join(worktree, ".git")).catch(() => null)) return;
  throw new ArgusError(
    "CONFLICT",
    `${worktree} is no worktree any more (its .git file is gone), so git cannot say or save what it holds. Look at it yourself.`,
  );
}

/** What an automatic clean-up must know before it removes a worktree (WORKTREE-27). Throws CONFLICT when git cannot tell: unknown is not clean. */
export async function stateOf(worktree: string, projectPath: string, projectBranch?: string): Promise<WorktreeState> {
  if (!(await isFolder(worktree))) return { exists: false, dirty: false, unsavedCommits: 0 };
  await requireGitFile(worktree);
  const head = await commitOf(worktree, "HEAD");
  const [dirty, unsaved] = await Promise.all([
    isDirty(worktree),
    unsavedCommits(projectPath, head ? [head] : [], await baseCommits(projectPath, projectBranch)),
  ]);
  return { exists: true, dirty: dirty || (await nestedWork(worktree)).length > 0, unsavedCommits: unsaved };
}

/** Whether an inner repository's own configuration names filter programs: an agent may have written it, and asking for its status would run them. */
async function namesPrograms(folder: string): Promise<boolean> {
  const listed = await gitRead(folder, ["config", "--show-scope", "--get-regexp", "^filter\\."]);
  return listed.code === 0 && /^(?:local|worktree)\s/m.test(listed.stdout);
}

/** Repositories inside the worktree (submodules, clones) whose work a commit of the outer one would not hold. */
async function nestedWork(worktree: string): Promise<string[]> {
  const [tracked, untracked] = await Promise.all([
    gitText(worktree, ["ls-files", "--stage", "-z"], { maxBytes: 256 * 1024 * 1024 }),
    gitText(worktree, ["ls-files", "--others", "--exclude-standard", "-z"], { maxBytes: 64 * 1024 * 1024 }),
  ]);
  const links = tracked.split("\0").flatMap((line) => (line.startsWith("160000 ") ? [line.slice(line.indexOf("\t") + 1)] : []));
  // git does not look into a repository inside another one: it lists the folder itself.
  const clones = untracked.split("\0").filter((line) => line.endsWith("/"));
  const unsaved: string[] = [];
  for (const name of [...links, ...clones]) {
    const folder = join(worktree, name);
    if (!(await lstat(join(folder, ".git")).catch(() => null))) continue;
    const head = await commitOf(folder, "HEAD");
    if ((await namesPrograms(folder)) || (await isDirty(folder)) || (head && (await unsavedCommits(folder, [head], [])) > 0))
      unsaved.push(name);
  }
  return unsaved;
}

export interface SafetyCopy {
  projectPath: string;
  worktree: string;
  branch: string;
  taskId: string;
  projectBranch?: string;
  /** The branch is about to be deleted on its remote too. */
  remote?: boolean;
  now: number;
}

/**
 * WORKTREE-26: stores dirty or unpushed work and returns its ref, or null when all of it exists elsewhere. The commit's tree is what the worktree holds now,
 * its first parent the worktree's HEAD; a branch tip or an earlier copy that HEAD does not contain becomes another parent. Throws CONFLICT.
 */
export async function saveWork(request: SafetyCopy): Promise<string | null> {
  const { projectPath, worktree, branch, now } = request;
  const ref = await trashRef(projectPath, request.taskId);
  const exists = await isFolder(worktree);
  if (exists) await requireGitFile(worktree);
  const head = exists ? await commitOf(worktree, "HEAD") : null;
  const tip = branch === "" ? null : await commitOf(projectPath, `refs/heads/${branch}`);
  const earlier = await commitOf(projectPath, ref);
  const dirty = exists && (await isDirty(worktree));
  if (exists) {
    const nested = await nestedWork(worktree);
    if (nested.length > 0)
      throw new ArgusError(
        "CONFLICT",
        `The repositories ${nested.join(", ")} inside ${worktree} hold work that is on no remote. Commit and push it, or move them away.`,
      );
  }
  const tips = [...new Set([head, tip].filter((commit) => commit !== null))];
  const base = await baseCommits(projectPath, request.projectBranch);
  const going = request.remote ? branch : undefined;
  const unsaved = await unsavedCommits(projectPath, tips, earlier ? [...base, earlier] : base, going);
  if (!dirty && unsaved === 0) return earlier ? ref : null;

  const first = head ?? tip;
  const tree = dirty ? await treeOf(worktree) : await gitText(projectPath, ["rev-parse", `${first}^{tree}`]);
  const parents = await independent(projectPath, [first, tip, earlier]);
  const date = `${Math.floor(now / 1000)} +0000`;
  const env = {
    GIT_AUTHOR_NAME: IDENTITY,
    GIT_AUTHOR_EMAIL: ADDRESS,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: IDENTITY,
    GIT_COMMITTER_EMAIL: ADDRESS,
    GIT_COMMITTER_DATE: date,
  };
  const message = `Safety copy of task ${request.taskId}\n\nBranch: ${branch}\n`;
  const commit = await gitChange(projectPath, ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent])], {
    env,
    input: message,
  });
  await gitChange(projectPath, ["update-ref", "--no-deref", "-m", "argus: safety copy", ref, commit]);
  return ref;
}

/** The first commit, then those that none before them contains. */
async function independent(projectPath: string, commits: (string | null)[]): Promise<string[]> {
  const kept: string[] = [];
  for (const commit of commits) {
    if (!commit || kept.includes(commit)) continue;
    const missing =
      kept.length === 0 || Number(await gitText(projectPath, ["rev-list", "--count", "--max-count=1", commit, "--not", ...kept])) > 0;
    if (missing) kept.push(commit);
  }
  return kept;
}

/** Drops safety copies made more than `days` before `now` (Unix milliseconds). Returns how many. */
export async function expireTrash(projectPath: string, days: number, now: number): Promise<number> {
  const list = await gitText(projectPath, ["for-each-ref", "--format=%(objectname) %(committerdate:unix) %(refname)", "refs/argus/trash/"]);
  const limit = now / 1000 - days * SECONDS_PER_DAY;
  let dropped = 0;
  for (const line of list.split("\n").filter(Boolean)) {
    const [commit = "", date = "", ref = ""] = line.split(" ");
    if (Number(date) >= limit) continue;
    await gitChange(projectPath, ["update-ref", "--no-deref", "-d", ref, commit]);
    dropped++;
  }
  return dropped;
}
