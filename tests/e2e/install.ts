/** Fetches the real agent CLIs, exactly pinned, into a cache outside the tree, so that end-to-end tests drive what people really run. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export type Cli = "claude" | "codex" | "pi";

/** Versions that were measured; a newer one is adopted by changing it here and running the tests. */
export const PINS: Record<Cli, { name: string; version: string }> = {
  claude: { name: "@anthropic-ai/claude-code", version: "2.1.330" },
  codex: { name: "@openai/codex", version: "0.169.0" },
  pi: { name: "@earendil-works/pi-coding-agent", version: "0.87.1" },
};
export const CLIS = Object.keys(PINS) as Cli[];

const NEEDED_BYTES = 2 * 1024 ** 3; // the three together unpack to about 1 GB; npm keeps the archives beside them
const INSTALL_LIMIT_MS = 10 * 60_000; // a slow registry; the native parts are 400 MB

/** Where installed CLIs live: `ARGUS_E2E_CACHE`, else below the user's cache folder. Never inside the tree. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.ARGUS_E2E_CACHE ?? path.join(env.XDG_CACHE_HOME ?? path.join(homedir(), ".cache"), "argus-e2e");
}

/** Absolute path of an installed CLI's program, or null when it has not been installed yet. */
export function installed(cli: Cli): string | null {
  const folder = folderOf(cli);
  return existsSync(path.join(folder, ".complete")) ? path.join(folder, "node_modules", ".bin", cli) : null;
}

/** Installs one CLI unless it is there already; returns its program. Safe when two runs do it at once: the later one is thrown away. */
export async function install(cli: Cli, log: (line: string) => void = () => {}): Promise<string> {
  const there = installed(cli);
  if (there) return there;
  const { name, version } = PINS[cli];
  const cache = cacheFolder();
  await mkdir(cache, { recursive: true });
  const disk = await statfs(cache);
  if (disk.bavail * disk.bsize < NEEDED_BYTES) {
    throw new Error(`Installing ${name}@${version} needs 2 GiB free in ${cache}. Free some space, or point ARGUS_E2E_CACHE elsewhere.`);
  }
  const staging = path.join(cache, `.${cli}-${process.pid}`);
  await mkdir(staging, { recursive: true });
  try {
    await writeFile(path.join(staging, "package.json"), JSON.stringify({ private: true, dependencies: { [name]: version } }));
    log(`installing ${name}@${version} into ${cache}`);
    await run(["npm", "install", "--no-audit", "--no-fund", "--no-progress", "--loglevel=error", "--ignore-scripts"], staging);
    // Scripts stay off for the whole tree; the one we need places the native program, and is the same on npm 11 and 12.
    const place = path.join(staging, "node_modules", name, "install.cjs");
    if (existsSync(place)) await run([process.execPath, place], path.dirname(place));
    const found = JSON.parse(await readFile(path.join(staging, "node_modules", name, "package.json"), "utf8")) as { version: string };
    if (found.version !== version) throw new Error(`npm installed ${name}@${found.version} where ${version} was asked for.`);
    await writeFile(path.join(staging, ".complete"), `${version}\n`);
    await rename(staging, folderOf(cli)).catch((error: NodeJS.ErrnoException) => {
      if (!installed(cli)) throw error;
    });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return installed(cli) as string;
}

function folderOf(cli: Cli): string {
  return path.join(cacheFolder(), `${cli}-${PINS[cli].version}`);
}

function run(argv: string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const [program, ...rest] = argv as [string, ...string[]];
    const child = spawn(program, rest, { cwd, stdio: ["ignore", 2, 2], timeout: INSTALL_LIMIT_MS });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`\`${argv.join(" ")}\` ended with ${signal ?? code} in ${cwd}. Its own message is above.`));
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2) as Cli[];
  for (const cli of asked.length ? asked : CLIS) console.log(`${cli}\t${await install(cli, (line) => console.error(line))}`);
}
