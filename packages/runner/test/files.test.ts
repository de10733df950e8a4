import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { files } from "../src/files.ts";
import { cleanFileName, numbered } from "../src/names.ts";
import { ports } from "../src/ports.ts";
import { frontmatter } from "../src/skills.ts";
import { git, scratch, write } from "./scratch.ts";

const NAMES: [name: string, clean: string][] = [
  ["report.pdf", "report.pdf"],
  ["../../etc/passwd", "passwd"],
  ["C:\\Users\\me\\photo.png", "photo.png"],
  ["a\u0000b\nc.txt", "a_b_c.txt"],
  ["gpj\u202etxt.exe", "gpj_txt.exe"],
  ["--force", "force"],
  ["..hidden", "hidden"],
  ["-. x", "x"],
  ["", "file"],
  ["...", "file"],
  ["folder/", "folder"],
  ["my notes (1).md", "my notes (1).md"],
  ["画".repeat(120), "画".repeat(80)],
];
for (const [name, clean] of NAMES)
  test(`SESSION-41: ${JSON.stringify(name.slice(0, 30))} is saved as ${clean.slice(0, 30)}`, () =>
    assert.equal(cleanFileName(name), clean));

test("SESSION-41: a long name keeps its extension within 100 characters, with a number too", () => {
  const name = cleanFileName(`${"a".repeat(200)}.png`);
  assert.equal(name, `${"a".repeat(96)}.png`);
  assert.equal(numbered(name, 12), `${"a".repeat(93)}-12.png`);
});

test("SESSION-41: uploads go to .context, get numbers on collision, overwrite nothing and stay out of git status", async () => {
  using place = scratch();
  const repository = place.repository();
  const upload = (name: string, text: string) => ({ name, bytes: Buffer.from(text) });
  assert.deepEqual(await files.saveContext(repository, [upload("a.txt", "1"), upload("x/a.txt", "2")]), ["a.txt", "a-1.txt"]);
  assert.deepEqual(await files.saveContext(repository, [upload("a.txt", "3")]), ["a-2.txt"]);
  assert.deepEqual(
    ["a.txt", "a-1.txt", "a-2.txt"].map((name) => readFileSync(join(repository, ".context", name), "utf8")),
    ["1", "2", "3"],
  );
  assert.equal(git(repository, "status", "--porcelain"), "");
});

test("SESSION-41: 21 files, 10 MB and a byte, or 50 MB and a byte together are refused and nothing is saved", async () => {
  using place = scratch();
  const repository = place.repository();
  const upload = (size: number) => ({ name: "f", bytes: Buffer.alloc(size) });
  for (const uploads of [
    Array.from({ length: 21 }, () => upload(1)),
    [upload(10_000_001)],
    [...Array.from({ length: 5 }, () => upload(10_000_000)), upload(1)],
  ])
    await assert.rejects(files.saveContext(repository, uploads), { code: "TOO_LARGE" });
  assert.deepEqual(readdirSync(repository).includes(".context"), false);
});

test("SESSION-41: nothing is written through a .context that is a link", async () => {
  using place = scratch();
  const repository = place.repository();
  mkdirSync(join(place.path, "outside"));
  symlinkSync(join(place.path, "outside"), join(repository, ".context"));
  await assert.rejects(files.saveContext(repository, [{ name: "a", bytes: Buffer.from("x") }]), { code: "CONFLICT" });
  assert.deepEqual(readdirSync(join(place.path, "outside")), []);
});

test("REST-49: a folder lists its entries with their status, folders first, deleted files too", async () => {
  using place = scratch();
  const repository = place.repository();
  for (const name of ["src/deep/x.txt", "src/a.txt", "src/gone.txt", "other/y.txt"]) write(join(repository, name), name);
  place.commit(repository);
  write(join(repository, "src/a.txt"), "edited");
  write(join(repository, "src/deep/x.txt"), "edited");
  rmSync(join(repository, "src/gone.txt"));
  write(join(repository, "src/new/z/w.txt"), "new");
  const entry = (path: string, status: string, is_dir = false) => ({ path, status, is_dir });
  assert.deepEqual(await files.list(repository, ""), [entry("other", "", true), entry("src", " M", true), entry("readme.txt", "")]);
  assert.deepEqual(await files.list(repository, "src/"), [
    entry("src/deep", " M", true),
    entry("src/new", "??", true),
    entry("src/a.txt", " M"),
    entry("src/gone.txt", " D"),
  ]);
  assert.deepEqual(await files.list(repository, "src/new"), [entry("src/new/z", "??", true)]);
  assert.deepEqual(await files.list(repository, "src/new/z"), [entry("src/new/z/w.txt", "??")]);
  for (const dir of ["/etc", "..", "src/../..", ".git"]) await assert.rejects(files.list(repository, dir), { code: "INVALID_INPUT" }, dir);
  symlinkSync("/etc", join(repository, "away"));
  await assert.rejects(files.list(repository, "away"), { code: "INVALID_INPUT" });
  await assert.rejects(files.list(repository, "readme.txt"), { code: "INVALID_INPUT" });
  await assert.rejects(files.list(repository, "none"), { code: "NOT_FOUND" });
});

