import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { worktrees } from "../src/worktrees.ts";
import { contents, git, scratch, write } from "./scratch.ts";

const hands = worktrees();

test("WORKTREE-12: a contract is read with its defaults, unknown keys and the hash of its bytes", async () => {
  using place = scratch();
  const repository = place.repository();
  assert.equal(await hands.contract(repository), null);
  const text =
    'copy = [".env", "conf/**"]\nports = 3\nsetup = [["npm", "ci"], ["make", "db"]]\nsetup_timeout = 30\nextra = 1\n[env]\nPORT = "${port}"\n[more]\nx = 1\n';
  write(join(repository, ".argus/workspace.toml"), text);
  assert.deepEqual(await hands.contract(repository), {
    sha256: createHash("sha256").update(text).digest("hex"),
    copy: [".env", "conf/**"],
    env: { PORT: "${port}" },
    ports: 3,
    setup: [
      ["npm", "ci"],
      ["make", "db"],
    ],
    teardown: [],
    setupTimeoutS: 30,
    teardownTimeoutS: 60,
    unknownKeys: ["extra", "more"],
  });
});

const WRONG: [toml: string, keys: string[]][] = [
  [
    'copy = ".env"\nports = 11\nsetup = ["npm ci"]\nsetup_timeout = "10"\nteardown = [[]]\nteardown_timeout = 0\nenv = 1',
    ["copy", "env", "ports", "setup", "teardown", "setup_timeout", "teardown_timeout"],
  ],
  ["ports = 1.5", ["ports"]],
  ["ports = -1", ["ports"]],
  ["env = {A = 1}", ["env"]],
  ['env = {"A-B" = "x"}', ["env"]],
  ['copy = ["../secret"]', ["copy"]],
  ['copy = ["/etc/passwd"]', ["copy"]],
  ['setup = [["", "x"]]', ["setup"]],
  ["teardown = [[1]]", ["teardown"]],
];
for (const [toml, keys] of WRONG) {
  test(`WORKTREE-12: ${toml.slice(0, 40).replaceAll("\n", " ")} is refused, naming ${keys.join(", ")}`, async () => {
    using place = scratch();
    write(join(place.path, ".argus/workspace.toml"), toml);
    await assert.rejects(hands.contract(place.path), (thrown: { code: string; details: unknown; message: string }) => {
      assert.deepEqual({ code: thrown.code, details: thrown.details }, { code: "INVALID_INPUT", details: { keys } });
      for (const key of keys) assert.match(thrown.message, new RegExp(`${key} must be`));
      return true;
    });
  });
}

test("WORKTREE-12: broken TOML names line and column, a huge file and a link out of the repository are refused", async () => {
  using place = scratch();
  const file = join(place.path, "repo/.argus/workspace.toml");
  write(file, "ports = 1\ncopy = [\n");
  await assert.rejects(hands.contract(join(place.path, "repo")), { code: "INVALID_INPUT", message: /line 3, column/ });
  write(file, `# ${"x".repeat(70_000)}`);
  await assert.rejects(hands.contract(join(place.path, "repo")), { code: "TOO_LARGE" });
  rmSync(file);
  write(join(place.path, "elsewhere.toml"), "ports = 1\n");
  symlinkSync(join(place.path, "elsewhere.toml"), file);
  await assert.rejects(hands.contract(join(place.path, "repo")), { code: "INVALID_INPUT", message: /link out of the repository/ });
});

