// Brings a clone to life on a machine that has only Node 20 and npm: installs once per lockfile, then hands over to the pinned runtime.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const MIN = [26, 4]; // node:sqlite without a warning, process.execve and node:ffi
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const stamp = path.join(root, "node_modules", ".boot-stamp");
const lock = path.join(root, ".install.lock");
const want = createHash("sha256")
  .update(readFileSync(path.join(root, "package-lock.json")))
  .update(process.platform + process.arch)
  .digest("hex");
const installed = () => existsSync(stamp) && readFileSync(stamp, "utf8") === want;
const pause = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

if (!installed()) {
  takeLock();
  try {
    if (!installed()) install();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** Two first starts at once must not install over each other; a lock older than ten minutes belonged to a killed install. */
function takeLock() {
  for (;;) {
    try {
      mkdirSync(lock);
      return;
    } catch {
      try {
        if (Date.now() - statSync(lock).mtimeMs > 600_000) rmSync(lock, { recursive: true, force: true });
      } catch {}
      pause(200);
    }
  }
}

/** The runtime to hand over to: a given one, the pinned one, or the one that runs this when it is new enough. */
function usableNode() {
  const pinned = path.join(root, "node_modules", ".bin", "node");
  const [major, minor] = process.versions.node.split(".").map(Number);
  const fits = major > MIN[0] || (major === MIN[0] && minor >= MIN[1]);
  return process.env.ARGUS_NODE ?? (existsSync(pinned) ? pinned : fits ? process.execPath : null);
}

function install() {
  process.stderr.write("Installing dependencies (first run, or the lockfile changed). This takes about half a minute.\n");
  // One retry: npm now and then gives up on a half-written cache entry left by a killed install.
  for (let attempt = 1; ; attempt++) {
    const run = spawnSync("npm", ["ci", "--loglevel=error", "--no-audit", "--no-fund", "--no-progress"], {
      cwd: root,
      stdio: ["ignore", 2, 2],
    });
    if (run.error) fail(`npm could not be started (${run.error.message}). Install Node 20 or newer together with npm.`);
    // npm drops an optional package whose download failed without a word, and the runtime is one.
    if (run.status === 0 && usableNode()) break;
    if (run.status === 0 && attempt === 2) return; // no stamp: the next start tries again; what is missing is said below
    if (attempt === 2)
      fail("npm ci failed; see its message above. Check the network and the free disk space, then run the same command again.");
    process.stderr.write("The installation is not complete; trying once more.\n");
  }
  writeFileSync(stamp, want);
}

function fail(sentence) {
  process.stderr.write(`argus: ${sentence}\n`);
  rmSync(lock, { recursive: true, force: true });
  process.exit(5);
}

const node = usableNode();
if (!node)
  fail(
    `Node ${MIN.join(".")} or newer is needed; found ${process.version} and no bundled runtime for ${process.platform}-${process.arch}. Set ARGUS_NODE to a newer node.`,
  );

const env = { ...process.env, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? path.join(root, "node_modules", ".cache", "v8") };
const [entry, ...rest] = process.argv.slice(2);
const argv = ["--disable-warning=ExperimentalWarning", path.resolve(root, entry), ...rest];
if (process.execve) process.execve(node, [node, ...argv], env); // Node 22.15 and newer: no extra process
const child = spawn(node, argv, { stdio: "inherit", env });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
