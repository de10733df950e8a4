/** The optional `config.toml`: read again whenever it changed, ignored whole while it does not parse. */
import fs from "node:fs";
import { parse, TomlError } from "smol-toml";
import type { Log } from "../../kernel/log.ts";
import { fit, KEYS } from "./keys.ts";

type Table = Record<string, unknown>;

export interface FileLayer {
  /** Known keys with a value of the right type. */
  values: Record<string, unknown>;
  backends: Record<string, Table>;
  projects: Record<string, Table>;
  /** Harness records by name (SESSION-10). */
  harnesses: Record<string, Table>;
  /** Dotted names nobody knows. */
  unknown: string[];
  /** Values of a wrong type, as sentences. */
  wrong: string[];
  /** Why the file is ignored, or null. */
  broken: string | null;
}

const EMPTY: FileLayer = { values: {}, backends: {}, projects: {}, harnesses: {}, unknown: [], wrong: [], broken: null };
const BACKEND_KEYS = new Set(["command", "prompt_flag", "model"]);
const PROJECT_KEYS = new Set(["path", "branch", "backend", "sandbox"]);
const SANDBOX_KEYS = new Set(["enabled", "denyread", "extrawrite", "allowappleevents", "deny_read", "extra_write", "allow_apple_events"]);

export class ConfigFile {
  readonly path: string;
  #log: Log;
  #stamp = "";
  #layer = EMPTY;

  constructor(path: string, log: Log) {
    this.path = path;
    this.#log = log;
  }

  /** The layer as the file is now. A stat per read is cheap, and a watcher would miss network drives. */
  read(): FileLayer {
    const stamp = this.#stampNow();
    if (stamp === this.#stamp) return this.#layer;
    this.#stamp = stamp;
    this.#layer = stamp === "" ? EMPTY : this.#load();
    return this.#layer;
  }

  #stampNow(): string {
    try {
      const { mtimeNs, size, ino } = fs.statSync(this.path, { bigint: true });
      return `${mtimeNs}:${size}:${ino}`;
    } catch {
      return "";
    }
  }

  #load(): FileLayer {
    try {
      const layer = sort(parse(fs.readFileSync(this.path, "utf8")) as Table);
      for (const sentence of layer.wrong) this.#log.warn(`config.toml: ${sentence}`);
      return layer;
    } catch (thrown) {
      const broken =
        thrown instanceof TomlError ? `line ${thrown.line}, column ${thrown.column}: ${thrown.message.split("\n")[0]}` : String(thrown);
      this.#log.error(`config.toml is ignored until it parses again. ${broken}`);
      return { ...EMPTY, broken };
    }
  }
}

/** A parsed file, sorted into known keys, maps and what nobody knows. */
export function sort(document: Table): FileLayer {
  const layer: FileLayer = { values: {}, backends: {}, projects: {}, harnesses: {}, unknown: [], wrong: [], broken: null };
  for (const [section, content] of Object.entries(document)) {
    if (!isTable(content)) {
      layer.unknown.push(section);
      continue;
    }
    if (section === "backends" || section === "projects" || section === "harnesses") sortMap(section, content, layer);
    else sortSection(section, content, layer);
  }
  return layer;
}

function sortSection(section: string, content: Table, layer: FileLayer): void {
  for (const [name, value] of Object.entries(content)) {
    const dotted = `${section}.${name}`;
    const key = KEYS[dotted];
    if (!key) layer.unknown.push(dotted);
    else if (fit(key, value) === undefined)
      layer.wrong.push(
        `${dotted} must be ${key.of ? `one of ${key.of.join(", ")}` : `a ${key.type}`}, found ${JSON.stringify(value)}; the lower layer holds`,
      );
    else layer.values[dotted] = value;
  }
}

function sortMap(section: "backends" | "projects" | "harnesses", content: Table, layer: FileLayer): void {
  for (const [name, entry] of Object.entries(content)) {
    if (!isTable(entry)) {
      layer.wrong.push(`${section}.${name} must be a table`);
      continue;
    }
    layer[section][name] = entry;
    if (section === "harnesses") continue;
    const known = section === "backends" ? BACKEND_KEYS : PROJECT_KEYS;
    for (const [field, value] of Object.entries(entry)) {
      const dotted = `${section}.${name}.${field}`;
      if (!known.has(field)) layer.unknown.push(dotted);
      else if (field !== "sandbox") {
        if (typeof value !== "string") layer.wrong.push(`${dotted} must be a string, found ${JSON.stringify(value)}; it is taken as empty`);
      } else if (!isTable(value)) layer.wrong.push(`${dotted} must be a table`);
      else for (const inner of Object.keys(value)) if (!SANDBOX_KEYS.has(inner)) layer.unknown.push(`${dotted}.${inner}`);
    }
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
