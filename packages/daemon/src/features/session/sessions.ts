/** The sessions of tasks: who runs, in which state, and what is written when one ends. Facts only; the bytes never pass here. */
import { ArgusError, type SessionState, type TaskStatus } from "@argus/protocol";
import type { Node } from "@argus/runner";
import type { ExitRecord, SessionInfo } from "@argus/supervisor/client";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import { type RunRow, statusAfter, type TaskRow, type Tasks } from "../task/index.ts";
import { hashToken, type Live } from "./live.ts";
import { Lookout } from "./lookout.ts";
import type { Claim } from "./state.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    sessions: TaskSessions;
  }
}

const POLL_MS = 1000;
export interface SessionParts {
  store: Store;
  events: Events;
  clock: Clock;
  log: Log;
  node: Node;
  tasks: Tasks;
  /** Output log of a task. */
  logOf(taskId: number): string;
  /** Learns the harness's conversation id after a run. Errors keep the old one. */
  capture(row: TaskRow, run: RunRow): Promise<string | null>;
}

export class TaskSessions {
  readonly live = new Map<number, Live>();
  #parts: SessionParts;
  #ending = new Map<string, Promise<void>>();
  #ended: ((taskId: number, exit: { pendingRestart: boolean }) => void)[] = [];
  #lookout: Lookout;
  #stops: (() => void)[] = [];
  #reconciled = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#lookout = new Lookout(parts, this.live, (id, exit, offset) => this.#finish(id, exit, offset));
    parts.tasks.liveness = { stateOf: (row) => this.stateOf(row), isIdle: (row) => this.isIdle(row) };
  }

  /** Takes over what runs, then keeps looking. Resolves after the first reconciliation, or at once when the supervisor is away. */
  async start(): Promise<void> {
    const { node, clock, log } = this.#parts;
    this.#stops.push(
      node.sessions.onExit(
        (id, exit) =>
          void this.#finish(id, exit).catch((err) =>
            log.error({ err, session: id }, "exit could not be recorded; the supervisor keeps it until it is"),
          ),
      ),
    );
    this.#stops.push(
      node.sessions.onConnected(
        () => void this.reconcile().catch((err) => log.warn({ err }, "reconciliation failed; nothing was changed")),
      ),
    );
    this.#stops.push(clock.every(POLL_MS, () => void this.poll()));
    await this.reconcile().catch((err) => log.warn({ err }, "the supervisor cannot be asked yet; no run was closed"));
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  /** Called after the record of an ended run is stored. */
  onEnded(listener: (taskId: number, exit: { pendingRestart: boolean }) => void): () => void {
    this.#ended.push(listener);
    return () => {
      this.#ended = this.#ended.filter((other) => other !== listener);
    };
  }

  find(row: TaskRow): Live {
    const live = this.live.get(row.id);
    if (!live || live.starting)
      throw new ArgusError("NOT_FOUND", `no active session: the agent of task ${row.id} is not running. Resume the task first.`);
    return live;
  }

  stateOf(row: TaskRow): SessionState | undefined {
    const live = this.live.get(row.id);
    if (live)
      return live.state ?? { value: "starting", source: "process", since: rfc3339(live.startedAt), evidence: "Started; no output yet" };
    if (row.run_count === 0) return undefined;
    if (!this.#reconciled && row.status === "in_progress")
      return {
        value: "unverifiable",
        source: "process",
        since: rfc3339(this.#parts.clock.now()),
        evidence: "The supervisor could not be asked yet",
      };
    return {
      value: "exited",
      source: "process",
      since: rfc3339(Number(row.ended_at ?? row.started_at ?? row.created_at)),
      evidence: "The last run has ended",
    };
  }

  /** SESSION-19. */
  isIdle(row: TaskRow): boolean {
    if (row.status !== "in_progress") return false;
    const live = this.live.get(row.id);
    if (!live) return this.#reconciled;
    if (live.pendingRestart) return false;
    return live.state?.value === "idle" || live.state?.value === "needs_input";
  }

  // ------------------------------------------------------------ starting

  /** Reserves the task for a start; a second start is refused until it is released or lives (SESSION-16). */
  reserve(row: TaskRow): Live {
    if (this.live.has(row.id)) throw new ArgusError("BUSY", `The agent of task ${row.id} is running already.`);
    const live: Live = {
      taskId: row.id,
      run: row.run_count + 1,
      id: `${row.id}.${row.run_count + 1}`,
      pid: 0,
      starting: true,
      startedAt: this.#parts.clock.now(),
      initialCols: 0,
      info: null,
      confirmedAt: this.#parts.clock.now(),
      state: null,
      wasActive: false,
      question: null,
      questionAt: -1,
      claim: null,
      driftSince: null,
      paused: false,
      viewers: 0,
      stopRequested: false,
      pendingRestart: false,
    };
    this.live.set(row.id, live);
    return live;
  }

  release(live: Live): void {
    if (this.live.get(live.taskId) === live) this.live.delete(live.taskId);
  }

  /** Run row and status in one step, before the process exists: a crash in between leaves an open run, which the next start closes honestly. */
  async openRun(
    row: TaskRow,
    live: Live,
    more: { token: string; cols: number; rows: number; resumed: boolean; baseOffset: number; sessionId: string | null; sandboxed: boolean },
  ): Promise<TaskRow> {
    live.initialCols = more.cols;
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
          base_offset: more.baseOffset,
          cols: more.cols,
          rows: more.rows,
          resumed: Number(more.resumed),
          token_hash: hashToken(more.token),
        })
        .execute();
      return this.#parts.tasks.moveStatus(tx, emit, row.id, "in_progress", {
        run_count: live.run,
        session_id: more.sessionId,
        sandboxed: Number(more.sandboxed),
        attention: 0,
      });
    });
  }

  /** The process lives. */
  async started(live: Live, pid: number, resumed: boolean): Promise<void> {
    live.pid = pid;
    live.starting = false;
    live.confirmedAt = this.#parts.clock.now();
    await this.#parts.events.change(async (tx, emit) => {
      await tx.updateTable("runs").set({ pid }).where("task_id", "=", live.taskId).where("number", "=", live.run).execute();
      emit("session.started", String(live.taskId), { pid, resume: resumed, run: live.run });
    });
  }

  /** A start that failed: the run never was (TASK-20). */
  async undoRun(row: TaskRow, live: Live): Promise<void> {
    await this.#parts.events.change(async (tx, emit) => {
      await tx.deleteFrom("runs").where("task_id", "=", row.id).where("number", "=", live.run).execute();
      await this.#parts.tasks.moveStatus(tx, emit, row.id, "pending", {
        run_count: row.run_count,
        started_at: null,
        session_id: row.session_id,
      });
    });
  }

  // ------------------------------------------------------------ ending

  /** Ends the agent: TERM to the group, KILL after 5 s, and waits until the record is stored. True when there was one to end. */
  async end(row: TaskRow, { graceMs = 5000 }: { graceMs?: number } = {}): Promise<boolean> {
    const live = this.live.get(row.id);
    if (!live) return false;
    live.stopRequested = true;
    await this.#parts.store.db
      .updateTable("runs")
      .set({ stop_requested: 1 })
      .where("task_id", "=", row.id)
      .where("number", "=", live.run)
      .execute();
    const ended = new Promise<void>((resolve) => {
      const done = this.onEnded((taskId) => {
        if (taskId !== row.id) return;
        done();
        resolve();
      });
      if (this.live.get(row.id) !== live) {
        done();
        resolve();
      }
    });
    await this.#parts.node.sessions.signal(live.id, "SIGTERM", { killAfterMs: graceMs }).catch((thrown: unknown) => {
      // Ended by itself meanwhile: its exit notice is on the way.
      if (!(thrown instanceof ArgusError && thrown.code === "NOT_FOUND") && !/no such session|unknown session/i.test(String(thrown)))
        throw thrown;
    });
    await ended;
    return true;
  }

  /** Stores how a run ended, then tells, then lets the supervisor forget (SESSION-45). */
  async #finish(id: string, exit: ExitRecord, offset?: number): Promise<void> {
    const known = this.#ending.get(id);
    if (known) return known;
    const work = this.#record(id, exit, offset).finally(() => this.#ending.delete(id));
    this.#ending.set(id, work);
    return work;
  }

  async #record(id: string, exit: ExitRecord, offset?: number): Promise<void> {
    const { store, node, tasks } = this.#parts;
    const [taskId, number] = id.split(".").map(Number) as [number, number];
    const run = await store.db.selectFrom("runs").selectAll().where("task_id", "=", taskId).where("number", "=", number).executeTakeFirst();
    if (!run) {
      await node.sessions.collect(id); // the task was destroyed, or the start was undone
      this.#gone(taskId, number, false);
      return;
    }
    if (run.ended_at === null) {
      const total = offset ?? (await this.#totalOf(id, taskId));
      await this.#close(run, {
        reason: run.stop_requested || exit.stopped ? "stopped" : "exited",
        code: exit.code,
        signal: exit.signal,
        at: exit.at,
        total,
      });
    }
    await node.sessions.collect(id).catch(() => {});
    const live = this.live.get(taskId);
    this.#gone(taskId, number, live?.run === number && live.pendingRestart);
    const row = await tasks.byId(String(taskId)).catch(() => null);
    if (row) await this.#captureId(row, run);
  }

  async #totalOf(id: string, taskId: number): Promise<number> {
    const info = (await this.#parts.node.sessions.list().catch(() => [])).find((session) => session.id === id);
    return info?.offset ?? (await this.#parts.node.sessions.readLog(this.#parts.logOf(taskId), 0, 0)).total;
  }

  async #close(
    run: RunRow,
    end: {
      reason: "exited" | "stopped" | "aborted-by-restart" | "lost";
      code: number | null;
      signal: string | null;
      at: number;
      total?: number;
    },
  ): Promise<void> {
    const live = this.live.get(Number(run.task_id));
    const pendingRestart = live?.run === run.number && live.pendingRestart;
    await this.#parts.events.change(async (tx, emit) => {
      await tx
        .updateTable("runs")
        .set({ ended_at: end.at, end_reason: end.reason, exit_code: end.code, exit_signal: end.signal })
        .where("id", "=", run.id)
        .execute();
      const to: TaskStatus = statusAfter({ reason: end.reason, code: end.code });
      const row = await tx.selectFrom("tasks").select(["status", "run_count"]).where("id", "=", Number(run.task_id)).executeTakeFirst();
      // Whoever set another status while the agent ran meant it; a planned restart is no end at all.
      const moves = row?.status === "in_progress" && row.run_count === run.number && !pendingRestart;
      await tx
        .updateTable("tasks")
        .set({ ...(end.total !== undefined && { output_total: end.total }), ...(moves && { attention: 1 }) })
        .where("id", "=", Number(run.task_id))
        .execute();
      emit("session.exited", String(run.task_id), {
        stopped: end.reason === "stopped",
        error: describeEnd(end),
        pending_restart: pendingRestart,
      });
      if (moves) await this.#parts.tasks.moveStatus(tx, emit, Number(run.task_id), to);
    });
  }

  #gone(taskId: number, number: number, pendingRestart: boolean): void {
    const live = this.live.get(taskId);
    if (live?.run === number) this.live.delete(taskId);
    for (const listener of [...this.#ended]) listener(taskId, { pendingRestart });
  }

  async #captureId(row: TaskRow, run: RunRow): Promise<void> {
    try {
      const id = await this.#parts.capture(row, run);
      if (id && id !== row.session_id) await this.#parts.tasks.set(row.id, { session_id: id });
    } catch (err) {
      this.#parts.log.warn({ err, task: row.id }, "conversation id not captured; the old one stays");
    }
  }

  // ------------------------------------------------------------ restarts

  /** Compares open runs with what the supervisor really holds. A supervisor that cannot be asked changes nothing (TASK-32). Returns the tasks whose run was interrupted, oldest first. */
  async reconcile(): Promise<TaskRow[]> {
    const { store, node, tasks, clock } = this.#parts;
    const open = await store.db.selectFrom("runs").selectAll().where("ended_at", "is", null).orderBy("started_at").execute();
    const held = new Map((await node.sessions.list()).map((info) => [info.id, info]));
    const interrupted: TaskRow[] = [];
    for (const run of open) {
      const id = `${run.task_id}.${run.number}`;
      const info = held.get(id);
      const live = this.live.get(Number(run.task_id));
      if (live?.starting) continue; // being started right now; the list is older than that
      if (info?.exit) await this.#finish(id, info.exit, info.offset);
      else if (info) this.#adopt(run, info);
      else {
        await this.#close(run, {
          reason: "aborted-by-restart",
          code: null,
          signal: null,
          at: clock.now(),
          total: (await node.sessions.readLog(this.#parts.logOf(Number(run.task_id)), 0, 0)).total,
        });
        this.#gone(Number(run.task_id), run.number, false);
        const row = await tasks.byId(String(run.task_id)).catch(() => null);
        if (row) {
          await this.#captureId(row, run);
          interrupted.push(await tasks.byId(String(run.task_id)));
        }
      }
    }
    const known = new Set(open.map((run) => `${run.task_id}.${run.number}`));
    for (const [id, info] of held) if (!known.has(id) && info.exit) await this.#finish(id, info.exit, info.offset);
    this.#reconciled = true;
    for (const listener of this.#interruptedListeners) listener(interrupted);
    await this.poll(); // so that the first question after a restart is answered with a state, not with "starting"
    return interrupted;
  }

  #interruptedListeners: ((rows: TaskRow[]) => void)[] = [];
  onInterrupted(listener: (rows: TaskRow[]) => void): void {
    this.#interruptedListeners.push(listener);
  }

  #adopt(run: RunRow, info: SessionInfo): void {
    const taskId = Number(run.task_id);
    const known = this.live.get(taskId);
    if (known?.run === run.number) return;
    const live = this.reserve({ id: taskId, run_count: run.number - 1 } as TaskRow);
    Object.assign(live, {
      pid: info.pid,
      starting: false,
      startedAt: Number(run.started_at),
      initialCols: run.cols,
      info,
      confirmedAt: this.#parts.clock.now(),
      stopRequested: Boolean(run.stop_requested),
    });
  }

  // ------------------------------------------------------------ looking

  /** One look at all sessions. */
  poll(): Promise<void> {
    return this.#lookout.poll();
  }

  /** A harness's own word about its state. */
  claim(live: Live, value: Claim["value"], evidence: string): void {
    this.#lookout.claim(live, value, evidence);
  }

  /** Somebody looks at the task now. Returns the end of looking. */
  async view(row: TaskRow): Promise<() => void> {
    const live = this.live.get(row.id);
    if (live) live.viewers++;
    if (row.attention) await this.#parts.tasks.set(row.id, { attention: 0 });
    return () => {
      if (live) live.viewers--;
    };
  }

  counts(): { running: number; idle: number } {
    let running = 0;
    let idle = 0;
    for (const live of this.live.values()) {
      if (live.starting) continue;
      running++;
      if (live.state?.value === "idle" || live.state?.value === "needs_input") idle++;
    }
    return { running, idle };
  }
}

function describeEnd(end: { reason: string; code: number | null; signal: string | null }): string | null {
  if (end.reason === "aborted-by-restart") return "The session ended together with its supervisor";
  if (end.signal) return `Ended by ${end.signal}`;
  if (end.code !== null && end.code !== 0) return `Exit status ${end.code}`;
  return null;
}
