/** Reads what a repository asks for its worktrees, `.argus/workspace.toml` (WORKTREE-12), and says exactly what is wrong with it. */
import { createHash } from "node:crypto";
import { readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { ArgusError } from "@argus/protocol";
import { parse, TomlError } from "smol-toml";
import { isBelow } from "./folders.ts";
import type { WorkspaceContract } from "./node.ts";

/** A person reads this file before accepting it; more than this nobody reads. */
const MAX_BYTES = 64 * 1024;
/** Ports come in blocks of ten. */
const MAX_PORTS = 10;
const SETUP_TIMEOUT_S = 600;
const TEARDOWN_TIMEOUT_S = 60;
/** A day: whatever a set-up does, it has an end. */
const MAX_TIMEOUT_S = 86_400;

type Check = (value: unknown) => string | null;

const isString = (value: unknown): value is string => typeof value === "string" && !value.includes("\0");
const isSeconds: Check = (value) =>
  typeof value === "number" && value > 0 && value <= MAX_TIMEOUT_S ? null : `a number of seconds up to ${MAX_TIMEOUT_S}`;
const isCommands: Check = (value) =>
  Array.isArray(value) && value.every((argv) => Array.isArray(argv) && argv.length > 0 && argv[0] !== "" && argv.every(isString))
    ? null
    : 'a list of argument lists such as [["npm", "ci"]]';
const staysInside = (glob: string) => glob !== "" && !glob.startsWith("/") && !glob.split("/").includes("..");

const KEYS: Record<string, Check> = {
  copy: (value) =>
    Array.isArray(value) && value.every((glob) => isString(glob) && staysInside(glob)) ? null : "a list of globs inside the repository",
  env: (value) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(([name, text]) => /^[A-Za-z_]\w*$/.test(name) && isString(text))
      ? null
      : "a table of variable names with text values",
  ports: (value) =>
    Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_PORTS ? null : `a whole number from 0 to ${MAX_PORTS}`,
  setup: isCommands,
  teardown: isCommands,
  setup_timeout: isSeconds,
  teardown_timeout: isSeconds,
};

/** The contract of a checkout, or null when it has none. Throws INVALID_INPUT naming every wrong key (`details.keys`), TOO_LARGE above 64 KiB. */
export async function readContract(projectPath: string): Promise<WorkspaceContract | null> {
  const file = join(projectPath, ".argus", "workspace.toml");
  const real = await realpath(file).catch(() => null);
  if (!real) return null;
  const wrong = (what: string) => new ArgusError("INVALID_INPUT", `${file} ${what}`);
  if (!isBelow(real, await realpath(projectPath))) throw wrong("is a link out of the repository. Put the file itself there.");
  const found = await stat(real);
  if (!found.isFile()) throw wrong("is not a file.");
  if (found.size > MAX_BYTES)
    throw new ArgusError(
      "TOO_LARGE",
      `${file} has ${found.size} bytes. At most ${MAX_BYTES} are read; move scripts into files of their own.`,
    );
  const bytes = await readFile(real);
  return parseContract(bytes, file);
}

export function parseContract(bytes: Uint8Array, file: string): WorkspaceContract {
  let table: Record<string, unknown>;
  try {
    table = parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    const place = cause instanceof TomlError ? ` (line ${cause.line}, column ${cause.column})` : "";
    const words = cause instanceof TomlError ? cause.message.split("\n")[0] : "it is not UTF-8 text";
    throw new ArgusError("INVALID_INPUT", `${file} cannot be read as TOML${place}: ${words}`);
  }
  const problems = Object.entries(KEYS).flatMap(([key, check]) => {
    const expected = key in table ? check(table[key]) : null;
    return expected ? [{ key, expected }] : [];
  });
  if (problems.length > 0) {
    const text = problems.map(({ key, expected }) => `${key} must be ${expected}`).join("; ");
    throw new ArgusError("INVALID_INPUT", `${file}: ${text}.`, { keys: problems.map(({ key }) => key) });
  }
  const value = <Type>(key: string, otherwise: Type) => (table[key] as Type | undefined) ?? otherwise;
  return {
    sha256: createHash("sha256").update(bytes).digest("hex"),
    copy: value<string[]>("copy", []),
    env: { ...value<Record<string, string>>("env", {}) },
    ports: value("ports", 0),
    setup: value<string[][]>("setup", []),
    teardown: value<string[][]>("teardown", []),
    setupTimeoutS: value("setup_timeout", SETUP_TIMEOUT_S),
    teardownTimeoutS: value("teardown_timeout", TEARDOWN_TIMEOUT_S),
    unknownKeys: Object.keys(table).filter((key) => !Object.hasOwn(KEYS, key)),
  };
}
