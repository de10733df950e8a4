/** Runs test files with the runtime's own runner; in CI a test that failed is run once more, and said to have been. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export interface RunOptions {
  cwd: string;
  /** Longest time of one test, milliseconds. */
  timeoutMs: number;
  concurrency: number;
  env?: NodeJS.ProcessEnv;
}

/** Resolves with the exit status. */
export async function runTests(files: string[], options: RunOptions): Promise<number> {
  if (!process.env.CI) return run(files, options, null);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "argus-runs-"));
  try {
    const state = path.join(folder, "state.json");
    const first = await run(files, options, state);
    if (first === 0) return 0;
    // Hundreds of tests start real processes on a machine of two cores; one that met a busy moment must not hide the rest. A broken one fails twice.
    console.log("\nSome tests failed. Those are run once more:\n");
    return await run(files, { ...options, concurrency: 1 }, state);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function run(files: string[], { cwd, timeoutMs, concurrency, env }: RunOptions, state: string | null): Promise<number> {
  const flags = ["--disable-warning=ExperimentalWarning", "--test", `--test-timeout=${timeoutMs}`, `--test-concurrency=${concurrency}`];
  if (state) flags.push(`--test-rerun-failures=${state}`);
  const child = spawn(process.execPath, [...flags, ...files], { cwd, stdio: "inherit", env: env ?? process.env });
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve(signal ? 1 : (code ?? 1))));
}
