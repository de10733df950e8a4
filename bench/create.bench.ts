/** task.create against plain `git worktree add` and a spawn. Goal: at most 1.5 times as long. */
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { startHost } from "../packages/daemon/src/host.ts";
import { goal, paired, percentile, say } from "./measure.ts";

const FILES = 2000;
await using host = await startHost();
for (let n = 0; n < FILES; n++) {
  const folder = path.join(host.repo, `src${n % 40}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, `f${n}.txt`), `line ${n}\n`.repeat(40));
}
const git = (...args: string[]) =>
  execFileSync("git", ["-c", "user.name=Bench", "-c", "user.email=bench@localhost", ...args], { cwd: host.repo, stdio: "pipe" });
git("add", "-A");
git("commit", "-qm", "many files");
let n = 0;
const plain = path.join(host.home, "plain");
fs.mkdirSync(plain);
const [argus, bare] = await paired(
  20,
  3,
  () => host.call("task.create", { project: "demo", prompt: `task ${n}`, backend: "fixture-idle" }),
  async () => {
    git("worktree", "add", "-q", "-b", `plain/${n}`, path.join(plain, String(n)), "HEAD");
    const child = spawn("sh", ["-c", "exec cat"], { cwd: path.join(plain, String(n++)), stdio: ["pipe", "ignore", "ignore"] });
    await new Promise((resolve) => child.once("spawn", resolve));
    child.kill();
  },
);
say(`task.create, ${FILES} files`, argus, goal("ratio", percentile(argus, 50) / percentile(bare, 50), 1.5));
say("git worktree add + spawn", bare);
