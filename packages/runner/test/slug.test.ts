import assert from "node:assert/strict";
import { test } from "node:test";
import { slugOf } from "../src/slug.ts";

const NAMES: [name: string, slug: string][] = [
  ["Fix the login!", "Fix-the-login"],
  ["..", "task"],
  ["", "task"],
  ["   ", "task"],
  ["???", "task"],
  ["a/b", "a-b"],
  ["a\\b", "a-b"],
  ["--force", "force"],
  [".hidden", "hidden"],
  ["../../etc/passwd", "etc-passwd"],
  ["v1.2 release", "v1.2-release"],
  ["a..b", "a-b"],
  ["main.lock", "main-lock"],
  ["tab\there\nline", "tab-here-line"],
  ['it\'s "quoted" `code`', "it-s-quoted-code"],
  ["$(touch p) && rm -rf ~", "touch-p-rm-rf"],
  ["a~b^c:d?e*f[g]h@{i}", "a-b-c-d-e-f-g-h-i"],
  ["a".repeat(80), "a".repeat(30)],
  [`short ${"b".repeat(80)}`, `short-${"b".repeat(24)}`],
  ["refactor the payment service module", "refactor-the-payment-service"],
  ["修复登录页面", "修复登录页面"],
  ["修".repeat(40), "修".repeat(30)],
  ["right\u202eleft\u0000zero", "right-left-zero"],
  ["ends with a dash -", "ends-with-a-dash"],
];

for (const [name, slug] of NAMES) {
  test(`WORKTREE-02: the slug of ${JSON.stringify(name.slice(0, 40))} is ${slug}`, () => assert.equal(slugOf(name), slug));
}
