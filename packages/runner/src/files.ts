/** Reads and writes the few files Argus itself cares about: listings of a worktree, uploads, private settings, skills. */
import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { excludeLocally } from "./exclude.ts";
import { gitRead } from "./gitcommand.ts";
import { cleanFileName, numbered } from "./names.ts";
import type { FileEntry, Files } from "./node.ts";
import { insidePath } from "./paths.ts";
import { findSkills } from "./skills.ts";

/** More entries of one folder nobody scrolls through, and a reply stays below a megabyte. */
const MAX_ENTRIES = 5_000;
/** SESSION-41. */
const MAX_FILE_BYTES = 10_000_000;
const MAX_REQUEST_BYTES = 50_000_000;
const MAX_FILES = 20;

export const files: Files = { list, saveContext, read, writePrivate, remove, exists, skills: findSkills };

/** Folders first, then files, each by name. Deleted files are listed too; git's own folder is not. Throws INVALID_INPUT, NOT_FOUND. */
async function list(worktree: string, dir: string): Promise<FileEntry[]> {
  const folder = await insidePath(worktree, dir === "" ? "." : dir, { follow: true });
  const entries = await readdir(join(worktree, folder), { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOTDIR") throw new ArgusError("INVALID_INPUT", `"${dir}" is a file. Pass a folder of the worktree.`);
    return null;
  });
  const letters = await statusLetters(worktree, folder);
  const prefix = folder === "." ? "" : `${folder}/`;
  const found = new Map<string, FileEntry>();
  for (const entry of entries ?? []) {
    if (entry.name === ".git") continue;
    const path = prefix + entry.name;
    found.set(path, { path, status: letters.get(path) ?? "", is_dir: entry.isDirectory() });
  }
  for (const [path, status] of letters) if (status.includes("D") && !found.has(path)) found.set(path, { path, status, is_dir: false });
  if (!entries && found.size === 0) throw new ArgusError("NOT_FOUND", `There is no folder "${dir}" in ${worktree}.`);
  const order = (a: FileEntry, b: FileEntry) => Number(b.is_dir) - Number(a.is_dir) || (a.path < b.path ? -1 : 1);
  return [...found.values()].sort(order).slice(0, MAX_ENTRIES);
}

/** Status of the entries directly in a folder; a folder with changes below has ` M`, one that is wholly untracked `??`. Empty when git cannot tell. */
async function statusLetters(worktree: string, folder: string): Promise<Map<string, string>> {
  const result = await gitRead(worktree, [
    "--literal-pathspecs",
    "status",
    "--porcelain=v1",
    "-z",
    "--no-renames",
    "--untracked-files=normal",
    "--",
    folder,
  ]);
  const letters = new Map<string, string>();
  if (result.code !== 0) return letters;
  const prefix = folder === "." ? "" : `${folder}/`;
  for (const line of result.stdout.split("\0")) {
    if (line === "") continue;
    const status = line.slice(0, 2);
    const path = line.slice(3);
    if (!path.startsWith(prefix)) {
      // The folder itself lies in an untracked one: git names only that.
      if (path.endsWith("/") && prefix.startsWith(path)) return everythingUntracked(worktree, folder);
      continue;
    }
    const rest = path.slice(prefix.length);
    if (rest === "") return everythingUntracked(worktree, folder);
    const slash = rest.indexOf("/");
    if (slash < 0) letters.set(path, status);
    else letters.set(prefix + rest.slice(0, slash), slash === rest.length - 1 ? status : " M");
  }
  return letters;
}

async function everythingUntracked(worktree: string, folder: string): Promise<Map<string, string>> {
  const names = await readdir(join(worktree, folder)).catch(() => []);
  return new Map(names.map((name) => [`${folder}/${name}`, "??"]));
}

/** SESSION-41. All files or none. Throws TOO_LARGE beyond 20 files, 10 MB each or 50 MB together, CONFLICT when `.context` is not a folder. */
async function saveContext(worktree: string, uploads: { name: string; bytes: Uint8Array }[]): Promise<string[]> {
  const total = uploads.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const large = uploads.find(({ bytes }) => bytes.length > MAX_FILE_BYTES);
  const limits = `At most ${MAX_FILES} files of ${MAX_FILE_BYTES / 1e6} MB, together ${MAX_REQUEST_BYTES / 1e6} MB, can be added at once.`;
  if (uploads.length > MAX_FILES) throw new ArgusError("TOO_LARGE", `${uploads.length} files were sent. ${limits}`);
  if (large) throw new ArgusError("TOO_LARGE", `"${cleanFileName(large.name)}" has ${large.bytes.length} bytes. ${limits}`);
  if (total > MAX_REQUEST_BYTES) throw new ArgusError("TOO_LARGE", `${total} bytes were sent. ${limits}`);
  if (uploads.length === 0) return [];
  await insidePath(worktree, ".", { follow: true });
  const folder = join(worktree, ".context");
  await mkdir(folder).catch(() => {});
  // A repository may track a link of that name; nothing is written through it.
  if (!(await lstat(folder).catch(() => null))?.isDirectory())
    throw new ArgusError(
      "CONFLICT",
      `${folder} is not a folder, so files cannot be added to the task. Remove it, or add them to the prompt as text.`,
    );
  await excludeLocally(worktree, ["/.context/"]);
  const saved: string[] = [];
  try {
    for (const { name, bytes } of uploads) saved.push(await saveOne(folder, cleanFileName(name), bytes));
    return saved;
  } catch (cause) {
    for (const name of saved) await rm(join(folder, name), { force: true });
    throw cause;
  }
}

async function saveOne(folder: string, name: string, bytes: Uint8Array): Promise<string> {
  for (let number = 0; ; number++) {
    const candidate = numbered(name, number);
    try {
      await writeFile(join(folder, candidate), bytes, { flag: "wx" });
      return candidate;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    }
  }
}

async function read(path: string, offset: number, max: number): Promise<{ bytes: Buffer; size: number }> {
  const handle = await open(path, "r").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "ENOTDIR") return null;
    throw cause;
  });
  if (!handle) return { bytes: Buffer.alloc(0), size: 0 };
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, offset);
    const buffer = Buffer.alloc(Math.max(0, Math.min(max, size - from)));
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, from + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return { bytes: buffer.subarray(0, filled), size };
  } finally {
    await handle.close();
  }
}

/** Mode 0600 in a folder of mode 0700 (when it has to be made); a reader sees the old text or the new, never half. */
async function writePrivate(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
}

/** A file, a link or an empty folder; what is missing counts as removed. Whole folders are never removed by this. Throws INVALID_INPUT for one with something in it. */
async function remove(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (!found) return;
  if (!found.isDirectory()) return rm(path, { force: true });
  await rmdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOTEMPTY" || cause.code === "EEXIST")
      throw new ArgusError("INVALID_INPUT", `${path} is a folder with something in it. Remove its files one by one.`);
    if (cause.code !== "ENOENT") throw cause;
  });
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}
