/** Brings uncommitted work from one worktree into another of the same repository (WORKTREE-19). */
import { ArgusError } from "@argus/protocol";
import { commitOf, fatalLines, gitChange, gitRead, gitWrite } from "./gitcommand.ts";
import { treeOf } from "./trash.ts";

/**
 * Leaves the source as it is; in the target everything arrives uncommitted. Where the target differs from the source's last commit, those differences stay
 * unless the same file was changed. Throws INVALID_INPUT for two repositories, CONFLICT with git's words when a file is in the way.
 */
export async function carry(source: string, target: string): Promise<void> {
  const head = await commitOf(source, "HEAD");
  if (!head)
    throw new ArgusError(
      "INVALID_INPUT",
      `${source} has no commit yet, so there is nothing its changes could be compared with. Commit there first.`,
    );
  const tree = await treeOf(source);
  if ((await gitRead(target, ["cat-file", "-e", tree])).code !== 0)
    throw new ArgusError(
      "INVALID_INPUT",
      `${source} and ${target} belong to different repositories. Carry changes only between worktrees of one repository.`,
    );
  const moved = await gitWrite(target, ["read-tree", "-m", "-u", head, tree]);
  if (moved.code !== 0) {
    const words = moved.stderr.trim().split("\n").slice(0, 5).join("\n") || fatalLines(moved);
    throw new ArgusError("CONFLICT", `Could not carry the changes of ${source} into ${target}: ${words}`);
  }
  // Out of the index again: what was uncommitted in the source is uncommitted here, and new files are untracked.
  await gitChange(target, ["reset", "--quiet", "--mixed"]);
}
