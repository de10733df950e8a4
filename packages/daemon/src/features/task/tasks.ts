/** The tasks: rows, and narrow writers that change only the fields they name. */
import path from "node:path";
import { ArgusError, type Task, type TaskStatus } from "@argus/protocol";
import type { Caller } from "../../kernel/caller.ts";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Change, Emit, Events } from "../../kernel/events.ts";
import { elapsed, timesOf } from "./status.ts";
import type { RunRow, TaskRow, TaskTable } from "./tables.ts";
import "./tables.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    tasks: Tasks;
  }
}

/** How a task is named in a call: by id, by a working directory, or not at all by the task itself. */
export interface TaskRef {
  id?: string | undefined;
  cwd?: string | undefined;
}

export interface Filter {
  status?: string | undefined;
  project?: string | undefined;
  plan_slug?: string | undefined;
  archived?: "1" | "all" | undefined;
}

/** What the session feature knows of a task right now; set when that feature starts. */
export interface Liveness {
  stateOf(row: TaskRow): Task["state"];
  isIdle(row: TaskRow): boolean;
  loadOf(row: TaskRow): Task["load"];
}

const RESULT_BYTES = 65_536; // TASK-28
/** Tasks named in an error; more would be noise. */
const CANDIDATES = 10;

export class Tasks {
  #store: Store;
  #events: Events;
  #clock: Clock;
  /** What other features show with a task; they add themselves when they start. */
  readonly marks: ((row: TaskRow) => Partial<Task>)[] = [];
  liveness: Liveness = { stateOf: () => undefined, isIdle: (row) => row.status === "in_progress", loadOf: () => undefined };

  constructor(store: Store, events: Events, clock: Clock) {
    this.#store = store;
    this.#events = events;
    this.#clock = clock;
  }

  async byId(id: string): Promise<TaskRow> {
    const row = /^\d{1,15}$/.test(id)
      ? await this.#store.db.selectFrom("tasks").selectAll().where("id", "=", Number(id)).executeTakeFirst()
      : undefined;
    if (!row) throw new ArgusError("NOT_FOUND", "task not found", { id: id.slice(0, 40) });
    return row;
  }

  /** The task a call is about. An agent that names none means its own; without a token its working directory decides (MCP-15, MCP-16). */
  async find(ref: TaskRef, caller: Caller): Promise<TaskRow> {
    if (ref.id !== undefined) return this.byId(ref.id);
    if (caller.taskId) return this.byId(caller.taskId);
    const cwd = ref.cwd ?? caller.cwd;
    if (!cwd) throw new ArgusError("INVALID_INPUT", "Which task? Pass id, or cwd (a directory inside the task's worktree).");
    return this.byDirectory(cwd);
  }

  /** Longest worktree that is a prefix of the directory at a separator; archived ones do not count. No two tasks share a worktree. */
  async byDirectory(cwd: string): Promise<TaskRow> {
    const directory = path.resolve(cwd);
    const rows = await this.#store.db.selectFrom("tasks").selectAll().where("archived", "=", 0).orderBy("id", "desc").execute();
    const matches = rows.filter((row) => directory === row.worktree || directory.startsWith(`${row.worktree}${path.sep}`));
    const found = matches.sort((a, b) => b.worktree.length - a.worktree.length)[0];
    if (found) return found;
    // Running ones first: an agent that lost its way is one of them.
    const candidates = [...rows.filter((row) => row.status === "in_progress"), ...rows.filter((row) => row.status !== "in_progress")];
    const told = candidates.slice(0, CANDIDATES).map((row) => `${row.id} in ${row.worktree}`);
    throw new ArgusError(
      "NOT_FOUND",
      `No task in ${directory}. Pass id, or run this inside a task's worktree${told.length > 0 ? `: ${told.join(", ")}${candidates.length > CANDIDATES ? " and more" : ""}` : ""}.`,
    );
  }

  async list(filter: Filter): Promise<TaskRow[]> {
    let query = this.#store.db.selectFrom("tasks").selectAll().orderBy("id");
    if (filter.status) query = query.where("status", "=", filter.status);
    if (filter.project) query = query.where("project", "=", filter.project);
    if (filter.plan_slug) query = query.where("plan_slug", "=", filter.plan_slug);
    if (filter.archived !== "all") query = query.where("archived", "=", filter.archived === "1" ? 1 : 0);
    return query.execute();
  }

