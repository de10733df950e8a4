/** Finds the skills an agent may use: folders with a SKILL.md whose head says what they are for. */
import { open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";

/** The head of a SKILL.md is a few lines. */
const HEAD_BYTES = 64 * 1024;
/** Skills lie directly below a root or grouped by vendor; deeper there are only their own resources. */
const MAX_DEPTH = 3;

export interface Skill {
  name: string;
  description: string;
  /** The SKILL.md. */
  path: string;
}

/** Sorted by name; of two with one name the one of the earlier root stays. Missing roots and unreadable files are left out. */
export async function findSkills(roots: string[]): Promise<Skill[]> {
  const found = new Map<string, Skill>();
  for (const root of roots) {
    for (const folder of await skillFolders(root, MAX_DEPTH)) {
      const path = join(folder, "SKILL.md");
      const head = await readHead(path).catch(() => null);
      if (head === null) continue;
      const fields = frontmatter(head);
      const name = fields.name || basename(folder);
      if (!found.has(name)) found.set(name, { name, description: fields.description ?? "", path });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function skillFolders(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  if (entries.some((entry) => entry.name === "SKILL.md" && !entry.isDirectory())) return [folder];
  if (depth === 0) return [];
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    // People link skills from elsewhere; the depth keeps a circle of links finite.
    const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await stat(path).catch(() => null))?.isDirectory());
    if (isFolder) found.push(...(await skillFolders(path, depth - 1)));
  }
  return found;
}

async function readHead(path: string): Promise<string> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** Top-level text fields between two `---` lines: plain, quoted, folded over indented lines, or as a `>` or `|` block. Other YAML is left out. */
export function frontmatter(text: string): Record<string, string> {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const fields: Record<string, string> = {};
  if (lines[0]?.trim() !== "---") return fields;
  const end = lines.findIndex((line, index) => index > 0 && /^(?:---|\.\.\.)\s*$/.test(line));
  for (let at = 1; at < (end < 0 ? lines.length : end); at++) {
    const field = /^([A-Za-z_][\w-]*):(?:\s+(.*))?$/.exec(lines[at] ?? "");
    if (!field) continue;
    const more: string[] = [];
    while (at + 1 < lines.length && /^(?:\s+\S|\s*$)/.test(lines[at + 1] ?? "") && at + 1 !== end) more.push((lines[++at] ?? "").trim());
    fields[field[1] ?? ""] = fieldText((field[2] ?? "").trim(), more);
  }
  return fields;
}

function fieldText(first: string, more: string[]): string {
  const block = /^([>|])[-+\d]*$/.exec(first);
  if (block) return more.join(block[1] === "|" ? "\n" : " ").trim();
  const text = [first, ...more].filter(Boolean).join(" ");
  const quoted = /^"((?:[^"\\]|\\.)*)"|^'((?:[^']|'')*)'/.exec(text);
  if (quoted?.[1] !== undefined) return quoted[1].replace(/\\(["\\nt])/g, (_, letter: string) => ({ n: "\n", t: "\t" })[letter] ?? letter);
  if (quoted?.[2] !== undefined) return quoted[2].replaceAll("''", "'");
  return text.replace(/\s+#.*$/, "").trim();
}
