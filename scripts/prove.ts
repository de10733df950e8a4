/** `npm run prove`: the proofs that need more than Node: a browser, the real agent CLIs, a fresh clone. Arguments pick files by a part of their path. */
import fs from "node:fs";
import path from "node:path";
import { runTests } from "./runner.ts";

const root = path.resolve(import.meta.dirname, "..");
const wanted = process.argv.slice(2);
const files = fs
  .globSync(["tests/**/*.e2e.ts", "tests/**/*.browser.ts", "tests/**/*.clone.ts"], { cwd: root })
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) {
  console.error("There is nothing to prove.");
  process.exit(2);
}
// One at a time: each starts daemons, browsers or agents of its own, and the machine may have two cores.
process.exit(await runTests(files, { cwd: root, timeoutMs: 900_000, concurrency: 1 }));
