/** What people see of a worktree: its status and its changes, bounded, without changing index or files and without running anything the repository names. */
import { ArgusError } from "@argus/protocol";
import { commitOf, fatalLines, type GitOptions, gitRead, gitText, gitWrite } from "./gitcommand.ts";
import type { GitReader, GitStatus } from "./node.ts";
import { insidePath } from "./paths.ts";
import { withIndex } from "./trash.ts";

/** 4 MiB of diff is about 80,000 lines: nobody reads more, and a browser still copes. */
const MAX_DIFF_BYTES = 4 * 1024 * 1024;
const TRUNCATED = "\n[truncated: only the first 4 MiB are shown]\n";
/** Neither a configured diff program nor a text converter runs, no program of an inner repository either, and the output looks the same whatever the user's settings are. */
const DIFF = [
  "diff",
  "--no-ext-diff",
  "--no-textconv",
  "--no-color",
  "--src-prefix=a/",
  "--dst-prefix=b/",
  "--find-renames",
  "--ignore-submodules=dirty",
];

export const gitReader: GitReader = { status, fileDiff, remoteUrl, contains };

async function bounded(worktree: string, args: string[], options: GitOptions): Promise<string> {
  const result = await gitRead(worktree, args, { ...options, maxBytes: MAX_DIFF_BYTES, stopWhenFull: true });
  if (result.truncated) return result.stdout.slice(0, result.stdout.lastIndexOf("\n")) + TRUNCATED;
  if (result.code !== 0) throw new ArgusError("CONFLICT", `git ${args[0]} failed in ${worktree}: ${fatalLines(result)}`);
  return result.stdout;
}

/** What the branch is compared with: where it left its base, else the base as given, else HEAD. */
async function rangeStart(worktree: string, baseCommit: string | undefined): Promise<string> {
  const head = await commitOf(worktree, "HEAD");
  if (!head) return emptyTree(worktree);
  const base = baseCommit ? await commitOf(worktree, baseCommit) : await guessedBase(worktree);
  if (!base) return head;
  const common = await gitRead(worktree, ["merge-base", base, head]);
  return common.code === 0 ? common.stdout.trim() : base;
}

/** What a branch without a commit is compared with; git knows this object without storing it, and its id depends on the repository's hash. */
function emptyTree(worktree: string): Promise<string> {
  return gitText(worktree, ["hash-object", "-t", "tree", "--stdin"], { input: "" });
}

async function guessedBase(worktree: string): Promise<string | null> {
  return (await commitOf(worktree, "refs/remotes/origin/HEAD")) ?? (await commitOf(worktree, "main-worktree/HEAD"));
}

/** Runs `work` with an index in which untracked files are marked as added, so that one `git diff` shows them too. */
function withUntracked<Result>(worktree: string, only: string[], work: (options: GitOptions) => Promise<Result>): Promise<Result> {
  return withIndex(worktree, async (options) => {
    // Files that cannot be read are left out rather than hiding all the others.
    const settings = ["-c", "core.fsmonitor=false", "-c", "core.safecrlf=false", "-c", "advice.addEmbeddedRepo=false"];
    await gitWrite(worktree, [...settings, "--literal-pathspecs", "add", "--intent-to-add", "--ignore-errors", ...only], options);
    return work(options);
  });
}

/** Throws NOT_FOUND when the worktree is gone, CONFLICT with git's words when git cannot read it. */
async function status(worktree: string, baseCommit?: string): Promise<GitStatus> {
  await insidePath(worktree, ".", { follow: true });
  const start = await rangeStart(worktree, baseCommit);
  const head = (await commitOf(worktree, "HEAD")) ?? (await emptyTree(worktree));
  const text = bounded(worktree, ["status", "--porcelain=v1", "--untracked-files=normal", "--ignore-submodules=dirty"], {});
  const diffs = withUntracked(worktree, ["--", "."], (options) =>
    Promise.all([
      bounded(worktree, [...DIFF, head, "--"], options),
      start === head ? null : bounded(worktree, [...DIFF, start, "--"], options),
      bounded(worktree, [...DIFF, "--name-status", start, "--"], options),
    ]),
  );
  const [state, [diff, branchDiff, branchFiles]] = await Promise.all([text, diffs]);
  return { status: state, diff, branchDiff: branchDiff ?? diff, branchFiles };
}

/** Throws INVALID_INPUT for a path outside the worktree. A file without changes gives an empty text. */
async function fileDiff(worktree: string, file: string, baseCommit?: string): Promise<string> {
  const path = await insidePath(worktree, file, { follow: false });
  if (path === ".") throw new ArgusError("INVALID_INPUT", "No file was named. Pass a path relative to the worktree, such as src/main.ts.");
  const start = await rangeStart(worktree, baseCommit);
  return withUntracked(worktree, ["--force", "--", path], (options) =>
    bounded(worktree, ["--literal-pathspecs", ...DIFF, start, "--", path], options),
  );
}

async function contains(worktree: string, commit: string): Promise<boolean> {
  if (!/^[0-9a-f]{4,64}$/.test(commit)) return false;
  const result = await gitRead(worktree, ["merge-base", "--is-ancestor", commit, "HEAD"]).catch(() => null);
  return result?.code === 0;
}

/** The address people open in a browser, or null when there is no remote that has one. Never holds credentials. */
async function remoteUrl(projectPath: string): Promise<string | null> {
  const names = (await gitText(projectPath, ["remote"])).split("\n").filter(Boolean);
  const name = ["origin", "upstream"].find((wanted) => names.includes(wanted)) ?? names[0];
  if (!name) return null;
  const result = await gitRead(projectPath, ["remote", "get-url", "--", name]);
  return result.code === 0 ? webAddress(result.stdout.trim()) : null;
}

/** `git@host:owner/name.git`, `ssh://git@host:22/owner/name` and `https://token@host/owner/name.git` as `https://host/owner/name`; null for a local path. */
export function webAddress(remote: string): string | null {
  const short = /^(?:[\w.-]+@)?([\w.-]+\.[\w.-]+|localhost):(?!\/\/)\/?(.+)$/.exec(remote);
  const long = /^(https?|ssh|git):\/\/(?:[^@/]*@)?([^/:]+)(?::(\d+))?\/(.+)$/.exec(remote);
  const clean = (path: string) => path.replace(/\/+$/, "").replace(/\.git$/, "");
  if (long) {
    const [, scheme = "", host = "", port, path = ""] = long;
    const web = scheme.startsWith("http");
    return `${web ? scheme : "https"}://${host}${web && port ? `:${port}` : ""}/${clean(path)}`;
  }
  return short ? `https://${short[1]}/${clean(short[2] ?? "")}` : null;
}
