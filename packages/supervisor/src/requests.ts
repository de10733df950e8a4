/** Reads the headers of requests: what is missing or wrong is said by name, what is unknown is ignored. */

import type { SpawnRequest } from "./contract.ts";
import { SupervisorError } from "./errors.ts";
import { SIZE_LIMIT } from "./sizes.ts";

type Header = Record<string, unknown>;

function wrong(field: string, expected: string, found: unknown): SupervisorError {
  const shown = typeof found === "string" ? JSON.stringify(found.slice(0, 60)) : typeof found === "object" ? typeof found : String(found);
  return new SupervisorError("INVALID_INPUT", `${field} must be ${expected}; found ${shown}.`);
}

export function text(header: Header, field: string): string {
  const value = header[field];
  if (typeof value !== "string" || !value || value.includes("\0")) throw wrong(field, "a non-empty text", value);
  return value;
}

export function optionalText(header: Header, field: string): string | undefined {
  return header[field] === undefined || header[field] === null ? undefined : text(header, field);
}

/** A whole number from `low` up to `high`. */
export function whole(header: Header, field: string, low: number, high: number): number {
  const value = header[field];
  if (!Number.isSafeInteger(value) || (value as number) < low || (value as number) > high)
    throw wrong(field, `a whole number from ${low} to ${high}`, value);
  return value as number;
}

export function optionalWhole(header: Header, field: string, low: number, high: number): number | undefined {
  return header[field] === undefined || header[field] === null ? undefined : whole(header, field, low, high);
}

export function spawnRequest(header: Header): SpawnRequest {
  const { argv, env } = header;
  if (!Array.isArray(argv) || !argv.length || argv.some((word) => typeof word !== "string" || word.includes("\0"))) {
    throw wrong("argv", "a list of texts that begins with the program", argv);
  }
  const pairs = typeof env === "object" && env !== null ? Object.entries(env) : null;
  if (
    !pairs ||
    pairs.some(([name, value]) => !name || name.includes("=") || typeof value !== "string" || `${name}${value}`.includes("\0"))
  ) {
    throw wrong("env", "an object of texts", env);
  }
  return {
    id: text(header, "id"),
    argv,
    env: Object.fromEntries(pairs) as Record<string, string>,
    cwd: text(header, "cwd"),
    cols: whole(header, "cols", 1, SIZE_LIMIT),
    rows: whole(header, "rows", 1, SIZE_LIMIT),
    log: optionalText(header, "log") ?? null,
    offset: whole(header, "offset", 0, Number.MAX_SAFE_INTEGER),
    logMaxBytes: whole(header, "logMaxBytes", 0, Number.MAX_SAFE_INTEGER) || Number.MAX_SAFE_INTEGER,
    mark: optionalText(header, "mark"),
  };
}
