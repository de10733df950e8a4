/** Keeps our own files out of `git status` without changing anything a repository tracks (WORKTREE-11). */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { commonDirectory, exclusively } from "./repository.ts";

/** Adds the patterns that are missing. The file is shared by all worktrees of a repository, so patterns begin with a slash and name only what is ours. */
export async function excludeLocally(worktree: string, patterns: string[]): Promise<void> {
  const shared = await commonDirectory(worktree);
  if (shared === null) throw new ArgusError("CONFLICT", `${worktree} is not a git worktree any more.`);
  const file = join(shared, "info", "exclude");
  await exclusively(worktree, async () => {
    const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause;
      return "";
    });
    const present = new Set(text.split("\n"));
    const missing = [...new Set(patterns)].filter((pattern) => pattern !== "" && !/[\n\r\0]/.test(pattern) && !present.has(pattern));
    if (missing.length === 0) return;
    const joined = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    const temporary = `${file}.${randomBytes(6).toString("hex")}`;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(temporary, `${joined}${missing.join("\n")}\n`);
    await rename(temporary, file);
  });
}
