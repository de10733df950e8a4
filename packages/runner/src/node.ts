/** A machine with hands. A feature that touches a file, a git repository or a process does it only through this interface, so that a fleet is a configuration. */
import type { ExitRecord, SessionInfo, Snapshot, SpawnRequest, Watch, WatchHandlers } from "@argus/supervisor/client";

export interface Node {
  readonly name: string;
  readonly worktrees: Worktrees;
  readonly git: GitReader;
  readonly files: Files;
  readonly sessions: Sessions;
  readonly processes: Processes;
  readonly conversations: Conversations;
  readonly ports: Ports;
}

// ---------------------------------------------------------------- worktrees

export interface CreateWorktree {
  /** Absolute path of the project's repository. */
  projectPath: string;
  /** Folder all worktrees of all projects live in. */
  root: string;
  project: string;
  /** Display name; the slug is made from it. */
  name: string;
  /** Requested base (branch, tag, commit); empty or absent means `projectBranch`, else HEAD. */
  base?: string;
  projectBranch?: string;
  /** Called when a step begins: `fetch`, `worktree`. */
  onStep?: (step: string) => void;
  signal?: AbortSignal;
}
export interface CreatedWorktree {
  path: string;
  slug: string;
  branch: string;
  /** Reference the branch really started from, such as `origin/main`. */
  baseRef: string;
  baseCommit: string;
}
/** Why a worktree must not be removed by an automatic clean-up. */
export interface WorktreeState {
  exists: boolean;
  dirty: boolean;
  /** Commits that are on no remote and not in the base branch. */
  unsavedCommits: number;
}
export interface RemoveWorktree {
  projectPath: string;
  root: string;
  path: string;
  branch: string;
  taskId: string;
  projectBranch?: string;
  /** Remove even when the safety copy fails. */
  force?: boolean;
  /** Delete the branch on its remote too. */
  remote?: boolean;
}
/** A repository's `.argus/workspace.toml`, read and checked. */
export interface WorkspaceContract {
  /** SHA-256 of the file's bytes, hex; what a person consents to. */
  sha256: string;
  copy: string[];
  env: Record<string, string>;
  ports: number;
  setup: string[][];
  teardown: string[][];
  setupTimeoutS: number;
  teardownTimeoutS: number;
  unknownKeys: string[];
}
export interface Worktrees {
  /** Rejects with INVALID_INPUT and what would work when the path is not an absolute path to a git repository. Returns the default branch. */
  checkRepository(path: string): Promise<{ branch: string }>;
  create(request: CreateWorktree): Promise<CreatedWorktree>;
  /** Undo of `create` for a task that never came to be; no safety copy. */
  discard(request: Omit<RemoveWorktree, "taskId">): Promise<void>;
  state(path: string, projectPath: string, projectBranch?: string): Promise<WorktreeState>;
  /** Stores dirty or unpushed work under `refs/argus/trash/<task id>` first. Returns that ref, or null when nothing had to be saved. */
  remove(request: RemoveWorktree): Promise<{ savedRef: string | null }>;
  /** Checks the safety copy of a destroyed task out into `into` (a new folder) on branch `argus/recovered-<task id>`. */
  recover(projectPath: string, taskId: string, into: string): Promise<{ path: string; branch: string }>;
  /** Drops safety copies older than the given number of days. Returns how many. */
  expireTrash(projectPath: string, days: number): Promise<number>;
  /** Folders two levels below root that are not in `known` and not an ancestor of one; removal applies the same safety rules as `remove`. */
  orphans(root: string, known: string[]): Promise<string[]>;
  contract(projectPath: string): Promise<WorkspaceContract | null>;
  copyIgnored(projectPath: string, worktree: string, globs: string[]): Promise<string[]>;
  /** Brings the source's staged, unstaged and untracked, not ignored files (binaries and deletions too) into the target, uncommitted. */
  carry(source: string, target: string): Promise<void>;
  /** Keeps a path out of `git status` through the repository's local exclude file. */
  exclude(worktree: string, patterns: string[]): Promise<void>;
  /** The main checkout a worktree belongs to, or null when that cannot be told; for orphans, whose project no row names. */
  repositoryOf(worktree: string): Promise<string | null>;
  /** Bytes on disk per absolute path (WORKTREE-31); missing paths are left out. */
  diskUse(paths: string[]): Promise<Record<string, number>>;
}

// ---------------------------------------------------------------- git and files

