// Adds lockfile entries for optional platform packages that the registry at hand does not carry, so that `npm ci` accepts the
// lockfile everywhere. Such entries have no integrity hash: npm records it at their first install elsewhere.
import fs from "node:fs";

const SYSTEMS = ["darwin", "linux", "win32", "android", "freebsd", "openharmony", "aix", "sunos", "netbsd", "openbsd", "windows"];
const CPUS = ["arm64", "x64", "ia32", "riscv64", "s390x", "ppc64", "loong64", "mips64el", "wasm32", "arm"];
const file = process.argv[2] ?? "package-lock.json";
const lock = JSON.parse(fs.readFileSync(file, "utf8"));
const packages = lock.packages;
let added = 0;

/** Node's own lookup: from the package's folder upwards. */
function isLocked(from, name) {
  for (let base = from; ; base = base.slice(0, base.lastIndexOf("/node_modules/"))) {
    if (packages[`${base ? `${base}/` : ""}node_modules/${name}`]) return true;
    if (!base.includes("/node_modules/")) return Boolean(packages[`node_modules/${name}`]);
  }
}

for (const [from, entry] of Object.entries({ ...packages }))
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(from, name) || !/^\d+\.\d+\.\d+/.test(range)) continue;
    const os = SYSTEMS.find((s) => new RegExp(`[-/]${s}(-|$)`).test(name));
    const cpu = CPUS.find((c) => new RegExp(`[-/]${c}([-e]|$)`).test(name));
    packages[`node_modules/${name}`] = {
      version: range,
      ...(cpu && { cpu: [cpu] }),
      ...(entry.dev && { dev: true }),
      optional: true,
      ...(os && { os: [os === "windows" ? "win32" : os] }),
    };
    added++;
  }
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.error(`added ${added} entries`);
