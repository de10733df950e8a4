import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { worktrees } from "../src/worktrees.ts";
import { contents, git, type Scratch, scratch, write } from "./scratch.ts";

const DAY = 86_400_000;
const hands = worktrees();
const refused = (code: string, words: RegExp) => (thrown: { code?: string; message: string }) => {
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, words);
  return true;
};

/** A repository and a task's worktree in it, with what the calls need. */
async function task(place: Scratch, options: { remote?: boolean; name?: string } = {}) {
  const repository = place.repository();
  const bare = options.remote ? place.remote(repository) : null;
  const root = join(place.path, "worktrees");
  const made = await hands.create({ projectPath: repository, root, project: "demo", name: options.name ?? "work" });
  const removal = { projectPath: repository, root, path: made.path, branch: made.branch, taskId: "01TASK", projectBranch: "main" };
  return { repository, bare, root, made, removal };
}
const refs = (repository: string) => git(repository, "for-each-ref", "--format=%(refname)").split("\n");

test("WORKTREE-23: main checkout, links, .., the root, a project's folder and anything outside are refused and stay", async () => {
  using place = scratch();
  const { repository, root, made, removal } = await task(place);
  mkdirSync(join(place.path, "outside/a/b"), { recursive: true });
  symlinkSync(made.path, join(root, "demo", "link"));
  symlinkSync(join(place.path, "outside"), join(root, "away"));
  const inner = join(root, "demo", "registered");
  git(place.path, "clone", "-q", repository, inner);
  const before = contents(place.path);
  const paths = [
    repository,
    "/",
    root,
    `${root}/`,
    join(root, "demo"),
    join(root, "demo", "link"),
    join(root, "away", "a"),
    `${root}/demo/../../outside`,
    "worktrees/demo/work",
    join(place.path, "none/x/y"),
  ];
  for (const path of paths) {
    await assert.rejects(hands.remove({ ...removal, path, force: true }), refused("PERMISSION_DENIED", /Refused to remove/), path);
    await assert.rejects(hands.discard({ ...removal, path }), refused("PERMISSION_DENIED", /Refused to remove/), path);
  }
  await assert.rejects(
    hands.remove({ ...removal, path: inner, projectPath: inner, force: true }),
    refused("PERMISSION_DENIED", /own checkout/),
  );
  assert.deepEqual(contents(place.path), before);
});

test("WORKTREE-24: removal leaves no folder, entry or branch, also of a locked worktree with a submodule and ignored leftovers", async () => {
  using place = scratch();
  const { repository, root, made, removal } = await task(place);
  const library = place.repository("library");
  place.remote(library, "library-remote");
  git(made.path, "submodule", "add", "-q", join(place.path, "library-remote.git"), "lib");
  write(join(made.path, ".gitignore"), "out/\n");
  write(join(made.path, "out/deep/file"), "x");
  git(repository, "worktree", "lock", made.path);
  const { savedRef } = await hands.remove(removal);
  assert.equal(savedRef, "refs/argus/trash/01TASK");
  assert.equal(existsSync(join(root, "demo")), false);
  assert.equal(git(repository, "worktree", "list").split("\n").length, 1);
  assert.deepEqual(refs(repository), ["refs/argus/trash/01TASK", "refs/heads/main"]);
});

test("WORKTREE-25: a branch that is not argus/* is kept, and one checked out elsewhere too", async () => {
  using place = scratch();
  const { repository, made, removal } = await task(place);
  git(repository, "branch", "theirs");
  await hands.remove({ ...removal, branch: "theirs" });
  assert.deepEqual(refs(repository), [`refs/heads/${made.branch}`, "refs/heads/main", "refs/heads/theirs"]);
  await hands.remove({ ...removal, branch: "main" });
  git(repository, "switch", "-q", made.branch);
  await hands.remove(removal);
  assert.ok(refs(repository).includes(`refs/heads/${made.branch}`));
});