export interface GitStatus {
  /** `git status --porcelain=v1` text. */
  status: string;
  /** Uncommitted changes as a unified diff against HEAD. */
  diff: string;
  /** Everything since the branch left its base, committed or not. */
  branchDiff: string;
  /** `git diff --name-status` lines of the same range, untracked files as `A`. */
  branchFiles: string;
}
export interface GitReader {
  status(worktree: string, baseCommit?: string): Promise<GitStatus>;
  /** Unified diff of one file against the base (untracked files as additions). Rejects absolute paths and `..` with INVALID_INPUT. */
  fileDiff(worktree: string, file: string, baseCommit?: string): Promise<string>;
  /** True when the commit of that hash is part of the worktree's branch; false for a folder that is gone. */
  contains(worktree: string, commit: string): Promise<boolean>;
  /** The remote's web address and default name, or null. */
  remoteUrl(projectPath: string): Promise<string | null>;
}
export interface FileEntry {
  path: string;
  /** Two-letter porcelain status, or empty. */
  status: string;
  is_dir: boolean;
}
export interface Files {
  list(worktree: string, dir: string): Promise<FileEntry[]>;
  /** Saves uploads below `<worktree>/.context/` under a cleaned base name, `-1`, `-2` on collision; returns the names. */
  saveContext(worktree: string, files: { name: string; bytes: Uint8Array }[]): Promise<string[]>;
  /** Reads at most `max` bytes from `offset`; a missing file is an empty buffer. */
  read(path: string, offset: number, max: number): Promise<{ bytes: Buffer; size: number }>;
  writePrivate(path: string, text: string): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Skills: folders with a SKILL.md below each root, first root wins on equal names. */
  skills(roots: string[]): Promise<{ name: string; description: string; path: string }[]>;
}

// ---------------------------------------------------------------- processes

export interface RunResult {
  code: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
  /** Something was cut at `maxBytes`. */
  truncated: boolean;
}
export interface Processes {
  /**
   * Runs a bounded auxiliary program (git, gh, hooks): no shell, own process group, killed as a group at the time limit. `env` is added to the node's
   * environment, of which PORT, NODE_ENV, NODE_OPTIONS, npm_*, ARGUS_* and git's location variables are dropped. Without `cwd` it runs in a fresh folder
   * that is removed afterwards. An abort rejects with the signal's reason.
   */
  run(
    argv: string[],
    options: { cwd?: string; env?: Record<string, string>; input?: string; timeoutMs: number; maxBytes?: number; signal?: AbortSignal },
  ): Promise<RunResult>;
  /** Absolute path of a program on PATH, or null. */
  which(program: string): Promise<string | null>;
  /** What the process trees below these pids take; pids that are gone, or a system without /proc, have no entry (SESSION-50). */
  load(pids: number[]): Promise<Map<number, Load>>;
}
export interface Load {
  /** Processor time so far, milliseconds. */
  cpuMs: number;
  /** Resident memory, bytes. */
  memory: number;
  /** The root was stopped by a signal. */
  stopped: boolean;
}

// ---------------------------------------------------------------- sessions

/** What a viewer is told, plus the one thing only a reconnection can bring. */
export interface ViewerHandlers extends WatchHandlers {
  /** The supervisor answers again and does not know the session: nothing more will come, and how it ended is unknown. That is not an exit. */
  onLost?(): void;
}

export type SessionsState = "connected" | "unreachable";

/** The supervisor of this machine, seen through reconnections. */
export interface Sessions {
  readonly state: SessionsState;
  spawn(request: SpawnRequest): Promise<{ pid: number }>;
  input(id: string, bytes: Uint8Array): Promise<void>;
  resize(id: string, cols: number, rows: number, viewer?: string): Promise<{ cols: number; rows: number }>;
  signal(id: string, signal: string, options?: { killAfterMs?: number }): Promise<void>;
  snapshot(id: string, options?: { scrollback?: number }): Promise<Snapshot>;
  /** Rejects with UNAVAILABLE when the supervisor cannot be asked: that is never "no sessions". */
  list(): Promise<SessionInfo[]>;
  /** Goes on by itself after a lost connection, from the byte after the last one delivered. */
  watch(id: string, handlers: ViewerHandlers, options?: { since?: number; viewer?: string; scrollback?: number }): Promise<Watch>;
  collect(id: string): Promise<void>;
  onExit(listener: (id: string, exit: ExitRecord) => void): () => void;
  /** Called after each (re)connection, before any other listener hears of the new connection. */
  onConnected(listener: () => void): () => void;
  /** Reads the output log of a task from an absolute offset; understands a log whose older part was dropped. */
  readLog(log: string, offset: number, max: number): Promise<{ bytes: Buffer; offset: number; total: number; oldest: number }>;
  /** Removes every file of an output log: the newest part, the older part and their index. */
  removeLog(log: string): Promise<void>;
  hello(): { protocol: number; build: string; pid: number; startedAt: number } | null;
  close(): void;
}

// ---------------------------------------------------------------- conversations of a harness

export interface Conversation {
  id: string;
  title: string;
  /** Unix milliseconds. */
  updatedAt: number;
  /** Transcript file, or null when the harness keeps it in a database. */
  file: string | null;
}
export interface Conversations {
  /** Conversations a harness recorded for a working directory, newest first. `store` names the layout; unknown stores and read errors give []. */
  list(store: "claude" | "codex" | "pi" | "opencode", cwd: string, home: string): Promise<Conversation[]>;
  /** Makes one the newest, so that the next capture does not switch back. */
  touch(conversation: Conversation): Promise<void>;
}

// ---------------------------------------------------------------- ports

export interface Ports {
  /** True when nobody listens on any of `count` TCP ports of 127.0.0.1 from `first` on, just now (WORKTREE-14). */
  free(first: number, count?: number): Promise<boolean>;
}
