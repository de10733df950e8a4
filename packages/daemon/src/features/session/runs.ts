/** The record of each run: opened before the process exists, closed with exactly one reason, always together with the task's status. */
import type { TaskStatus } from "@argus/protocol";
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import { type RunRow, statusAfter, type TaskRow, type Tasks } from "../task/index.ts";
import { hashToken, type Live } from "./live.ts";

export interface RunStart {
  token: string;
  cols: number;
  rows: number;
  resumed: boolean;
  baseOffset: number;
  sessionId: string | null;
  sandboxed: boolean;
}

export interface RunEnd {
  reason: "exited" | "stopped" | "aborted-by-restart" | "lost";
  code: number | null;
  signal: string | null;
  at: number;
  /** Offset after the last byte of the run. */
  total: number;
  /** The next run follows at once: no end for the task. */
  pendingRestart: boolean;
}

export class Runs {
  #parts: { store: Store; events: Events; clock: Clock; tasks: Tasks };

  constructor(parts: { store: Store; events: Events; clock: Clock; tasks: Tasks }) {
    this.#parts = parts;
  }

  /** Run row and status in one step, before the process exists: a crash in between leaves an open run, which the next start closes honestly. */
  async begin(row: TaskRow, live: Live, start: RunStart): Promise<TaskRow> {
    live.initialCols = start.cols;
    return this.#parts.events.change(async (tx, emit) => {
      await tx
        .insertInto("runs")
        .values({
          task_id: row.id,
          number: live.run,
          started_at: live.startedAt,
          ended_at: null,
          end_reason: null,
          exit_code: null,
          exit_signal: null,
          stop_requested: 0,
          pid: null,
          base_offset: start.baseOffset,
          cols: start.cols,
          rows: start.rows,
          resumed: Number(start.resumed),
          token_hash: hashToken(start.token),
        })
        .execute();
      return this.#parts.tasks.moveStatus(tx, emit, row.id, "in_progress", {
        run_count: live.run,
        session_id: start.sessionId,
        sandboxed: Number(start.sandboxed),
        attention: 0,
      });
    });
  }

  /** The process lives. */
  async alive(live: Live, pid: number, resumed: boolean): Promise<void> {
    await this.#parts.events.change(async (tx, emit) => {
      await tx.updateTable("runs").set({ pid }).where("task_id", "=", live.taskId).where("number", "=", live.run).execute();
      emit("session.started", String(live.taskId), { pid, resume: resumed, run: live.run });
    });
  }

  /** A start that failed: the task is as before it, pending, and the record says what happened (TASK-20, TASK-30). */
  async fail(row: TaskRow, live: Live): Promise<void> {
    const { clock, events, tasks } = this.#parts;
    await events.change(async (tx, emit) => {
      await tx
        .updateTable("runs")
        .set({ ended_at: clock.now(), end_reason: "failed" })
        .where("task_id", "=", row.id)
        .where("number", "=", live.run)
        .execute();
      await tasks.moveStatus(tx, emit, row.id, "pending", { started_at: null, session_id: row.session_id });
    });
  }

  /** From here on an end counts as asked for. */
  async stopRequested(live: Live): Promise<void> {
    await this.#parts.store.db
      .updateTable("runs")
      .set({ stop_requested: 1 })
      .where("task_id", "=", live.taskId)
      .where("number", "=", live.run)
      .execute();
  }

  async find(taskId: number, number: number): Promise<RunRow | undefined> {
    return this.#parts.store.db
      .selectFrom("runs")
      .selectAll()
      .where("task_id", "=", taskId)
      .where("number", "=", number)
      .executeTakeFirst();
  }

  /** Runs without an end, oldest first. */
  async open(): Promise<RunRow[]> {
    return this.#parts.store.db.selectFrom("runs").selectAll().where("ended_at", "is", null).orderBy("started_at").orderBy("id").execute();
  }

  async close(run: RunRow, end: RunEnd): Promise<void> {
    const taskId = Number(run.task_id);
    await this.#parts.events.change(async (tx, emit) => {
      await tx
        .updateTable("runs")
        .set({ ended_at: end.at, end_reason: end.reason, exit_code: end.code, exit_signal: end.signal })
        .where("id", "=", run.id)
        .execute();
      const to: TaskStatus = statusAfter({ reason: end.reason, code: end.code });
      const row = await tx.selectFrom("tasks").select(["status", "run_count"]).where("id", "=", taskId).executeTakeFirst();
      // Whoever set another status while the agent ran meant it; a planned restart is no end at all.
      const moves = row?.status === "in_progress" && row.run_count === run.number && !end.pendingRestart;
      await tx
        .updateTable("tasks")
        .set({ output_total: end.total, ...(moves && { attention: 1 }) })
        .where("id", "=", taskId)
        .execute();
      emit("session.exited", String(taskId), {
        stopped: end.reason === "stopped",
        error: describeEnd(end),
        pending_restart: end.pendingRestart,
      });
      if (moves) await this.#parts.tasks.moveStatus(tx, emit, taskId, to);
    });
  }
}

function describeEnd(end: RunEnd): string | null {
  if (end.reason === "aborted-by-restart") return "The session ended together with its supervisor";
  if (end.signal) return `Ended by ${end.signal}`;
  if (end.code !== null && end.code !== 0) return `Exit status ${end.code}`;
  return null;
}
