/** Finds the conversations that agent programs recorded for a working directory, each in its own place and form. */
import { open, readdir, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Conversation, Conversations } from "./node.ts";

/** Titles are near the start of a transcript; a first message with a pasted file may be long. */
const HEAD_BYTES = 256 * 1024;
/** A later summary replaces the first message as title and is among the last lines. */
const TAIL_BYTES = 64 * 1024;
/** As many as a picker shows without becoming a search. */
const MAX_CONVERSATIONS = 200;
/** Days of codex sessions looked through, newest first, before older ones are given up. */
const MAX_CODEX_FILES = 2_000;
const MAX_TITLE = 120;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/i;

type Store = (cwd: string, home: string) => Promise<Conversation[]>;
type Line = Record<string, unknown>;

const STORES: Record<string, Store> = { claude, codex, pi, opencode };

export const conversations: Conversations = {
  async list(store, cwd, home) {
    const read = Object.hasOwn(STORES, store) ? STORES[store] : undefined;
    const found = read ? await read(cwd, home).catch(() => []) : [];
    return found.sort((a, b) => b.updatedAt - a.updatedAt || (a.id < b.id ? -1 : 1)).slice(0, MAX_CONVERSATIONS);
  },
  async touch(conversation) {
    if (!conversation.file) return;
    const now = new Date();
    await utimes(conversation.file, now, now);
  },
};

// ---------------------------------------------------------------- claude: ~/.claude/projects/<cwd, non-alphanumerics as ->/<id>.jsonl

async function claude(cwd: string, home: string): Promise<Conversation[]> {
  const folder = join(home, ".claude", "projects", cwd.replace(/[^A-Za-z0-9]/g, "-"));
  return transcripts(folder, async (file, name) => {
    const { head, tail } = await ends(file);
    // Side conversations of sub-agents lie beside the main ones and cannot be resumed.
    if (head.some((line) => line.isSidechain === true) && !head.some((line) => line.isSidechain === false)) return null;
    const summary = [...tail].reverse().find((line) => line.type === "summary" || line.type === "custom-title" || line.type === "ai-title");
    const title = text(summary?.summary ?? summary?.customTitle ?? summary?.aiTitle ?? summary?.title) || firstMessage(head, claudeMessage);
    return { id: name.replace(/\.jsonl$/, ""), title };
  });
}

function claudeMessage(line: Line): string {
  if (line.type !== "user" || line.isMeta === true) return "";
  return messageText((line.message as Line | undefined)?.content);
}

// ---------------------------------------------------------------- pi: ~/.pi/agent/sessions/--<cwd without leading slash, / \ : as ->--/<time>_<id>.jsonl

async function pi(cwd: string, home: string): Promise<Conversation[]> {
  const folder = join(home, ".pi", "agent", "sessions", `--${cwd.replace(/^[/\\]/, "").replace(/[/\\:]/g, "-")}--`);
  return transcripts(folder, async (file, name) => {
    const { head, tail } = await ends(file);
    const session = head.find((line) => line.type === "session");
    const named = [...tail].reverse().find((line) => line.type === "session_info");
    const id = text(session?.id) || (UUID.exec(name)?.[0] ?? name.replace(/\.jsonl$/, ""));
    return { id, title: text(named?.name) || firstMessage(head, piMessage) };
  });
}

function piMessage(line: Line): string {
  const message = line.message as Line | undefined;
  return line.type === "message" && message?.role === "user" ? messageText(message.content) : "";
}

// ---------------------------------------------------------------- codex: table threads of ~/.codex/state_<n>.sqlite, else ~/.codex/sessions/<y>/<m>/<d>/rollout-*.jsonl

async function codex(cwd: string, home: string): Promise<Conversation[]> {
  const root = join(home, ".codex");
  const threads = await codexThreads(root, cwd);
  // Transcripts are looked through only when the table knows nothing: versions before it, or one that is busy.
  return threads.length > 0 ? threads : codexRollouts(join(root, "sessions"), cwd);
}

