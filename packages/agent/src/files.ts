/** Reading, changing and finding files for the model: bounded, exact, and with messages that say what to do when something is not as expected. */
import { mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";

/** What a tool says back. `failed` is an outcome the model reads and reacts to, not an error of ours. */
export interface ToolResult {
  text: string;
  failed?: boolean;
}

const MAX_READ_BYTES = 1024 * 1024; // beyond this the model should search, not read
const MAX_READ_LINES = 1_000;
const MAX_LINE = 2_000; // characters; minified files
const MAX_ENTRIES = 500;
const MAX_HITS = 100;
const MAX_FILES_SEARCHED = 5_000;
const SKIPPED = new Set([".git", "node_modules", ".venv", "__pycache__", "target", "dist", ".next"]);

const failed = (text: string): ToolResult => ({ text, failed: true });

/** Lines with their numbers, from line `offset` (1-based). */
export async function readLines(cwd: string, name: string, offset = 1, limit = MAX_READ_LINES): Promise<ToolResult> {
  const file = path.resolve(cwd, name);
  const about = await stat(file).catch(() => null);
  if (!about) return failed(`There is no file ${name}. list_files shows what is there.`);
  if (about.isDirectory()) return failed(`${name} is a folder. Use list_files.`);
  const handle = await open(file);
  let bytes: Buffer;
  try {
    const buffer = Buffer.alloc(Math.min(about.size, MAX_READ_BYTES));
    bytes = buffer.subarray(0, (await handle.read(buffer, 0, buffer.length, 0)).bytesRead);
  } finally {
    await handle.close();
  }
  if (bytes.includes(0)) return failed(`${name} is not a text file (${about.size} bytes).`);
  const lines = bytes.toString("utf8").split("\n");
  if (lines.at(-1) === "") lines.pop();
  const first = Math.max(1, offset);
  const shown = lines.slice(first - 1, first - 1 + Math.min(limit, MAX_READ_LINES));
  const numbered = shown.map((line, index) => `${first + index}\t${line.slice(0, MAX_LINE)}`);
  const more = first - 1 + shown.length < lines.length || about.size > bytes.length;
  const tail = more
    ? `\n[${lines.length} lines${about.size > bytes.length ? " in the first MiB" : ""}; go on with offset ${first + shown.length}]`
    : "";
  return { text: numbered.length ? numbered.join("\n") + tail : `${name} has ${lines.length} lines; nothing from line ${first} on.` };
}

export async function writeWhole(cwd: string, name: string, content: string): Promise<ToolResult> {
  const file = path.resolve(cwd, name);
  const existed = await stat(file).catch(() => null);
  if (existed?.isDirectory()) return failed(`${name} is a folder.`);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
  return { text: `${existed ? "Replaced" : "Created"} ${name} (${content.split("\n").length} lines).` };
}

/** Replaces exact text. More than one place is refused unless `all`: the model must say which it means. */
export async function replaceText(cwd: string, name: string, before: string, after: string, all: boolean): Promise<ToolResult> {
  const file = path.resolve(cwd, name);
  const content = await readFile(file, "utf8").catch(() => null);
  if (content === null) return failed(`There is no file ${name}. Use write_file to create it.`);
  if (before === "") return failed("old_text is empty. Give the exact text to replace, or use write_file for a whole file.");
  const places = content.split(before).length - 1;
  if (places === 0)
    return failed(`old_text was not found in ${name}. Read the file again: it must match byte for byte, indentation included.`);
  if (places > 1 && !all) return failed(`old_text occurs ${places} times in ${name}. Add lines around it until it is unique, or set all.`);
  // split and join, because replace() would read `$&` in the new text as a pattern
  await writeFile(file, all ? content.split(before).join(after) : content.replace(before, () => after));
  return { text: `Changed ${places === 1 ? "one place" : `${places} places`} in ${name}.` };
}

export async function listFiles(cwd: string, name: string): Promise<ToolResult> {
  const folder = path.resolve(cwd, name);
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => null);
  if (!entries) return failed(`There is no folder ${name}.`);
  const lines = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
  const more = lines.length > MAX_ENTRIES ? `\n[${lines.length - MAX_ENTRIES} more]` : "";
  return { text: lines.length ? lines.slice(0, MAX_ENTRIES).join("\n") + more : "The folder is empty." };
}

/** Lines matching a regular expression, as `path:line: text`. */
export async function search(cwd: string, pattern: string, name: string, glob: string | null, signal: AbortSignal): Promise<ToolResult> {
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    return failed(`${pattern} is not a regular expression (${(error as Error).message}).`);
  }
  const hits: string[] = [];
  let files = 0;
  for await (const file of walk(path.resolve(cwd, name))) {
    signal.throwIfAborted();
    const shown = path.relative(cwd, file);
    if (glob && !path.matchesGlob(shown, glob) && !path.matchesGlob(path.basename(file), glob)) continue;
    if (++files > MAX_FILES_SEARCHED || hits.length >= MAX_HITS) break;
    const about = await stat(file).catch(() => null);
    if (!about || about.size > MAX_READ_BYTES) continue;
    const content = await readFile(file, "utf8").catch(() => "");
    if (content.includes("\0")) continue;
    for (const [index, line] of content.split("\n").entries()) {
      if (hits.length < MAX_HITS && expression.test(line)) hits.push(`${shown}:${index + 1}: ${line.slice(0, 300)}`);
    }
  }
  const more = hits.length >= MAX_HITS ? `\n[the first ${MAX_HITS}; narrow the pattern for the rest]` : "";
  return { text: hits.length ? hits.join("\n") + more : `Nothing matches ${pattern}.` };
}

async function* walk(at: string): AsyncGenerator<string> {
  const about = await stat(at).catch(() => null);
  if (about?.isFile()) yield at;
  if (!about?.isDirectory()) return;
  const entries = await readdir(at, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    const inner = path.join(at, entry.name);
    if (entry.isFile()) yield inner;
    else if (entry.isDirectory() && !SKIPPED.has(entry.name)) yield* walk(inner); // links are not followed: they may lead in circles
  }
}
