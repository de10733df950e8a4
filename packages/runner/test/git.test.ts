import assert from "node:assert/strict";
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gitReader, webAddress } from "../src/git.ts";
import { worktrees } from "../src/worktrees.ts";
import { contents, git, scratch, write } from "./scratch.ts";

const hands = worktrees();
const changed = (diff: string) => [...diff.matchAll(/^diff --git a\/(.*?) b\//gm)].map((match) => match[1]);

async function place(use: (at: { repository: string; path: string; base: string; folder: string }) => Promise<void>) {
  using where = scratch();
  const repository = where.repository();
  write(join(repository, ".gitignore"), "ignored\n");
  for (const name of ["a.txt", "b.txt", "c.txt"]) write(join(repository, name), `${name}\n`);
  where.commit(repository);
  const made = await hands.create({ projectPath: repository, root: join(where.path, "w"), project: "p", name: "n" });
  write(join(made.path, "a.txt"), "committed on the branch\n");
  where.commit(made.path);
  await use({ repository, path: made.path, base: made.baseCommit, folder: where.path });
}

test("REST-47: status tells uncommitted changes from those since the base, with untracked files and binaries", () =>
  place(async ({ repository, path, base }) => {
    write(join(path, "b.txt"), "edited\n");
    rmSync(join(path, "c.txt"));
    write(join(path, "new/ünt räcked.txt"), "new\n");
    write(join(path, "bin"), new Uint8Array([0, 1, 2, 0]));
    write(join(path, "ignored"), "x");
    // The base went on: what others did there is not this branch's doing.
    write(join(repository, "later.txt"), "later\n");
    git(repository, "add", "-A");
    git(repository, "commit", "-q", "-m", "later");
    const before = git(path, "status", "--porcelain");
    for (const from of [base, undefined, git(repository, "rev-parse", "HEAD")]) {
      const found = await gitReader.status(path, from);
      assert.equal(found.status, " M b.txt\n D c.txt\n?? bin\n?? new/\n");
      assert.deepEqual(changed(found.diff), ["b.txt", "bin", "c.txt", "new/ünt räcked.txt"]);
      assert.match(found.diff, /Binary files \/dev\/null and b\/bin differ/);
      assert.match(found.diff, /^\+new$/m);
      assert.deepEqual(changed(found.branchDiff), ["a.txt", "b.txt", "bin", "c.txt", "new/ünt räcked.txt"]);
      assert.equal(found.branchFiles, "M\ta.txt\nM\tb.txt\nA\tbin\nD\tc.txt\nA\tnew/ünt räcked.txt\n");
    }
    assert.equal(git(path, "status", "--porcelain"), before);
    assert.equal(git(path, "diff", "--cached", "--name-only"), "");
  }));

test("REST-47: a branch without a commit has a status too", async () => {
  using where = scratch();
  const path = join(where.path, "empty");
  git(where.path, "init", "-q", path);
  write(join(path, "first.txt"), "first\n");
  const found = await gitReader.status(path);
  assert.equal(found.status, "?? first.txt\n");
  assert.deepEqual(changed(found.diff), ["first.txt"]);
});

test("REST-47: looking runs no program that the repository names", () =>
  place(async ({ path, folder }) => {
    const trace = join(folder, "ran");
    write(join(folder, "evil"), `#!/bin/sh\ntouch ${trace}\n`, 0o755);
    for (const key of ["diff.external", "core.fsmonitor", "diff.evil.textconv", "diff.evil.command", "core.pager"])
      git(path, "config", key, join(folder, "evil"));
    write(join(path, ".gitattributes"), "*.txt diff=evil\n");
    write(join(path, "b.txt"), "edited\n");
    rmSync(trace, { force: true });
    await gitReader.status(path);
    await gitReader.fileDiff(path, "b.txt");
    assert.deepEqual(Object.keys(contents(folder)).includes("ran"), false);
  }));

test("REST-47: a diff is cut at 4 MiB, between lines, and says so", () =>
  place(async ({ path }) => {
    write(join(path, "big.txt"), `${"x".repeat(99)}\n`.repeat(60_000));
    const { diff } = await gitReader.status(path);
    assert.match(diff, /x\n\[truncated: only the first 4 MiB are shown\]\n$/);
    assert.ok(diff.length <= 4 * 1024 * 1024 + 100);
  }));

test("REST-48: one file's diff covers committed, untracked, ignored, deleted and odd names, and nothing else", () =>
  place(async ({ path, base }) => {
    write(join(path, "b.txt"), "edited\n");
    rmSync(join(path, "c.txt"));
    write(join(path, "*.txt"), "a star\n");
    write(join(path, "-n"), "a dash\n");
    write(join(path, "ignored"), "ignored\n");
    const only = async (file: string) => changed(await gitReader.fileDiff(path, file, base));
    for (const file of ["a.txt", "b.txt", "c.txt", "*.txt", "-n", "ignored"]) assert.deepEqual(await only(file), [file]);
    assert.deepEqual(await only("readme.txt"), []);
    assert.deepEqual(await only("none.txt"), []);
  }));

test("REST-48: paths that leave the worktree are refused, for diffs as for listings", () =>
  place(async ({ path, folder }) => {
    mkdirSync(join(folder, "outside"));
    write(join(folder, "outside/secret"), "secret\n");
    symlinkSync(join(folder, "outside"), join(path, "away"));
    symlinkSync(join(folder, "nowhere"), join(path, "broken"));
    for (const file of [
      "/etc/passwd",
      "../other",
      "a/../../x",
      "..",
      "away/secret",
      "broken/x",
      ".git",
      ".git/config",
      ".GIT/config",
      "a\0b",
    ])
      await assert.rejects(gitReader.fileDiff(path, file), { code: "INVALID_INPUT" }, file);
    const link = await gitReader.fileDiff(path, "away");
    assert.match(link, /new file mode 120000/);
    assert.doesNotMatch(link, /secret/);
    await assert.rejects(gitReader.fileDiff(path, ""), { code: "INVALID_INPUT" });
  }));

const ADDRESSES: [remote: string, web: string | null][] = [
  ["git@github.com:owner/name.git", "https://github.com/owner/name"],
  ["https://user:token@github.com/owner/name.git", "https://github.com/owner/name"],
  ["ssh://git@host.example:2222/owner/name.git", "https://host.example/owner/name"],
  ["http://localhost:3000/owner/name", "http://localhost:3000/owner/name"],
  ["host.example:owner/name/", "https://host.example/owner/name"],
  ["/srv/git/name.git", null],
  ["file:///srv/git/name.git", null],
];
for (const [remote, web] of ADDRESSES) test(`git: the web address of ${remote} is ${web}`, () => assert.equal(webAddress(remote), web));

test("git: the remote is origin, else upstream, else any, else none", async () => {
  using where = scratch();
  const repository = where.repository();
  assert.equal(await gitReader.remoteUrl(repository), null);
  git(repository, "remote", "add", "fork", "git@h.example:f/n.git");
  assert.equal(await gitReader.remoteUrl(repository), "https://h.example/f/n");
  git(repository, "remote", "add", "origin", "git@h.example:o/n.git");
  assert.equal(await gitReader.remoteUrl(repository), "https://h.example/o/n");
});