async function codexThreads(root: string, cwd: string): Promise<Conversation[]> {
  const names = (await readdir(root).catch(() => [])).filter((name) => /^state_\d+\.sqlite$/.test(name));
  // The number is codex's schema version: the highest belongs to the version that ran last.
  const newest = names.sort((a, b) => Number(/\d+/.exec(b)) - Number(/\d+/.exec(a)))[0];
  if (!newest) return [];
  return readDatabase(join(root, newest), (database) => {
    const columns = columnsOf(database, "threads");
    if (!columns.has("id") || !columns.has("cwd")) return [];
    const updated = ["updated_at_ms", "updated_at", "created_at"].filter((column) => columns.has(column));
    const order = updated[0] ?? "rowid";
    const conditions = ["cwd = ?"];
    if (columns.has("archived")) conditions.push("coalesce(archived, 0) = 0");
    // Threads of sub-agents cannot be resumed as the task's own.
    if (columns.has("thread_source")) conditions.push("coalesce(thread_source, 'user') = 'user'");
    if (columns.has("attached_thread_parent_id")) conditions.push("attached_thread_parent_id is null");
    const query = `select * from threads where ${conditions.join(" and ")} order by ${order} desc limit ${MAX_CONVERSATIONS}`;
    const rows = database.prepare(query).all(cwd) as Line[];
    return rows
      .filter((row) => UUID.test(String(row.id)))
      .map((row) => ({
        id: String(row.id),
        title: titled(text(row.name) || text(row.title) || text(row.first_user_message)),
        updatedAt: milliseconds(row[order]),
        file: text(row.rollout_path) || null,
      }));
  });
}

async function codexRollouts(root: string, cwd: string): Promise<Conversation[]> {
  const found: Conversation[] = [];
  let looked = 0;
  for await (const file of rolloutsNewestFirst(root)) {
    if (++looked > MAX_CODEX_FILES || found.length >= MAX_CONVERSATIONS) break;
    const conversation = await codexRollout(file, cwd).catch(() => null);
    if (conversation) found.push(conversation);
  }
  return found;
}

async function* rolloutsNewestFirst(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries.sort((a, b) => (a.name < b.name ? 1 : -1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* rolloutsNewestFirst(path);
    else if (/^rollout-.*\.jsonl$/.test(entry.name)) yield path;
  }
}

async function codexRollout(file: string, cwd: string): Promise<Conversation | null> {
  const head = lines(await part(file, 0, HEAD_BYTES));
  const meta = head[0]?.payload as Line | undefined;
  if (meta?.cwd !== cwd) return null;
  const id = text(meta.id) || (UUID.exec(file)?.[0] ?? "");
  if (!UUID.test(id)) return null;
  return { id, title: titled(firstMessage(head, codexMessage)), updatedAt: (await stat(file)).mtimeMs, file };
}

/** Versions differ in where they keep what a person wrote: an event, a completed item, or a response item. */
function codexMessage(line: Line): string {
  const payload = line.payload as Line | undefined;
  const item = payload?.item as Line | undefined;
  if (line.type === "event_msg" && payload?.type === "user_message") return text(payload.message);
  if (line.type === "event_msg" && item?.type === "UserMessage") return messageText(item.content);
  return line.type === "response_item" && payload?.role === "user" ? messageText(payload.content) : "";
}

// ---------------------------------------------------------------- opencode: its database, or JSON files of older versions

async function opencode(cwd: string, home: string): Promise<Conversation[]> {
  const root = join(home, ".local", "share", "opencode");
  const rows = await readDatabase(join(root, "opencode.db"), (database) => {
    const columns = columnsOf(database, "session");
    if (!columns.has("id") || !columns.has("directory")) return [];
    const order = columns.has("time_updated") ? "time_updated" : "rowid";
    const top = columns.has("parent_id") ? "and parent_id is null" : "";
    const found = database
      .prepare(`select * from session where directory = ? ${top} order by ${order} desc limit ${MAX_CONVERSATIONS}`)
      .all(cwd) as Line[];
    return found.map((row) => ({ id: String(row.id), title: titled(text(row.title)), updatedAt: milliseconds(row[order]), file: null }));
  });
  if (rows.length > 0) return rows;
  const found: Conversation[] = [];
  const folder = join(root, "storage", "session");
  for (const project of await readdir(folder).catch(() => [])) {
    for (const name of await readdir(join(folder, project)).catch(() => [])) {
      const file = join(folder, project, name);
      const session = await part(file, 0, HEAD_BYTES)
        .then((head) => JSON.parse(head) as Line)
        .catch(() => null);
      if (!session || session.directory !== cwd || session.parentID || !text(session.id).startsWith("ses_")) continue;
      const time = session.time as Line | undefined;
      found.push({
        id: text(session.id),
        title: titled(text(session.title)),
        updatedAt: Number(time?.updated ?? time?.created) || (await stat(file)).mtimeMs,
        file,
      });
    }
  }
  return found;
}

// ---------------------------------------------------------------- reading

/** Reads every `*.jsonl` of a folder; one that cannot be read is left out. */
async function transcripts(
  folder: string,
  read: (file: string, name: string) => Promise<{ id: string; title: string } | null>,
): Promise<Conversation[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".jsonl"));
  const dated: { file: string; name: string; updatedAt: number }[] = [];
  for (const name of names) {
    const file = join(folder, name);
    const found = await stat(file).catch(() => null);
    if (found?.isFile() && found.size > 0) dated.push({ file, name, updatedAt: found.mtimeMs });
  }
  dated.sort((a, b) => b.updatedAt - a.updatedAt);
  const conversations: Conversation[] = [];
  for (const { file, name, updatedAt } of dated) {
    if (conversations.length >= MAX_CONVERSATIONS) break;
    const found = await read(file, name).catch(() => null);
    if (found) conversations.push({ id: found.id, title: titled(found.title), updatedAt, file });
  }
  return conversations;
}

