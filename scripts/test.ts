/** `npm test`: every test file of the tree, with the runner of the runtime itself. Arguments pick files by a part of their path. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runTests } from "./runner.ts";

const root = path.resolve(import.meta.dirname, "..");
const wanted = process.argv.slice(2);
const files = fs
  .globSync(
    ["packages/*/{src,test}/**/*.test.ts", "tools/**/*.test.ts", "tests/**/*.test.ts", "fixtures/**/*.test.ts", "bench/**/*.test.ts"],
    { cwd: root },
  )
  .filter((file) => !file.includes("node_modules") && (wanted.length === 0 || wanted.some((part) => file.includes(part))))
  .sort();
if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(", ")}.`);
  process.exit(2);
}
if (!process.env.ARGUS_TEST_POSTGRES)
  console.log("PostgreSQL is not part of this run: set ARGUS_TEST_POSTGRES=postgres://… to run every store test on it too (.ci/run does).");

// A stray test must never meet the real home folder.
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "argus-test-home-"));
const status = await runTests(files, {
  cwd: root,
  timeoutMs: 600_000,
  concurrency: Math.max(2, os.availableParallelism()),
  env: { ...process.env, HOME: scratch, ARGUS_HOME: path.join(scratch, ".argus"), ARGUS_API_PORT: undefined, ARGUS_MCP_PORT: undefined },
});
fs.rmSync(scratch, { recursive: true, force: true });
process.exit(status);
