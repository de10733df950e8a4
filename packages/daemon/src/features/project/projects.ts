/** The registered repositories: rows of the database, with entries of config.toml replacing a row of the same name whole. */
import { ArgusError, type Project } from "@argus/protocol";
import type { Caller } from "../../kernel/caller.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import { type Config, isTable } from "../config/index.ts";

declare module "../../kernel/database.ts" {
  interface Tables {
    projects: {
      name: string;
      path: string;
      branch: string;
      backend: string;
      /** null inherits, 0 off, 1 on. */
      sandbox_enabled: number | null;
      /** JSON lists. */
      deny_read: string;
      extra_write: string;
      allow_apple_events: string;
    };
    /** Which versions of a repository's workspace.toml a person accepted (WORKTREE-16). */
    consents: { project: string; sha256: string; accepted_by: string; accepted_at: number };
  }
}
declare module "../../kernel/operation.ts" {
  interface Services {
    projects: Projects;
  }
}

export interface ProjectFields {
  path: string;
  branch: string;
  backend: string;
  sandbox: Project["sandbox"];
}

export class Projects {
  #store: Store;
  #events: Events;
  #config: Config;
  #clock: Clock;

  constructor(store: Store, events: Events, config: Config, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#events = events;
    this.#config = config;
  }

  /** By name, sorted. */
  async all(): Promise<Project[]> {
    const projects = new Map<string, Project>();
    for (const row of await this.#store.db.selectFrom("projects").selectAll().execute())
      projects.set(row.name, {
        name: row.name,
        path: row.path,
        branch: row.branch,
        default_backend: row.backend,
        sandbox: {
          enabled: row.sandbox_enabled === null ? null : Boolean(row.sandbox_enabled),
          deny_read: JSON.parse(row.deny_read),
          extra_write: JSON.parse(row.extra_write),
        },
      });
    for (const [name, entry] of Object.entries(this.#config.fileLayer().projects)) projects.set(name, fromFile(name, entry));
    return [...projects.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async find(name: string): Promise<Project> {
    const all = await this.all();
    const found = all.find((project) => project.name === name);
    if (found) return found;
    throw new ArgusError(
      "NOT_FOUND",
      `There is no project ${JSON.stringify(name)}. ${all.length > 0 ? `Known: ${all.map((project) => project.name).join(", ")}.` : "None is registered yet; `argus project create <name> <path>` adds one."}`,
    );
  }

  async create(name: string, fields: ProjectFields): Promise<Project> {
    if ((await this.all()).some((project) => project.name === name))
      throw new ArgusError("CONFLICT", `A project ${JSON.stringify(name)} exists already. Choose another name, or change that one.`);
    await this.#events.change(async (tx, emit) => {
      await tx
        .insertInto("projects")
        .values({ name, ...columns(fields) })
        .execute();
      emit("project.changed", null, { name });
    });
    return this.find(name);
  }

  async update(name: string, fields: Partial<ProjectFields>): Promise<Project> {
    await this.#stored(name, "changed");
    const set = columns(fields);
    await this.#events.change(async (tx, emit) => {
      if (Object.keys(set).length > 0) await tx.updateTable("projects").set(set).where("name", "=", name).execute();
      if (set.path !== undefined) await tx.deleteFrom("consents").where("project", "=", name).execute();
      emit("project.changed", null, { name });
    });
    return this.find(name);
  }

  async remove(name: string): Promise<void> {
    await this.#stored(name, "deleted");
    await this.#events.change(async (tx, emit) => {
      await tx.deleteFrom("projects").where("name", "=", name).execute();
      await tx.deleteFrom("consents").where("project", "=", name).execute();
      emit("project.changed", null, { name });
    });
  }

  async accepts(name: string, sha256: string): Promise<boolean> {
    const row = await this.#store.db
      .selectFrom("consents")
      .select("project")
      .where("project", "=", name)
      .where("sha256", "=", sha256)
      .executeTakeFirst();
    return row !== undefined;
  }

  async accept(name: string, sha256: string, by: Caller): Promise<void> {
    await this.#store.db
      .insertInto("consents")
      .values({ project: name, sha256, accepted_by: by.id, accepted_at: this.#clock.now() })
      .onConflict((on) => on.columns(["project", "sha256"]).doNothing())
      .execute();
  }

  /** Entries of the file are read-only here: a change would have no effect, and saying nothing would be a lie. */
  async #stored(name: string, verb: string): Promise<void> {
    if (this.#config.fileLayer().projects[name])
      throw new ArgusError("CONFLICT", `The project ${JSON.stringify(name)} is set by config.toml and can only be ${verb} there.`);
    await this.find(name);
  }
}

function fromFile(name: string, entry: Record<string, unknown>): Project {
  const sandbox = isTable(entry.sandbox) ? entry.sandbox : {};
  return {
    name,
    path: text(entry.path),
    branch: text(entry.branch),
    default_backend: text(entry.backend),
    sandbox: {
      enabled: typeof sandbox.enabled === "boolean" ? sandbox.enabled : null,
      deny_read: texts(sandbox.deny_read ?? sandbox.denyread),
      extra_write: texts(sandbox.extra_write ?? sandbox.extrawrite),
    },
  };
}

function columns(fields: Partial<ProjectFields>) {
  return {
    ...(fields.path !== undefined && { path: fields.path }),
    ...(fields.branch !== undefined && { branch: fields.branch }),
    ...(fields.backend !== undefined && { backend: fields.backend }),
    ...(fields.sandbox !== undefined && {
      sandbox_enabled: fields.sandbox.enabled === null ? null : Number(fields.sandbox.enabled),
      deny_read: JSON.stringify(fields.sandbox.deny_read),
      extra_write: JSON.stringify(fields.sandbox.extra_write),
    }),
    ...(fields.path !== undefined && fields.branch !== undefined && { allow_apple_events: "[]" }),
  } as {
    path: string;
    branch: string;
    backend: string;
    sandbox_enabled: number | null;
    deny_read: string;
    extra_write: string;
    allow_apple_events: string;
  };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : []);
