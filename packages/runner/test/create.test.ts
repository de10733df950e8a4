import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { worktrees } from "../src/worktrees.ts";
import { ended, git, scratch, write } from "./scratch.ts";

const hands = worktrees();
const refused = (code: string, words: RegExp) => (thrown: { code?: string; message: string }) => {
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, words);
  return true;
};

/** Everything a creation could leave behind. */
const traces = (repository: string, root: string) => ({
  worktrees: git(repository, "worktree", "list", "--porcelain"),
  branches: git(repository, "for-each-ref"),
  entries: existsSync(join(repository, ".git/worktrees")) ? readdirSync(join(repository, ".git/worktrees")) : [],
  folders: existsSync(root) ? readdirSync(root) : [],
});

test("WORKTREE-01: a worktree is <root>/<project>/<slug> on branch argus/<slug>, starting at HEAD", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "worktrees");
  const steps: string[] = [];
  const created = await hands.create({
    projectPath: repository,
    root,
    project: "demo",
    name: "Fix the login!",
    onStep: (step) => steps.push(step),
  });
  const expected = {
    path: join(root, "demo", "Fix-the-login"),
    slug: "Fix-the-login",
    branch: "argus/Fix-the-login",
    baseRef: "main",
    baseCommit: git(repository, "rev-parse", "HEAD"),
  };
  assert.deepEqual(created, expected);
  assert.equal(git(created.path, "symbolic-ref", "--short", "HEAD"), created.branch);
  assert.equal(git(created.path, "status", "--porcelain"), "");
  assert.deepEqual(steps, ["fetch", "worktree"]);
});

test("WORKTREE-03: a taken folder or branch gets -1 to -99, then creation fails and leaves nothing", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "worktrees");
  const request = { projectPath: repository, root, project: "demo", name: "same" };
  mkdirSync(join(root, "demo", "same"), { recursive: true });
  git(repository, "branch", "argus/same-1");
  git(repository, "branch", "argus/SAME-2/deeper");
  assert.equal((await hands.create(request)).branch, "argus/same-3");
  for (let suffix = 4; suffix <= 99; suffix++) mkdirSync(join(root, "demo", `same-${suffix}`));
  const before = traces(repository, root);
  await assert.rejects(hands.create(request), refused("CONFLICT", /all taken/));
  assert.deepEqual(traces(repository, root), before);
});

test("WORKTREE-04: a relative path, a missing folder, a plain folder and a folder inside a repository are refused", async () => {
  using place = scratch();
  const repository = place.repository();
  mkdirSync(join(place.path, "plain"));
  mkdirSync(join(repository, "inside"));
  assert.deepEqual(await hands.checkRepository(repository), { branch: "main" });
  await assert.rejects(hands.checkRepository("demo"), refused("INVALID_INPUT", /relative/));
  await assert.rejects(hands.checkRepository(join(place.path, "none")), refused("INVALID_INPUT", /no folder/));
  await assert.rejects(
    hands.checkRepository(join(place.path, "plain")),
    refused("INVALID_INPUT", /not a git repository \(fatal: .*git init/s),
  );
  await assert.rejects(hands.checkRepository(join(repository, "inside")), refused("INVALID_INPUT", new RegExp(`Pass ${repository}\\.`)));
  await assert.rejects(
    hands.create({ projectPath: join(place.path, "plain"), root: place.path, project: "x", name: "y" }),
    refused("INVALID_INPUT", /not a git repository/),
  );
});

test("WORKTREE-05: the start point is tried as given, then upstream/, then origin/, and else git says why not", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "worktrees");
  const first = git(repository, "rev-parse", "HEAD");
  for (const remote of ["origin", "upstream"]) {
    git(repository, "switch", "-q", "-c", `only-${remote}`);
    git(repository, "switch", "-q", "-C", "both");
    const commit = place.commit(repository, remote);
    git(repository, "branch", "-f", `only-${remote}`, commit);
    place.remote(repository, remote);
    git(repository, "switch", "-q", "main");
    git(repository, "branch", "-q", "-D", "both", `only-${remote}`);
  }
  const at = async (base?: string, projectBranch?: string) =>
    (await hands.create({ projectPath: repository, root, project: "demo", name: "t", base, projectBranch })).baseRef;
  assert.equal(await at("only-origin"), "origin/only-origin");
  assert.equal(await at("only-upstream"), "upstream/only-upstream");
  assert.equal(await at("both"), "upstream/both");
  assert.equal(await at("main", "both"), "main");
  assert.equal(await at("", "both"), "upstream/both");
  assert.equal(await at(first), first);
  assert.equal(await at(), "main");
  const created = await hands.create({ projectPath: repository, root, project: "demo", name: "tracking", base: "only-origin" });
  assert.throws(() => git(created.path, "rev-parse", "@{upstream}"), "a task's branch must not push to its base by itself");
  const before = traces(repository, root);
  for (const base of ["no-such-branch", "--detach", "-f", "a b", "x\0y"])
    await assert.rejects(at(base), refused("INVALID_INPUT", base.includes("\0") ? /one line/ : /fatal: /));
  assert.deepEqual(traces(repository, root), before);
});