test("WORKTREE-13: matching ignored files are copied with their modes; links out, tracked and present files are not", async () => {
  using place = scratch();
  const repository = place.repository();
  write(join(repository, ".gitignore"), ".env*\nconf/\nlinks/\nnode_modules/\n/tracked.env\nhidden/\n");
  write(join(repository, "tracked.env"), "tracked\n");
  git(repository, "add", "-f", "tracked.env");
  write(join(repository, "real/inside.txt"), "inside\n");
  place.commit(repository);
  const { path } = await hands.create({ projectPath: repository, root: join(place.path, "w"), project: "p", name: "n" });
  git(repository, "rm", "-q", "--cached", "tracked.env");
  write(join(repository, "tracked.env"), "changed in the main checkout\n");
  write(join(repository, ".env"), "SECRET=1\n", 0o600);
  write(join(repository, "app/.env.local"), "x\n");
  write(join(repository, "conf/run.sh"), "#!/bin/sh\n", 0o755);
  write(join(repository, "conf/deep/a b ü.txt"), "ü\n");
  write(join(repository, "node_modules/x/index.js"), "no\n");
  write(join(repository, "untracked.txt"), "not ignored\n");
  mkdirSync(join(repository, "links"));
  symlinkSync("/etc/passwd", join(repository, "links/passwd"));
  symlinkSync("/etc", join(repository, "links/etc"));
  symlinkSync("../real/inside.txt", join(repository, "links/inside"));
  symlinkSync("../../../../etc/passwd", join(repository, "links/climb"));
  // The worktree's own branch turned a folder into a link: nothing is written through it.
  mkdirSync(join(place.path, "outside"));
  write(join(repository, "hidden/file"), "x\n");
  symlinkSync(join(place.path, "outside"), join(path, "hidden"));
  write(join(path, "conf/deep/kept.txt"), "of the worktree\n");
  write(join(repository, "conf/deep/kept.txt"), "of the main checkout\n");

  const copied = await hands.copyIgnored(repository, path, ["**/.env*", "conf/", "links", "hidden/**", "tracked.env", "untracked.txt"]);
  assert.deepEqual(copied, [".env", "app/.env.local", "conf/deep/a b ü.txt", "conf/run.sh", "links/inside"]);
  assert.equal(statSync(join(path, ".env")).mode & 0o777, 0o600);
  assert.equal(statSync(join(path, "conf/run.sh")).mode & 0o777, 0o755);
  assert.equal(readFileSync(join(path, "links/inside"), "utf8"), "inside\n");
  assert.equal(readFileSync(join(path, "tracked.env"), "utf8"), "tracked\n");
  assert.equal(readFileSync(join(path, "conf/deep/kept.txt"), "utf8"), "of the worktree\n");
  assert.deepEqual(contents(join(place.path, "outside")), {});
  assert.deepEqual(await hands.copyIgnored(repository, path, []), []);
});

test("WORKTREE-19: a fork carries staged, unstaged, deleted, untracked and binary work, uncommitted, and the source stays as it is", async () => {
  using place = scratch();
  const repository = place.repository();
  write(join(repository, ".gitignore"), "out/\n");
  for (const name of ["a", "b", "c"]) write(join(repository, name), `${name}\n`);
  place.commit(repository);
  const root = join(place.path, "w");
  const source = await hands.create({ projectPath: repository, root, project: "p", name: "source" });
  const tip = place.commit(source.path, "committed work");
  write(join(source.path, "a"), "staged\n");
  git(source.path, "add", "a");
  write(join(source.path, "b"), "unstaged\n");
  rmSync(join(source.path, "c"));
  write(join(source.path, "dir/bin"), new Uint8Array([0, 255, 1, 254]));
  write(join(source.path, "run"), "x", 0o755);
  write(join(source.path, "out/ignored"), "stays");
  const status = git(source.path, "status", "--porcelain");
  const target = await hands.create({ projectPath: repository, root, project: "p", name: "fork", base: source.branch });
  await hands.carry(source.path, target.path);
  const { "out/ignored": _, ...expected } = contents(source.path);
  assert.deepEqual(contents(target.path), expected);
  assert.equal(git(target.path, "rev-parse", "HEAD"), tip);
  assert.equal(git(target.path, "diff", "--cached", "--name-only"), "");
  assert.equal(git(source.path, "status", "--porcelain"), status);
  assert.equal(statSync(join(target.path, "run")).mode & 0o111, 0o111);

  await assert.rejects(hands.carry(source.path, target.path), { code: "CONFLICT" });
  await assert.rejects(hands.carry(source.path, place.repository("other")), { code: "INVALID_INPUT", message: /different repositories/ });
});
