/** Names a program by its own text, so that two processes can say whether they run the same one. A version number stays equal while a clone changes. */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** What a daemon consists of; a change anywhere else needs no restart of it. */
const PACKAGES = ["agent", "daemon", "protocol", "runner", "supervisor"];

/** Twelve hex digits over every source file of the daemon below `root`, a clone's top folder. */
export function buildOf(root: string): string {
  const hash = createHash("sha256");
  for (const name of PACKAGES)
    for (const file of fs
      .globSync("**/*.ts", { cwd: path.join(root, "packages", name, "src") })
      .filter((one) => !one.endsWith(".test.ts"))
      .sort())
      hash.update(`${name}/${file}\0`).update(fs.readFileSync(path.join(root, "packages", name, "src", file)));
  return hash.digest("hex").slice(0, 12);
}