  async insert(
    values: Omit<
      TaskTable,
      | "id"
      | "created_at"
      | "archived"
      | "pinned"
      | "attention"
      | "run_count"
      | "output_total"
      | "started_at"
      | "ended_at"
      | "result"
      | "completion"
      | "session_id"
    >,
  ): Promise<TaskRow> {
    return this.#events.change(async (tx, emit) => {
      const row = await tx
        .insertInto("tasks")
        .values({
          ...values,
          archived: 0,
          pinned: 0,
          attention: 0,
          run_count: 0,
          output_total: 0,
          result: null,
          completion: null,
          session_id: null,
          started_at: null,
          ended_at: null,
          created_at: this.#clock.now(),
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      emit("task.created", String(row.id), { name: row.name, project: row.project });
      return row;
    });
  }

  async remove(row: TaskRow, savedRef: string | null): Promise<void> {
    await this.#events.change(async (tx, emit) => {
      await tx.deleteFrom("runs").where("task_id", "=", row.id).execute();
      await tx.deleteFrom("tasks").where("id", "=", row.id).execute();
      emit("task.deleted", String(row.id), { saved_ref: savedRef });
    });
  }

  /** Undo of `insert` for a task that never came to be: no event says it was deleted, because nobody should have relied on it. */
  async forget(row: TaskRow): Promise<void> {
    await this.remove(row, null);
  }

  async setStatus(row: TaskRow, to: TaskStatus): Promise<TaskRow> {
    return this.#events.change((tx, emit) => this.moveStatus(tx, emit, row.id, to));
  }

  async complete(row: TaskRow, completion: "verified" | "claimed"): Promise<TaskRow> {
    return this.#events.change((tx, emit) => this.moveStatus(tx, emit, row.id, "complete", { completion }));
  }

  /** Inside a caller's transaction: status, its times, and the facts that tell of it. */
  async moveStatus(tx: Change, emit: Emit, id: number, to: TaskStatus, more: Partial<TaskTable> = {}): Promise<TaskRow> {
    const row = await tx.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst();
    if (!row) throw new ArgusError("NOT_FOUND", "task not found", { id: String(id) });
    if (row.status === to && Object.keys(more).length === 0) return row;
    // Done is a claim until somebody shows evidence (TASK-29).
    const follows = row.status === to ? {} : { ...timesOf(to, row, this.#clock.now()), completion: to === "complete" ? "claimed" : null };
    const next = await tx
      .updateTable("tasks")
      .set({ status: to, ...follows, ...more } as Partial<TaskRow>)
      .where("id", "=", id)
      .returningAll()
      .executeTakeFirstOrThrow();
    if (row.status !== to) {
      emit("task.status_changed", String(id), { from: row.status, to });
      if (to === "complete") emit("task.completed", String(id), {});
    }
    return next;
  }

  /** Archiving clears the pin; the one setter for both keeps them exclusive (TASK-13). */
  async setArchived(row: TaskRow, archived: boolean): Promise<TaskRow> {
    if (Boolean(row.archived) === archived) return row;
    return this.#events.change(async (tx, emit) => {
      emit("task.archived", String(row.id), { archived });
      return tx
        .updateTable("tasks")
        .set({ archived: Number(archived), ...(archived && { pinned: 0, attention: 0 }) })
        .where("id", "=", row.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    });
  }

  async setPinned(row: TaskRow, pinned: boolean): Promise<TaskRow> {
    if (row.archived && pinned) throw new ArgusError("CONFLICT", "An archived task cannot be pinned. Unarchive it first.");
    return this.#events.change(async (tx, emit) => {
      emit("task.pinned", String(row.id), { pinned });
      return tx
        .updateTable("tasks")
        .set({ pinned: Number(pinned) })
        .where("id", "=", row.id)
        .returningAll()
        .executeTakeFirstOrThrow();
    });
  }

  async rename(row: TaskRow, name: string): Promise<TaskRow> {
    return this.#events.change(async (tx, emit) => {
      emit("task.renamed", String(row.id), { name });
      return tx.updateTable("tasks").set({ name, auto_named: 0 }).where("id", "=", row.id).returningAll().executeTakeFirstOrThrow();
    });
  }

  /** Renames only while the name is still the automatic one, so that a person's rename wins (TASK-07). */
  async renameIf(id: number, from: string, to: string): Promise<boolean> {
    return this.#events.change(async (tx, emit) => {
      const changed = await tx
        .updateTable("tasks")
        .set({ name: to })
        .where("id", "=", id)
        .where("name", "=", from)
        .where("auto_named", "=", 1)
        .executeTakeFirst();
      const done = Number(changed.numUpdatedRows) > 0;
      if (done) emit("task.renamed", String(id), { name: to });
      return done;
    });
  }

  async setResult(row: TaskRow, canonicalJson: string): Promise<void> {
    const bytes = Buffer.byteLength(canonicalJson);
    if (bytes > RESULT_BYTES)
      throw new ArgusError(
        "TOO_LARGE",
        `A result holds at most ${RESULT_BYTES} bytes of JSON; this one has ${bytes}. Store a link to the rest.`,
      );
    await this.#events.change(async (tx, emit) => {
      await tx.updateTable("tasks").set({ result: canonicalJson }).where("id", "=", row.id).execute();
      emit("task.result_set", String(row.id), {});
    });
  }

  /** Changes fields that no event tells of. */
  async set(id: number, fields: Partial<Omit<TaskTable, "id" | "status" | "archived" | "pinned">>): Promise<void> {
    await this.#store.db
      .updateTable("tasks")
      .set(fields as Partial<TaskRow>)
      .where("id", "=", id)
      .execute();
  }

  /** All runs of a task, oldest first. */
  async runs(row: TaskRow): Promise<RunRow[]> {
    return this.#store.db.selectFrom("runs").selectAll().where("task_id", "=", row.id).orderBy("number").execute();
  }

  async lastRuns(ids: number[]): Promise<Map<number, RunRow>> {
    const found = new Map<number, RunRow>();
    for (let at = 0; at < ids.length; at += 500) {
      const some = ids.slice(at, at + 500);
      const rows = await this.#store.db
        .selectFrom("runs")
        .selectAll("runs")
        .innerJoin("tasks", (join) => join.onRef("tasks.id", "=", "runs.task_id").onRef("tasks.run_count", "=", "runs.number"))
        .where("runs.task_id", "in", some)
        .execute();
      for (const row of rows) found.set(Number(row.task_id), row);
    }
    return found;
  }

  async view(row: TaskRow): Promise<Task> {
    return this.#view(row, (await this.lastRuns([row.id])).get(row.id));
  }

  async views(rows: TaskRow[]): Promise<Task[]> {
    const runs = await this.lastRuns(rows.map((row) => row.id));
    return rows.map((row) => this.#view(row, runs.get(row.id)));
  }

  #view(row: TaskRow, run: RunRow | undefined): Task {
    const some = <K extends string>(name: K, value: string) => (value === "" ? {} : ({ [name]: value } as Record<K, string>));
    const age = elapsed(row.started_at, row.ended_at, this.#clock.now());
    const state = this.liveness.stateOf(row);
    const load = this.liveness.loadOf(row);
    return {
      id: String(row.id),
      name: row.name,
      status: row.status as TaskStatus,
      project: row.project,
      ...some("branch", row.branch),
      ...some("backend", row.backend),
      ...some("model", row.model),
      archived: Boolean(row.archived),
      pinned: Boolean(row.pinned),
      attention: Boolean(row.attention),
      worktree_path: row.worktree,
      prompt: row.prompt,
      idle: this.liveness.isIdle(row),
      ...some("base_branch", row.base_branch),
      depends_on: JSON.parse(row.depends_on) as string[],
      ...some("plan_slug", row.plan_slug),
      ...(row.result !== null && { result: JSON.parse(row.result) as unknown }),
      ...(row.session_id && { session_id: row.session_id }),
      sandboxed: Boolean(row.sandboxed),
      ...(row.completion && { completion: row.completion as "verified" | "claimed" }),
      ...(age !== undefined && { elapsed: age }),
      ...(state && { state }),
      ...Object.assign({}, ...this.marks.map((mark) => mark(row))),
      ...(load && { load }),
      ...(run && {
        last_run: {
          end_reason: run.end_reason as never,
          exit_code: run.exit_code,
          ended_at: run.ended_at === null ? null : rfc3339(Number(run.ended_at)),
        },
      }),
      created_at: rfc3339(Number(row.created_at)),
      ...(row.started_at !== null && { started_at: rfc3339(Number(row.started_at)) }),
      ...(row.ended_at !== null && { ended_at: rfc3339(Number(row.ended_at)) }),
    };
  }
}