test("files: a stretch of a file is read with its size, and a missing file is empty", async () => {
  using place = scratch();
  const path = join(place.path, "log");
  write(path, "0123456789");
  const read = async (offset: number, max: number) => {
    const { bytes, size } = await files.read(path, offset, max);
    return [bytes.toString(), size];
  };
  assert.deepEqual(
    [await read(0, 4), await read(8, 100), await read(20, 5), await read(-3, 2)],
    [
      ["0123", 10],
      ["89", 10],
      ["", 10],
      ["01", 10],
    ],
  );
  assert.deepEqual(await files.read(join(place.path, "none"), 0, 10), { bytes: Buffer.alloc(0), size: 0 });
});

test("files: a private file has mode 0600 in a folder of mode 0700 and replaces the old one whole", async () => {
  using place = scratch();
  const path = join(place.path, "deep/secret.json");
  await files.writePrivate(path, "one");
  await Promise.all(["two", "two"].map((text) => files.writePrivate(path, text)));
  assert.equal(readFileSync(path, "utf8"), "two");
  assert.deepEqual([statSync(path).mode & 0o777, statSync(join(place.path, "deep")).mode & 0o777], [0o600, 0o700]);
  assert.deepEqual(readdirSync(join(place.path, "deep")), ["secret.json"]);
  assert.equal(await files.exists(path), true);
  await assert.rejects(files.remove(join(place.path, "deep")), { code: "INVALID_INPUT" });
  await files.remove(path);
  await files.remove(path);
  await files.remove(join(place.path, "deep"));
  assert.equal(await files.exists(path), false);
});

test("skills: skills are found below each root, the first root wins, and a missing description is empty", async () => {
  using place = scratch();
  const skill = (path: string, head: string) => write(join(place.path, path, "SKILL.md"), head);
  skill("one/review", "---\nname: review\ndescription: >\n  Reads a change\n  as a stranger would.\n---\n# Text\n");
  skill("one/vendor/plain", "# No head\n");
  skill("two/review", "---\nname: review\ndescription: later root\n---\n");
  skill("two/quoted", "---\nname: \"quo\\\"ted\"\ndescription: 'it''s # fine'\n---\n");
  symlinkSync(join(place.path, "one"), join(place.path, "one/vendor/circle"));
  const found = await files.skills([join(place.path, "one"), join(place.path, "none"), join(place.path, "two")]);
  assert.deepEqual(found, [
    { name: "plain", description: "", path: join(place.path, "one/vendor/plain/SKILL.md") },
    { name: 'quo"ted', description: "it's # fine", path: join(place.path, "two/quoted/SKILL.md") },
    { name: "review", description: "Reads a change as a stranger would.", path: join(place.path, "one/review/SKILL.md") },
  ]);
});

test("skills: a head with lists, nested tables, comments and continued lines gives its text fields", () => {
  const head =
    "---\r\nname: a # note\nallowed-tools:\n  - Bash\n  - Read\ndescription: first part\n  second part\nmeta:\n  inner: x\nblock: |\n  one\n  two\n---\nname: not this\n";
  const { name, description, block } = frontmatter(head);
  assert.deepEqual({ name, description, block }, { name: "a", description: "first part second part", block: "one\ntwo" });
  assert.deepEqual(frontmatter("name: x\n"), {});
});

test("ports: a port somebody listens on is not free, and neither is its block", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  assert.equal(await ports.free(port), false);
  assert.equal(await ports.free(port - 2, 3), false);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await ports.free(port), true);
});
