/** Turns git's own text into rows a page can draw: changed files, and the lines of a unified diff. */

export interface ChangedFile {
  path: string;
  /** The name before a rename or copy. */
  from?: string;
  /** git's letter: A, M, D, R, C, T, U, ? */
  letter: string;
}

const WORDS: Record<string, string> = {
  A: "added",
  M: "modified",
  D: "deleted",
  R: "renamed",
  C: "copied",
  T: "type changed",
  U: "conflicted",
  "?": "untracked",
};
export function wordOfLetter(letter: string): string {
  return WORDS[letter] ?? "changed";
}

/** Files of `git diff --name-status` joined with those of `git status --porcelain=v1`, by path. */
export function changedFiles(nameStatus: string, porcelain: string): ChangedFile[] {
  const files = new Map<string, ChangedFile>();
  for (const line of nameStatus.split("\n")) {
    const [status, first, second] = line.split("\t");
    if (!status || !first) continue;
    const letter = status[0] ?? "M";
    const path = unquote(second ?? first);
    files.set(path, second ? { path, from: unquote(first), letter } : { path, letter });
  }
  for (const line of porcelain.split("\n")) {
    if (line.length < 4 || line.startsWith("##") || line.startsWith("!!")) continue;
    const [codes, rest] = [line.slice(0, 2), line.slice(3)];
    const arrow = rest.indexOf(" -> ");
    const path = unquote(arrow < 0 ? rest : rest.slice(arrow + 4));
    if (files.has(path) || path.endsWith("/")) continue;
    const letter = codes.trim()[0] ?? "M";
    files.set(path, arrow < 0 ? { path, letter } : { path, from: unquote(rest.slice(0, arrow)), letter });
  }
  return [...files.values()].sort((left, right) => (left.path < right.path ? -1 : left.path > right.path ? 1 : 0));
}

/** Undoes git's C-style quoting of unusual names: `"caf\303\251"`. */
export function unquote(name: string): string {
  if (!name.startsWith('"') || !name.endsWith('"') || name.length < 2) return name;
  const plain: Record<string, number> = { n: 10, t: 9, r: 13, a: 7, b: 8, f: 12, v: 11, '"': 34, "\\": 92 };
  const bytes: number[] = [];
  const inner = [...name.slice(1, -1)];
  for (let at = 0; at < inner.length; at++) {
    if (inner[at] !== "\\") {
      bytes.push(...new TextEncoder().encode(inner[at]));
      continue;
    }
    const octal = /^[0-7]{3}/.exec(inner.slice(at + 1, at + 4).join(""));
    if (octal) {
      bytes.push(Number.parseInt(octal[0], 8));
      at += 3;
    } else bytes.push(plain[inner[++at] ?? ""] ?? 63);
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}

export type DiffRow =
  | { kind: "hunk"; text: string }
  | { kind: "note"; text: string }
  | { kind: "add" | "del" | "same"; text: string; before: number | null; after: number | null };

export interface FileDiff {
  rows: DiffRow[];
  added: number;
  deleted: number;
}

/** Reads one file's unified diff. Headers that only repeat the name are dropped; mode changes and binary notes stay as notes. */
export function parseDiff(text: string): FileDiff {
  const rows: DiffRow[] = [];
  let [before, after, added, deleted, inHunk] = [0, 0, 0, 0, false];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const hunk = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/.exec(line);
    if (hunk) {
      [before, after, inHunk] = [Number(hunk[1]), Number(hunk[2]), true];
      rows.push({ kind: "hunk", text: line });
    } else if (line.startsWith("diff --git ")) {
      inHunk = false;
    } else if (!inHunk) {
      if (!/^(index |--- |\+\+\+ |new file mode|similarity )/.test(line) && line) rows.push({ kind: "note", text: line });
    } else if (line.startsWith("+")) {
      rows.push({ kind: "add", text: line.slice(1), before: null, after: after++ });
      added++;
    } else if (line.startsWith("-")) {
      rows.push({ kind: "del", text: line.slice(1), before: before++, after: null });
      deleted++;
    } else if (line.startsWith("\\")) rows.push({ kind: "note", text: line.slice(2) });
    else rows.push({ kind: "same", text: line.slice(1), before: before++, after: after++ });
  }
  return { rows, added, deleted };
}