async function part(file: string, from: number, max: number): Promise<string> {
  const handle = await open(file, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(max), 0, max, from);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** The first and the last lines of a transcript; the same ones when it is short. */
async function ends(file: string): Promise<{ head: Line[]; tail: Line[] }> {
  const { size } = await stat(file);
  const head = lines(await part(file, 0, HEAD_BYTES));
  return { head, tail: size <= HEAD_BYTES ? head : lines(await part(file, size - TAIL_BYTES, TAIL_BYTES)) };
}

/** JSON lines; a line that was cut, or is being written, is left out. */
function lines(text: string): Line[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      return typeof value === "object" && value !== null ? [value as Line] : [];
    } catch {
      return [];
    }
  });
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Text of a message that is a string or a list of parts; tool results are no words of the user. */
function messageText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((piece: Line | null) => (piece?.type === "text" || piece?.type === "input_text" ? text(piece.text) : "")).join(" ");
}

/** The first message a person wrote, not what a harness put in front (`<command-name>`, `<environment_context>`). */
function firstMessage(head: Line[], read: (line: Line) => string): string {
  for (const line of head) {
    const message = read(line).trim();
    if (message !== "" && !/^<[a-z_-]+>/.test(message) && !message.startsWith("Caveat:")) return message;
  }
  return "";
}

/** One line of at most 120 characters. */
function titled(title: string): string {
  const plain = [...title.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim()];
  return plain.length > MAX_TITLE ? `${plain.slice(0, MAX_TITLE - 1).join("")}…` : plain.join("");
}

/** A time in seconds, milliseconds or text as Unix milliseconds. */
function milliseconds(value: unknown): number {
  if (typeof value === "string") return Date.parse(value) || 0;
  const number = Number(value) || 0;
  // Seconds reach this bound in the year 5138, milliseconds passed it in 1973.
  return number < 100_000_000_000 ? number * 1000 : number;
}

function columnsOf(database: DatabaseSync, table: string): Set<string> {
  return new Set(
    database
      .prepare("select name from pragma_table_info(?)")
      .all(table)
      .map((row) => String(row.name)),
  );
}

/** Reads another program's database without ever writing to it; a missing, busy or foreign one gives []. */
async function readDatabase(file: string, read: (database: DatabaseSync) => Conversation[]): Promise<Conversation[]> {
  if (!(await stat(file).catch(() => null))?.isFile()) return [];
  let database: DatabaseSync | null = null;
  try {
    // No waiting: this is the daemon's own thread, and a title is not worth a stall.
    database = new DatabaseSync(file, { readOnly: true, timeout: 0 });
    return read(database);
  } catch {
    return [];
  } finally {
    database?.close();
  }
}
