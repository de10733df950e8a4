/** Builds the page into dist/, and only when its sources changed, so that `npm start` needs no separate build step. */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = import.meta.dirname;
const dist = path.join(root, "dist");
const stamp = path.join(dist, ".sources");
/** What the build reads. The lockfile stands for every dependency. */
const SOURCES = [
  "index.html",
  "public",
  "src",
  "worker.js",
  "build.ts",
  "package.json",
  "../protocol/src/errors.ts",
  "../../package-lock.json",
].map((name) => path.join(root, name));

/** SHA-256 over names and bytes of everything the build reads, hex. */
export function sourceHash(): string {
  const hash = createHash("sha256");
  for (const file of SOURCES.flatMap(filesBelow))
    hash.update(path.relative(root, file)).update("\0").update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}

/** True when dist/ is missing or was made from other sources. */
export function isStale(): boolean {
  return !existsSync(stamp) || readFileSync(stamp, "utf8") !== sourceHash();
}

/** Builds when needed. Returns the folder to serve. */
export async function ensureWeb(): Promise<string> {
  if (isStale()) await buildWeb();
  return dist;
}

/** Builds into dist/. Safe beside a running daemon: the new build is made elsewhere and moved into place, and the assets of the build before stay readable. */
export async function buildWeb(): Promise<void> {
  const hash = sourceHash(); // before the build: a file changed while building must leave the result stale
  const next = path.join(root, ".cache", `build-${process.pid}`);
  const { build } = await import("vite");
  try {
    await build({
      configFile: false,
      root,
      logLevel: "error",
      oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
      build: {
        outDir: next,
        emptyOutDir: true,
        target: "es2023",
        modulePreload: { polyfill: false },
        reportCompressedSize: false,
        chunkSizeWarningLimit: 1000,
        rolldownOptions: {
          // The error table is all the page takes from the protocol at run time; without this its schemas would drag zod along.
          treeshake: { moduleSideEffects: (id: string) => !id.includes("/protocol/src/") && !id.includes("/zod/") },
        },
      },
    });
    writeServiceWorker(next, hash);
    keepOldAssets(next);
    writeFileSync(path.join(next, ".sources"), hash);
    const old = path.join(root, ".cache", `old-${process.pid}`);
    if (existsSync(dist)) renameSync(dist, old);
    try {
      renameSync(next, dist);
    } catch (error) {
      // Somebody else built at the same time and was first; theirs serves as well as ours when it is fresh.
      if (isStale()) throw error;
    }
    rmSync(old, { recursive: true, force: true });
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

/** Gives the worker the build's hash and its files: a new build is a new worker with a new cache. */
function writeServiceWorker(next: string, hash: string): void {
  const files = ["/", "/manifest.webmanifest", "/icon.svg", ...readdirSync(path.join(next, "assets")).map((name) => `/assets/${name}`)];
  const worker = readFileSync(path.join(root, "worker.js"), "utf8");
  writeFileSync(
    path.join(next, "worker.js"),
    worker.replace("__BUILD__", hash.slice(0, 16)).replace('["__FILES__"]', JSON.stringify(files)),
  );
}

/** A page that is open during an upgrade still asks for its own lazy chunks: the assets of one build before are carried along. */
function keepOldAssets(next: string): void {
  const [from, to] = [path.join(dist, "assets"), path.join(next, "assets")];
  const listing = path.join(dist, ".assets");
  mkdirSync(to, { recursive: true });
  writeFileSync(path.join(next, ".assets"), JSON.stringify(readdirSync(to)));
  if (!existsSync(from) || !existsSync(listing)) return;
  for (const name of JSON.parse(readFileSync(listing, "utf8")) as string[]) {
    if (!existsSync(path.join(to, name)) && existsSync(path.join(from, name))) cpSync(path.join(from, name), path.join(to, name));
  }
}

function filesBelow(entry: string): string[] {
  if (!existsSync(entry)) return [];
  if (statSync(entry).isFile()) return [entry];
  return readdirSync(entry, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => path.join(item.parentPath, item.name))
    .sort();
}

if (import.meta.main) {
  if (process.argv.includes("--force")) await buildWeb();
  else await ensureWeb();
}
