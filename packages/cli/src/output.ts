/** What a command prints: JSON for programs, aligned text for people, one sentence for a failure. */
import { ERRORS, type ErrorCode } from "@argus/protocol/errors";
import { UsageError } from "./flags.ts";
import { noteFailure } from "./ux-log.ts";

const STATUS_GLYPH: Record<string, string> = { pending: "○", in_progress: "●", in_review: "◇", complete: "✓" };
const STATE_GLYPH: Record<string, string> = {
  needs_input: "◆",
  working: "●",
  starting: "◐",
  idle: "○",
  paused: "‖",
  exited: " ",
  unverifiable: "?",
};

export function print(operation: string, value: unknown, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  else process.stdout.write(readable(operation, value));
}

/** One line per item of a stream. */
export function printItem(item: unknown, json: boolean): void {
  if (!json && item && typeof item === "object" && "base64" in item)
    process.stdout.write(Buffer.from(String((item as { base64: unknown }).base64), "base64"));
  else process.stdout.write(`${JSON.stringify(item)}\n`);
}

/** Returns the exit status. What is not the user's slip is noted in ux.log as well. */
export function report(thrown: unknown, json: boolean, command = "argus"): number {
  const error = thrown as { message?: string; code?: string; details?: unknown };
  const usage = thrown instanceof UsageError;
  const code = usage ? "INVALID_INPUT" : error.code && error.code in ERRORS ? (error.code as ErrorCode) : "INTERNAL";
  if (code === "INTERNAL" || code === "UNAVAILABLE")
    noteFailure(command, code, code === "INTERNAL" && thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(error.message));
  if (json)
    process.stdout.write(
      `${JSON.stringify({ error: error.message ?? String(thrown), code, ...(error.details ? { details: error.details } : {}) })}\n`,
    );
  else process.stderr.write(`argus: ${error.message ?? String(thrown)}\n`);
  return ERRORS[code].exit;
}

type Row = Record<string, unknown>;

function readable(operation: string, value: unknown): string {
  if (operation === "config.show") return settings(value as Parameters<typeof settings>[0]);
  if (operation === "task.list") return tasks((value as { tasks: Row[] }).tasks);
  if (value && typeof value === "object") {
    const entries = Object.entries(value);
    const only = entries[0];
    if (typeof (value as Row).text === "string") return ending((value as { text: string }).text);
    if (entries.length === 1 && only && Array.isArray(only[1])) return list(only[1] as unknown[], only[0]);
    const width = Math.max(0, ...entries.map(([name]) => name.length)) + 2;
    return entries.map(([name, inner]) => `${words(name).padEnd(width)}${plain(inner)}\n`).join("");
  }
  return `${plain(value)}\n`;
}

const LAYER = { default: "default", menu: "settings", file: "config.toml" };

function settings({
  settings: rows,
  file,
}: {
  settings: { key: string; value: unknown; layer: keyof typeof LAYER; about: string }[];
  file: { path: string; broken: string | null; unknown: string[] };
}): string {
  const remarks = [
    ...(file.broken ? [`${file.path} is ignored: ${file.broken}`] : []),
    ...file.unknown.map((name) => `${file.path} has ${name}, which is unknown; \`argus doctor\` says what is near`),
  ];
  return `${table(
    rows.map((row) => [row.key, inline(row.value), `set by ${LAYER[row.layer]}`.replace("set by default", "default"), row.about]),
    ["KEY", "VALUE", "FROM", "WHAT IT IS"],
  )}${remarks.map((line) => `\n${line}`).join("")}${remarks.length > 0 ? "\n" : ""}`;
}

function tasks(rows: Row[]): string {
  if (rows.length === 0) return "No tasks. `argus task create <project> <prompt>` makes one.\n";
  return table(
    rows.map((row) => {
      const state = row.state as { value: string } | undefined;
      const glyph = row.status === "in_progress" ? (STATE_GLYPH[state?.value ?? ""] ?? "●") : (STATUS_GLYPH[String(row.status)] ?? " ");
      return [
        `${glyph} ${row.id}`,
        String(row.name),
        String(row.project),
        row.status === "in_progress" ? (state?.value ?? "in_progress") : String(row.status),
        String(row.elapsed ?? ""),
        String(row.branch ?? ""),
      ];
    }),
    ["ID", "NAME", "PROJECT", "STATE", "AGE", "BRANCH"],
  );
}

function list(rows: unknown[], name: string): string {
  if (rows.length === 0) return `No ${name.replaceAll("_", " ")}.\n`;
  if (typeof rows[0] !== "object" || rows[0] === null) return rows.map((row) => `${plain(row)}\n`).join("");
  const columns = Object.keys(rows[0]).filter(
    (column) => typeof (rows[0] as Row)[column] !== "object" || (rows[0] as Row)[column] === null,
  );
  return table(
    rows.map((row) => columns.map((column) => plain((row as Row)[column]))),
    columns.map((column) => words(column).toUpperCase()),
  );
}

/** Columns as wide as their content, cut to 60; the last is never cut. */
function table(rows: string[][], head: string[]): string {
  const width = head.map((title, column) => Math.min(60, Math.max(title.length, ...rows.map((row) => [...(row[column] ?? "")].length))));
  const line = (cells: string[]) =>
    `${cells
      .map((cell, column) => {
        if (column === cells.length - 1) return cell;
        const characters = [...cell];
        const most = width[column] ?? 0;
        return (characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : cell).padEnd(most);
      })
      .join("  ")
      .trimEnd()}\n`;
  return [head, ...rows].map(line).join("");
}

function plain(value: unknown): string {
  if (value === null || value === undefined || value === "") return "-";
  if (typeof value === "string") return value.includes("\n") ? `\n${value}` : value;
  return inline(value);
}

/** A value within a line: `running 2, idle 0`, `a, b`, or JSON when it is deeper than that. */
function inline(value: unknown): string {
  if (value === "") return '""';
  if (typeof value !== "object" || value === null) return value === null ? "-" : String(value);
  const inner = Object.values(value);
  const { value: state, evidence } = value as { value?: unknown; evidence?: unknown };
  if (typeof state === "string" && typeof evidence === "string") return `${words(state)} (${evidence})`;
  if (inner.length > 0 && inner.every((one) => one === null)) return "-";
  const deep = (one: unknown) => typeof one === "object" && one !== null && (!Array.isArray(one) || one.some(deep));
  if (inner.some(deep)) return JSON.stringify(value);
  if (inner.length === 0) return "none";
  if (Array.isArray(value)) return value.join(", ");
  return Object.entries(value)
    .map(([name, one]) => `${words(name)} ${one === null || one === "" ? "-" : inline(one)}`)
    .join(", ");
}

const words = (name: string) => name.replaceAll("_", " ");

const ending = (text: string) => (text.endsWith("\n") || text === "" ? text : `${text}\n`);