test("WORKTREE-05: a repository without a commit is told to make one", async () => {
  using place = scratch();
  const repository = join(place.path, "empty");
  git(place.path, "init", "-q", "-b", "main", repository);
  await assert.rejects(
    hands.create({ projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" }),
    refused("INVALID_INPUT", /no commit yet/),
  );
});

test("WORKTREE-06: remotes are fetched first without pruning, and neither a broken nor a hanging remote fails the creation", async () => {
  using place = scratch();
  const repository = place.repository();
  const bare = place.remote(repository);
  git(repository, "config", "fetch.prune", "true");
  git(repository, "update-ref", "refs/remotes/origin/gone", "HEAD");
  const other = join(place.path, "other");
  git(place.path, "clone", "-q", bare, other);
  const newest = place.commit(other, "newer");
  git(other, "push", "-q", "origin", "main");
  git(repository, "remote", "add", "broken", join(place.path, "nowhere.git"));
  const request = { projectPath: repository, root: join(place.path, "w"), project: "p", name: "n", base: "origin/main" };
  assert.equal((await hands.create(request)).baseCommit, newest);
  assert.equal(git(repository, "for-each-ref", "--format=%(refname)", "refs/remotes/origin/gone"), "refs/remotes/origin/gone");

  const pidFile = join(place.path, "pid");
  write(join(place.path, "hang"), `#!/bin/sh\necho $$ > ${pidFile}\nexec sleep 60\n`, 0o755);
  git(repository, "remote", "add", "slow", `ext::${join(place.path, "hang")}`);
  git(repository, "config", "protocol.ext.allow", "always");
  assert.ok((await worktrees({ fetchTimeoutMs: 500 }).create(request)).path);
  await ended(Number(readFileSync(pidFile, "utf8")));
});

test("WORKTREE-07: a cancel while fetching or while checking out leaves nothing behind", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "w");
  const before = traces(repository, root);
  const request = { projectPath: repository, root, project: "p", name: "n" };
  for (const when of ["fetch", "worktree"]) {
    const stop = new AbortController();
    const onStep = (step: string) => step === when && stop.abort(new Error("cancelled"));
    await assert.rejects(hands.create({ ...request, signal: stop.signal, onStep }), /cancelled/);
    assert.deepEqual(traces(repository, root), before);
  }
  // In the middle of git's own work: the hook runs when everything is checked out.
  const started = join(place.path, "started");
  write(join(repository, ".git/hooks/post-checkout"), `#!/bin/sh\necho > ${started}\nexec sleep 60\n`, 0o755);
  const stop = new AbortController();
  const creating = hands.create({ ...request, signal: stop.signal });
  while (!existsSync(started)) await new Promise((resolve) => setTimeout(resolve, 10));
  stop.abort(new Error("cancelled"));
  await assert.rejects(creating, /cancelled/);
  assert.deepEqual({ ...traces(repository, root), folders: [] }, before);
  assert.equal(existsSync(join(root, "p")), false);
});

test("WORKTREE-07: a checkout that fails takes its branch and folders with it", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "w");
  write(join(repository, ".gitattributes"), "*.txt filter=broken\n");
  place.commit(repository);
  git(repository, "config", "filter.broken.smudge", "false");
  git(repository, "config", "filter.broken.required", "true");
  const before = traces(repository, root);
  await assert.rejects(
    hands.create({ projectPath: repository, root, project: "p", name: "n" }),
    refused("CONFLICT", /fatal: readme.txt: smudge filter broken failed/),
  );
  assert.deepEqual({ ...traces(repository, root), folders: [] }, before);
  assert.equal(existsSync(join(root, "p")), false);
});

test("WORKTREE-07: discard takes back a finished creation, uncommitted files too", async () => {
  using place = scratch();
  const repository = place.repository();
  const root = join(place.path, "w");
  const before = traces(repository, root);
  const created = await hands.create({ projectPath: repository, root, project: "p", name: "n" });
  write(join(created.path, "new.txt"), "new");
  await hands.discard({ projectPath: repository, root, path: created.path, branch: created.branch });
  assert.deepEqual(traces(repository, root), before);
});