test("WORKTREE-26: dirty work is stored and recovered file for file, with its commits and its uncommitted state", async () => {
  using place = scratch();
  const { repository, made, removal } = await task(place);
  for (const name of ["staged", "edited", "deleted", "moved"]) write(join(made.path, `${name}.txt`), `${name}\n`);
  write(join(made.path, ".gitignore"), "ignored/\n");
  const head = place.commit(made.path, "mine");
  write(join(made.path, "staged.txt"), "staged again\n");
  git(made.path, "add", "staged.txt");
  write(join(made.path, "staged.txt"), "and edited\n");
  write(join(made.path, "edited.txt"), "edited again\n");
  rmSync(join(made.path, "deleted.txt"));
  git(made.path, "mv", "moved.txt", "elsewhere.txt");
  write(join(made.path, 'new folder/ümlaut "q".bin'), new Uint8Array([0, 1, 2, 255, 10]));
  write(join(made.path, "run.sh"), "#!/bin/sh\n", 0o755);
  symlinkSync("/etc/passwd", join(made.path, "link"));
  write(join(made.path, "ignored/cache"), "not kept");
  const expected = contents(made.path);
  delete expected["ignored/cache"];
  const status = git(made.path, "status", "--porcelain");
  assert.match(status, /^MM staged.txt$/m);

  assert.deepEqual(await hands.remove(removal), { savedRef: "refs/argus/trash/01TASK" });
  assert.equal(existsSync(made.path), false);
  const into = join(place.path, "recovered");
  assert.deepEqual(await hands.recover(repository, "01TASK", into), { path: into, branch: "argus/recovered-01TASK" });
  assert.deepEqual(contents(into), expected);
  assert.equal(git(into, "rev-parse", "HEAD"), head);
  assert.equal(git(into, "status", "--porcelain").includes("run.sh"), true);
  assert.equal(git(into, "ls-files", "--others", "--exclude-standard").split("\n").length, 4);
  await assert.rejects(hands.recover(repository, "01TASK", into), refused("CONFLICT", /something is there/));
  await assert.rejects(hands.recover(repository, "01TASK", join(place.path, "again")), refused("CONFLICT", /recovered before/));
  await assert.rejects(hands.recover(repository, "01OTHER", join(place.path, "other")), refused("NOT_FOUND", /no safety copy/));
});

test("WORKTREE-26: making the copy changes neither the worktree nor its index", async () => {
  using place = scratch();
  const { made, removal } = await task(place);
  const { saveWork } = await import("../src/trash.ts");
  write(join(made.path, "readme.txt"), "edited\n");
  write(join(made.path, "new.txt"), "new\n");
  const before = {
    files: contents(made.path),
    status: git(made.path, "status", "--porcelain"),
    index: git(made.path, "ls-files", "--stage", "--debug"),
  };
  await saveWork({ ...removal, worktree: made.path, now: Date.now() });
  assert.deepEqual(
    {
      files: contents(made.path),
      status: git(made.path, "status", "--porcelain"),
      index: git(made.path, "ls-files", "--stage", "--debug"),
    },
    before,
  );
});

test("WORKTREE-26: nothing is stored when the tree is clean and all commits are in the base branch or on a remote", async () => {
  using place = scratch();
  const untouched = await task(place);
  assert.deepEqual(await hands.remove(untouched.removal), { savedRef: null });

  const merged = await hands.create({ projectPath: untouched.repository, root: untouched.root, project: "demo", name: "merged" });
  place.commit(merged.path);
  git(untouched.repository, "merge", "-q", "--no-ff", "-m", "merge", merged.branch);
  assert.deepEqual(await hands.remove({ ...untouched.removal, path: merged.path, branch: merged.branch }), { savedRef: null });

  place.remote(untouched.repository);
  const pushed = await hands.create({ projectPath: untouched.repository, root: untouched.root, project: "demo", name: "pushed" });
  place.commit(pushed.path);
  git(pushed.path, "push", "-q", "origin", pushed.branch);
  assert.deepEqual(await hands.remove({ ...untouched.removal, path: pushed.path, branch: pushed.branch }), { savedRef: null });
  assert.deepEqual(
    refs(untouched.repository).filter((ref) => ref.startsWith("refs/argus")),
    [],
  );
});

test("WORKTREE-26: unpushed commits are stored from a clean tree, a missing folder, a detached HEAD and a branch left behind", async () => {
  using place = scratch();
  const { repository, root, removal } = await task(place);
  const kept = async (name: string, prepare: (path: string, branch: string) => string[]) => {
    const made = await hands.create({ projectPath: repository, root, project: "demo", name });
    const commits = prepare(made.path, made.branch);
    const { savedRef } = await hands.remove({ ...removal, path: made.path, branch: made.branch, taskId: name });
    assert.equal(savedRef, `refs/argus/trash/${name}`);
    for (const commit of commits) git(repository, "merge-base", "--is-ancestor", commit, savedRef ?? "");
  };
  await kept("clean", (path) => [place.commit(path)]);
  await kept("missing", (path) => {
    const commit = place.commit(path);
    rmSync(path, { recursive: true });
    return [commit];
  });
  await kept("detached", (path) => {
    const commit = place.commit(path, "on the branch");
    git(path, "switch", "-q", "--detach", "main");
    return [commit, place.commit(path, "beside it")];
  });
  await kept("switched", (path) => {
    const commit = place.commit(path);
    git(path, "switch", "-q", "-c", "feature", "main");
    return [commit];
  });
});

