/** Command templates by name: rows of the database, replaced whole by entries of config.toml. */
import { ArgusError, type Backend } from "@argus/protocol";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Config } from "../config/index.ts";
import { splitCommand } from "./words.ts";

declare module "../../kernel/database.ts" {
  interface Tables {
    backends: { name: string; command: string; prompt_flag: string; model: string };
  }
}
declare module "../../kernel/operation.ts" {
  interface Services {
    backends: Backends;
  }
}

/** The document's three, then what makes Argus useful to somebody who has none of them. */
export const SEEDED: Backend[] = [
  { name: "claude", command: "claude", prompt_flag: "", model: "" },
  { name: "codex", command: "codex --dangerously-bypass-approvals-and-sandbox", prompt_flag: "", model: "" },
  { name: "pi", command: "pi", prompt_flag: "", model: "" },
  { name: "opencode", command: "opencode", prompt_flag: "--prompt", model: "" },
  { name: "gemini", command: "gemini --approval-mode yolo", prompt_flag: "--prompt-interactive", model: "" },
  { name: "argus", command: "argus-agent", prompt_flag: "", model: "" },
  { name: "shell", command: "argus-shell", prompt_flag: "", model: "" },
];

export class Backends {
  #events: Events;
  #config: Config;
  #rows = new Map<string, Backend>();

  private constructor(store: Store, events: Events, config: Config) {
    this.#events = events;
    this.#config = config;
  }

  /** Seeds a fresh home once; a deleted backend stays deleted. */
  static async open(store: Store, events: Events, config: Config): Promise<Backends> {
    const backends = new Backends(store, events, config);
    const seeded = await store.db.selectFrom("settings").select("value").where("key", "=", "backends.seeded").executeTakeFirst();
    if (!seeded) {
      await store.db
        .insertInto("backends")
        .values(SEEDED)
        .onConflict((on) => on.column("name").doNothing())
        .execute();
      await store.db.insertInto("settings").values({ key: "backends.seeded", value: "true" }).execute();
    }
    for (const row of await store.db.selectFrom("backends").selectAll().execute()) backends.#rows.set(row.name, row);
    return backends;
  }

  all(): Backend[] {
    const merged = new Map(this.#rows);
    for (const [name, entry] of Object.entries(this.#config.fileLayer().backends))
      merged.set(name, { name, command: text(entry.command), prompt_flag: text(entry.prompt_flag), model: text(entry.model) });
    return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): Backend {
    const found = this.all().find((backend) => backend.name === name);
    if (found) return found;
    throw new ArgusError(
      "INVALID_INPUT",
      `There is no backend ${JSON.stringify(name)}. Known: ${this.all()
        .map((backend) => backend.name)
        .join(", ")}.`,
    );
  }

  /** The task's own, else the project's, else the global default; an unknown name is refused, never replaced (TASK-04). */
  choose(task: string, project: string): Backend {
    return this.find(task || project || this.#config.string("defaults.backend"));
  }

  async create(backend: Backend): Promise<Backend> {
    if (this.all().some((known) => known.name === backend.name))
      throw new ArgusError("CONFLICT", `A backend ${JSON.stringify(backend.name)} exists already.`);
    splitCommand(backend.command);
    await this.#events.change(async (tx, emit) => {
      await tx.insertInto("backends").values(backend).execute();
      emit("backend.changed", null, { name: backend.name });
    });
    this.#rows.set(backend.name, backend);
    return backend;
  }

  async update(name: string, fields: Partial<Backend>): Promise<Backend> {
    const next = { ...this.#stored(name), ...fields, name };
    splitCommand(next.command);
    await this.#events.change(async (tx, emit) => {
      await tx.updateTable("backends").set(next).where("name", "=", name).execute();
      emit("backend.changed", null, { name });
    });
    this.#rows.set(name, next);
    return next;
  }

  async remove(name: string): Promise<void> {
    this.#stored(name);
    if (this.#config.string("defaults.backend") === name)
      throw new ArgusError("CONFLICT", `${name} is the default backend. Make another one the default first.`);
    await this.#events.change(async (tx, emit) => {
      await tx.deleteFrom("backends").where("name", "=", name).execute();
      emit("backend.changed", null, { name });
    });
    this.#rows.delete(name);
  }

  #stored(name: string): Backend {
    const row = this.#rows.get(name);
    if (!row)
      throw new ArgusError(
        "NOT_FOUND",
        `There is no stored backend ${JSON.stringify(name)}${this.#config.fileLayer().backends[name] ? "; it is set by config.toml and can only be changed there" : ""}.`,
      );
    if (this.#config.fileLayer().backends[name])
      throw new ArgusError("CONFLICT", `The backend ${JSON.stringify(name)} is set by config.toml and can only be changed there.`);
    return row;
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