test("WORKTREE-08: a failing post-checkout hook does not fail the creation", async () => {
  using place = scratch();
  const repository = place.repository();
  write(join(repository, ".git/hooks/post-checkout"), "#!/bin/sh\nexit 3\n", 0o755);
  const created = await hands.create({ projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" });
  assert.ok(existsSync(join(created.path, "readme.txt")));
});

test("WORKTREE-01: a stale entry of a folder deleted by hand does not block its name", async () => {
  using place = scratch();
  const repository = place.repository();
  const request = { projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" };
  const created = await hands.create(request);
  rmSync(created.path, { recursive: true });
  git(repository, "worktree", "prune");
  git(repository, "branch", "-D", created.branch);
  git(repository, "worktree", "add", "-q", "-b", created.branch, created.path);
  rmSync(created.path, { recursive: true });
  git(repository, "update-ref", "-d", `refs/heads/${created.branch}`);
  assert.equal((await hands.create(request)).slug, "n");
});

test("WORKTREE-03: twelve creations of one name at once in one repository get twelve slugs and none fails on a lock", async () => {
  using place = scratch();
  const repository = place.repository();
  place.remote(repository);
  const root = join(place.path, "w");
  const all = await Promise.all(Array.from({ length: 12 }, () => hands.create({ projectPath: repository, root, project: "p", name: "n" })));
  assert.deepEqual(all.map(({ slug }) => slug).sort(), [
    "n",
    "n-1",
    "n-10",
    "n-11",
    "n-2",
    "n-3",
    "n-4",
    "n-5",
    "n-6",
    "n-7",
    "n-8",
    "n-9",
  ]);
  assert.equal(git(repository, "worktree", "list").split("\n").length, 13);
});

test("worktrees: a creation that hangs in one repository does not hold up another repository", async () => {
  using place = scratch();
  const slow = place.repository("slow");
  const quick = place.repository("quick");
  const started = join(place.path, "started");
  write(join(slow, ".git/hooks/post-checkout"), `#!/bin/sh\necho > ${started}\nexec sleep 60\n`, 0o755);
  const root = join(place.path, "w");
  const stop = new AbortController();
  const hanging = hands.create({ projectPath: slow, root, project: "slow", name: "n", signal: stop.signal });
  const failed = assert.rejects(hanging);
  while (!existsSync(started)) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok((await hands.create({ projectPath: quick, root, project: "quick", name: "n" })).path);
  const impatient = new AbortController();
  const waiting = hands.create({
    projectPath: slow,
    root,
    project: "slow",
    name: "m",
    signal: impatient.signal,
    onStep: (step) => step === "worktree" && setImmediate(() => impatient.abort(new Error("cancelled while waiting"))),
  });
  await assert.rejects(waiting, /cancelled while waiting/);
  stop.abort(new Error("enough"));
  await failed;
});

test("WORKTREE-01: a project name that would leave the root is refused", async () => {
  using place = scratch();
  const repository = place.repository();
  for (const project of ["", "..", "../x", "a/b", "-x", ".git"])
    await assert.rejects(
      hands.create({ projectPath: repository, root: join(place.path, "w"), project, name: "n" }),
      refused("INVALID_INPUT", /cannot be the folder/),
    );
});

test("WORKTREE-07: git variables of whoever started us do not lead elsewhere", async () => {
  using place = scratch();
  const repository = place.repository();
  const other = place.repository("other");
  Object.assign(process.env, { GIT_DIR: join(other, ".git"), GIT_WORK_TREE: other, GIT_INDEX_FILE: join(other, ".git/index") });
  try {
    await hands.create({ projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" });
  } finally {
    for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"]) delete process.env[name];
  }
  assert.equal(git(other, "worktree", "list").split("\n").length, 1);
  assert.equal(git(repository, "worktree", "list").split("\n").length, 2);
});

test("worktrees: excluded paths do not show in status, each pattern is written once, and nothing tracked changes", async () => {
  using place = scratch();
  const repository = place.repository();
  const { path } = await hands.create({ projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" });
  await Promise.all([hands.exclude(path, ["/.context/", "/.argus-hooks/"]), hands.exclude(path, ["/.context/"])]);
  write(join(path, ".context/a.txt"), "a");
  write(join(path, ".argus-hooks/b"), "b");
  assert.equal(git(path, "status", "--porcelain"), "");
  assert.equal(
    readFileSync(join(repository, ".git/info/exclude"), "utf8")
      .split("\n")
      .filter((line) => line === "/.context/").length,
    1,
  );
});

test("worktrees: disk use counts what is in a worktree, and leaves out what is not there", async () => {
  using place = scratch();
  write(join(place.path, "a/deep/file"), Buffer.alloc(1_000_000, 1));
  mkdirSync(join(place.path, "-b c"));
  const sizes = await hands.diskUse([join(place.path, "a"), join(place.path, "-b c"), join(place.path, "none")]);
  assert.deepEqual(Object.keys(sizes).sort(), [join(place.path, "-b c"), join(place.path, "a")]);
  assert.ok((sizes[join(place.path, "a")] ?? 0) >= 1_000_000);
});