test("WORKTREE-26: a second removal of the same task keeps the first copy", async () => {
  using place = scratch();
  const { repository, root, made, removal } = await task(place);
  write(join(made.path, "one.txt"), "one");
  await hands.remove(removal);
  const first = git(repository, "rev-parse", "refs/argus/trash/01TASK");
  const again = await hands.create({ projectPath: repository, root, project: "demo", name: "work" });
  write(join(again.path, "two.txt"), "two");
  await hands.remove(removal);
  assert.equal(git(repository, "show", "refs/argus/trash/01TASK:two.txt"), "two");
  git(repository, "merge-base", "--is-ancestor", first, "refs/argus/trash/01TASK");
  assert.deepEqual(
    await hands.remove(removal),
    { savedRef: "refs/argus/trash/01TASK" },
    "nothing is left to remove, and the copy is still named",
  );
});

test("WORKTREE-26: without a copy the removal is refused, and force removes anyway", async () => {
  using place = scratch();
  const { repository, made, removal } = await task(place);
  write(join(made.path, ".gitattributes"), "*.txt filter=broken\n");
  write(join(made.path, "new.txt"), "new");
  git(repository, "config", "filter.broken.clean", "false");
  git(repository, "config", "filter.broken.required", "true");
  const before = contents(made.path);
  await assert.rejects(hands.remove(removal), refused("CONFLICT", /was kept.*clean filter.*Pass force/s));
  assert.deepEqual(contents(made.path), before);
  assert.deepEqual(await hands.remove({ ...removal, force: true }), { savedRef: null });
  assert.equal(existsSync(made.path), false);
});

test("WORKTREE-26: work in a repository inside the worktree, or a worktree that lost its .git, is not thrown away unasked", async () => {
  using place = scratch();
  const { made, removal, repository } = await task(place);
  const inner = join(made.path, "tools/inner");
  git(place.path, "init", "-q", inner);
  write(join(inner, "a.txt"), "a");
  place.commit(inner);
  assert.equal((await hands.state(made.path, repository)).dirty, true);
  await assert.rejects(hands.remove(removal), refused("CONFLICT", /tools\/inner/));
  rmSync(join(made.path, "tools"), { recursive: true });
  rmSync(join(made.path, ".git"));
  await assert.rejects(hands.remove(removal), refused("CONFLICT", /\.git file is gone/));
  await assert.rejects(hands.state(made.path, repository), refused("CONFLICT", /\.git file is gone/));
  await hands.remove({ ...removal, force: true });
  assert.equal(existsSync(made.path), false);
});

test("WORKTREE-26: an inner repository that names filter programs counts as unsaved, and they do not run", async () => {
  using place = scratch();
  const { made, removal, repository } = await task(place);
  const inner = join(made.path, "inner");
  git(place.path, "clone", "-q", repository, inner);
  git(inner, "config", "filter.evil.clean", `touch ${join(place.path, "ran")}; cat`);
  write(join(inner, ".git/info/attributes"), "* filter=evil\n");
  write(join(inner, "readme.txt"), "hello\n");
  assert.equal((await hands.state(made.path, repository)).dirty, true);
  await assert.rejects(hands.remove(removal), refused("CONFLICT", /inner/));
  assert.equal(existsSync(join(place.path, "ran")), false);
});

test("WORKTREE-26: copies older than 30 days are dropped, younger ones stay", async () => {
  using place = scratch();
  const { repository, root, removal } = await task(place);
  let now = Date.UTC(2026, 0, 1);
  const clocked = worktrees({ now: () => now });
  for (const taskId of ["old", "young"]) {
    const made = await clocked.create({ projectPath: repository, root, project: "demo", name: taskId });
    write(join(made.path, "new.txt"), taskId);
    await clocked.remove({ ...removal, path: made.path, branch: made.branch, taskId });
    now += 2 * DAY;
  }
  now = Date.UTC(2026, 0, 1) + 31 * DAY;
  assert.equal(await clocked.expireTrash(repository, 30), 1);
  assert.deepEqual(
    refs(repository).filter((ref) => ref.startsWith("refs/argus")),
    ["refs/argus/trash/young"],
  );
});

