/** `./argus status` against the bare runtime. Goal: at most twice as long. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { endSupervisor } from "../packages/daemon/src/host.ts";
import { goal, paired, percentile, say } from "./measure.ts";

const root = path.resolve(import.meta.dirname, "..");
const home = fs.mkdtempSync(path.join(os.tmpdir(), "argus-bench-"));
const env = { ...process.env, ARGUS_HOME: home, ARGUS_MCP_PORT: "0" };
const argus = path.join(root, "argus");
const empty = path.join(home, "empty.mjs");
fs.writeFileSync(empty, "");
execFileSync(argus, ["daemon", "start"], { env, stdio: "ignore" });
try {
  const [status, node] = await paired(
    40,
    5,
    () => spawnSync(argus, ["status"], { env }),
    () => spawnSync(process.execPath, [empty], { env }),
  );
  say("./argus status", status, goal("ratio", percentile(status, 50) / percentile(node, 50), 2));
  say("node empty.mjs", node);
} finally {
  execFileSync(argus, ["daemon", "stop"], { env, stdio: "ignore" });
  await endSupervisor(home);
  fs.rmSync(home, { recursive: true, force: true });
}
