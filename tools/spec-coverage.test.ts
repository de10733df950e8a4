/** Holds spec/ against the tests: every rule is cited by a test or listed as open, and never both. */
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";

const root = path.resolve(import.meta.dirname, "..");
const ID = /\b[A-Z]+-\d{2,3}\b/g;

function rules(): Set<string> {
  const found = new Set<string>();
  for (const file of fs.globSync("spec/*.md", { cwd: root }))
    if (!/README|open/.test(file))
      for (const [, id] of fs.readFileSync(path.join(root, file), "utf8").matchAll(/^\| \**([A-Z]+-\d+)\**\*? \|/gm))
        found.add(id as string);
  return found;
}

/** Ids in titles of tests; `A-01 to A-04` and `A-01..A-04` name the whole run. */
function cited(): Set<string> {
  const found = new Set<string>();
  const files = fs.globSync(
    ["packages/*/{src,test}/**/*.test.ts", "tools/*.test.ts", "tests/**/*.ts", "fixtures/**/*.test.ts", "bench/**/*.ts"],
    { cwd: root },
  );
  for (const file of files) {
    if (file.includes("node_modules") || file.endsWith("spec-coverage.test.ts")) continue;
    for (const [, title = ""] of fs
      .readFileSync(path.join(root, file), "utf8")
      .matchAll(/\b(?:test|it|t\.test|describe|rule|onBothStores)\(\s*["'`]([^"'`]*)/g))
      for (const id of title.match(ID) ?? []) found.add(id);
  }
  return found;
}

function open(): Map<string, string> {
  const text = fs.readFileSync(path.join(root, "spec", "open.md"), "utf8");
  return new Map([...text.matchAll(/^\| ([A-Z]+-\d+) \| (.+?) \|$/gm)].map(([, id, reason]) => [id as string, reason as string]));
}

test("every rule is cited by a test or listed as open with a reason", () => {
  const [all, tested, listed] = [rules(), cited(), open()];
  assert.ok(all.size > 300, "the rules were found");
  const missing = [...all].filter((id) => !tested.has(id) && !listed.has(id)).sort();
  assert.deepEqual(missing, [], `neither cited nor open: ${missing.join(" ")}. Cite them in a test, or list them in spec/open.md.`);
  for (const [id, reason] of listed) assert.ok(reason.trim().length > 3, `${id} is open without a reason`);
});

test("nothing is listed as open that a test proves, and every id exists", () => {
  const [all, tested, listed] = [rules(), cited(), open()];
  assert.deepEqual([...listed.keys()].filter((id) => tested.has(id)).sort(), [], "take these out of spec/open.md: tests cite them");
  assert.deepEqual([...listed.keys()].filter((id) => !all.has(id)).sort(), [], "spec/open.md names rules that do not exist");
});