test("WORKTREE-26: an id that is no ref component is refused", async () => {
  using place = scratch();
  const { repository } = await task(place);
  for (const id of ["../../heads/main", "a b", "a/b", "x.lock", ""])
    await assert.rejects(hands.recover(repository, id, join(place.path, "r")), refused("INVALID_INPUT", /cannot name/));
});

test("worktrees: state tells dirty, unsaved and missing apart", async () => {
  using place = scratch();
  const { repository, made } = await task(place, { remote: true });
  const state = () => hands.state(made.path, repository, "main");
  assert.deepEqual(await state(), { exists: true, dirty: false, unsavedCommits: 0 });
  place.commit(made.path);
  place.commit(made.path);
  assert.deepEqual(await state(), { exists: true, dirty: false, unsavedCommits: 2 });
  write(join(made.path, "new"), "");
  assert.deepEqual(await state(), { exists: true, dirty: true, unsavedCommits: 2 });
  git(made.path, "push", "-q", "origin", made.branch);
  assert.deepEqual(await state(), { exists: true, dirty: true, unsavedCommits: 0 });
  rmSync(made.path, { recursive: true });
  assert.deepEqual(await state(), { exists: false, dirty: false, unsavedCommits: 0 });
});

test("worktrees: orphans are folders two levels down that no known path names or lies in", async () => {
  using place = scratch();
  const root = join(place.path, "w");
  for (const folder of ["p/known", "p/holder/deep/known", "p/lost", "q/lost"]) mkdirSync(join(root, folder), { recursive: true });
  write(join(root, "p/file"), "");
  symlinkSync(join(root, "p/known"), join(root, "p/link"));
  const known = [join(root, "p/known"), join(root, "p/holder/deep/known"), join(root, "q/gone")];
  assert.deepEqual(await hands.orphans(root, known), [join(root, "p/lost"), join(root, "q/lost")]);
  assert.deepEqual(await hands.orphans(join(place.path, "none"), []), []);
});

test("worktrees: the project of an orphan is found through its .git file", async () => {
  using place = scratch();
  const { repository, made } = await task(place);
  assert.equal(await hands.repositoryOf(made.path), repository);
  assert.equal(await hands.repositoryOf(place.path), null);
});

test("WORKTREE-30: a remote branch goes only when asked, and then its commits are stored first", async () => {
  using place = scratch();
  const { repository, bare, root, removal } = await task(place, { remote: true });
  const heads = () => git(bare ?? "", "for-each-ref", "--format=%(refname:short)", "refs/heads/argus");
  const push = async (name: string) => {
    const made = await hands.create({ projectPath: repository, root, project: "demo", name });
    const commit = place.commit(made.path, name);
    git(made.path, "push", "-q", "origin", made.branch);
    return { commit, request: { ...removal, path: made.path, branch: made.branch, taskId: name } };
  };
  await hands.remove((await push("stays")).request);
  assert.equal(heads(), "argus/stays");
  const goes = await push("goes");
  const { savedRef } = await hands.remove({ ...goes.request, remote: true });
  assert.equal(heads(), "argus/stays");
  git(repository, "merge-base", "--is-ancestor", goes.commit, savedRef ?? "");

  const stuck = await push("stuck");
  rmSync(bare ?? "", { recursive: true });
  await assert.rejects(hands.remove({ ...stuck.request, remote: true }), refused("UNAVAILABLE", /Nothing was removed/));
  assert.ok(existsSync(stuck.request.path));
});

test("WORKTREE-26: removals at once in one repository all succeed and leave no index behind", async () => {
  using place = scratch();
  const { repository, root, removal } = await task(place);
  const made = await Promise.all(
    Array.from({ length: 6 }, () => hands.create({ projectPath: repository, root, project: "demo", name: "many" })),
  );
  for (const { path, slug } of made) write(join(path, "new.txt"), slug);
  await Promise.all(made.map(({ path, branch, slug }) => hands.remove({ ...removal, path, branch, taskId: slug })));
  for (const { slug } of made) assert.equal(git(repository, "show", `refs/argus/trash/${slug}:new.txt`), slug);
  assert.deepEqual(readdirSync(join(root, "demo")), ["work"]);
});
