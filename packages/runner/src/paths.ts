/** Turns a path that came from outside (a browser, an agent) into one that is certainly inside a worktree. */
import { lstat, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { ArgusError } from "@argus/protocol";
import { isBelow } from "./folders.ts";

/**
 * The path relative to the worktree, normalised. Refuses absolute paths, `..`, NUL, git's own folder, and whatever lies behind a link that leaves the
 * worktree; with `follow` the last part may not be such a link either. Throws INVALID_INPUT. The file need not exist.
 */
export async function insidePath(worktree: string, path: string, options: { follow: boolean }): Promise<string> {
  const refuse = (reason: string): never => {
    throw new ArgusError("INVALID_INPUT", `"${path}" ${reason}. Pass a path relative to the worktree, such as src/main.ts.`);
  };
  if (isAbsolute(path)) return refuse("is absolute");
  if (path.includes("\0")) return refuse("contains a NUL");
  if (path.split(/[/\\]/).includes("..")) return refuse("contains ..");
  const plain = normalize(path).replace(/\/+$/, "");
  if (plain.split("/")[0]?.toLowerCase() === ".git") return refuse("belongs to git itself");
  const root = await realpath(worktree).catch(() => null);
  if (!root) throw new ArgusError("NOT_FOUND", `The worktree ${worktree} does not exist any more.`);
  if (plain === "." || plain === "") return ".";
  for (let current = options.follow ? join(root, plain) : dirname(join(root, plain)); current !== root; current = dirname(current)) {
    const real = await realpath(current).catch(() => null);
    if (real === null) {
      // A link that leads nowhere now may lead outside in a moment.
      if (await lstat(current).catch(() => null)) return refuse("lies behind a broken link");
      continue;
    }
    if (real !== root && !isBelow(real, root)) return refuse("leads out of the worktree");
    break;
  }
  return plain;
}
