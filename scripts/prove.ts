/** `npm run prove`: the proofs that need more than Node: a browser, the real agent CLIs, a fresh clone. Arguments pick files by a part of their path. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

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
const child = spawn(
  process.execPath,
  ["--disable-warning=ExperimentalWarning", "--test", "--test-timeout=900000", "--test-concurrency=1", ...files],
  { cwd: root, stdio: "inherit" },
);
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
