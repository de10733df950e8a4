/** git's text as the diff tab understands it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { changedFiles, parseDiff, unquote } from "../src/diff/parse.ts";

test("files of the branch and of the working tree become one list, each once, by path", () => {
  const branch = 'M\tsrc/b.ts\nA\ta.md\nR087\told name.ts\tnew name.ts\nD\tgone.ts\nM\t"caf\\303\\251.txt"\n';
  const tree = '## argus/x\n M src/b.ts\n?? notes.txt\nR  one.ts -> two.ts\n?? folder/\n!! node_modules/\n D "t\\tab.txt"\n';
  assert.deepEqual(changedFiles(branch, tree), [
    { path: "a.md", letter: "A" },
    { path: "café.txt", letter: "M" },
    { path: "gone.ts", letter: "D" },
    { path: "new name.ts", from: "old name.ts", letter: "R" },
    { path: "notes.txt", letter: "?" },
    { path: "src/b.ts", letter: "M" },
    { path: "t\tab.txt", letter: "D" },
    { path: "two.ts", from: "one.ts", letter: "R" },
  ]);
  assert.deepEqual(changedFiles("", ""), []);
});

test("quoted names are read byte by byte", () => {
  assert.deepEqual(['"\\"q\\" \\\\ \\n"', "plain", '"ünï"', '"'].map(unquote), ['"q" \\ \n', "plain", "ünï", '"']);
});

test("a unified diff becomes numbered rows; lines that look like headers stay lines inside a hunk", () => {
  const diff = [
    "diff --git a/x b/x",
    "old mode 100644",
    "new mode 100755",
    "index 1..2 100644",
    "--- a/x",
    "+++ b/x",
    "@@ -1,3 +1,3 @@ function f()",
    " same",
    "--- a minus line that begins with two more",
    "+++ a plus line too",
    "",
    "\\ No newline at end of file",
    "@@ -10 +10 @@",
    "-a",
    "+b",
    "",
  ].join("\n");
  assert.deepEqual(parseDiff(diff), {
    added: 2,
    deleted: 2,
    rows: [
      { kind: "note", text: "old mode 100644" },
      { kind: "note", text: "new mode 100755" },
      { kind: "hunk", text: "@@ -1,3 +1,3 @@ function f()" },
      { kind: "same", text: "same", before: 1, after: 1 },
      { kind: "del", text: "-- a minus line that begins with two more", before: 2, after: null },
      { kind: "add", text: "++ a plus line too", before: null, after: 2 },
      { kind: "same", text: "", before: 3, after: 3 },
      { kind: "note", text: "No newline at end of file" },
      { kind: "hunk", text: "@@ -10 +10 @@" },
      { kind: "del", text: "a", before: 10, after: null },
      { kind: "add", text: "b", before: null, after: 10 },
    ],
  });
  assert.deepEqual(parseDiff("Binary files a/x and b/x differ\n").rows, [{ kind: "note", text: "Binary files a/x and b/x differ" }]);
  assert.deepEqual(parseDiff(""), { rows: [], added: 0, deleted: 0 });
});
