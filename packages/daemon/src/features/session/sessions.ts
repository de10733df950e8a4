/** The sessions of tasks: who runs, in which state, and what is written when one ends. Facts only; the bytes never pass here. */
import { createHash, randomBytes } from "node:crypto";
import { ArgusError, type SessionState, type TaskStatus } from "@argus/protocol";
import type { Node } from "@argus/runner";
import type { ExitRecord, SessionInfo } from "@argus/supervisor/client";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import { type RunRow, statusAfter, type TaskRow, type Tasks } from "../task/index.ts";
import { type Claim, judge, questionOn, rawIdle } from "./state.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    sessions: TaskSessions;
  }
}

/** A run that the supervisor holds, or is just being started. */
export interface Live {
  taskId: number;
  run: number;
  /** Name at the supervisor. */
  id: string;
  pid: number;
  starting: boolean;
  startedAt: number;
  /** Columns at the start; crossing far from them makes a re-render worthwhile. */
  initialCols: number;
  info: SessionInfo | null;
  confirmedAt: number;
  state: SessionState | null;
  wasActive: boolean;
  question: string | null;
  /** Offset the screen was read at, so that an unchanged screen is not read again. */
  questionAt: number;
  claim: Claim | null;
  driftSince: number | null;
  paused: boolean;
  viewers: number;
  stopRequested: boolean;
  pendingRestart: boolean;
}

const POLL_MS = 1000;
/** SESSION-23: two sources may disagree this long before anybody is told. */
const DRIFT_MS = 10_000;

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
  #polling = false;
  #stops: (() => void)[] = [];
  #reconciled = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
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

  /** One look at all sessions: one question to the supervisor, however many there are. */
  async poll(): Promise<void> {
    if (this.#polling || this.live.size === 0) return;
    this.#polling = true;
    try {
      const infos = new Map((await this.#parts.node.sessions.list()).map((info) => [info.id, info]));
      for (const live of [...this.live.values()]) {
        if (live.starting) continue;
        const info = infos.get(live.id);
        if (info?.exit) {
          await this.#finish(live.id, info.exit, info.offset);
          continue;
        }
        if (info) {
          live.info = info;
          live.confirmedAt = this.#parts.clock.now();
        }
        await this.#look(live);
      }
    } catch {
      for (const live of [...this.live.values()]) if (!live.starting) await this.#look(live).catch(() => {});
    } finally {
      this.#polling = false;
    }
  }

  async #look(live: Live): Promise<void> {
    const { clock, node, events } = this.#parts;
    const now = clock.now();
    const lastOutputAt = live.info?.lastOutputAt ?? null;
    const quiet = rawIdle(lastOutputAt, now);
    if (!quiet) live.question = null;
    else if (live.info && live.questionAt !== live.info.offset) {
      const screen = await node.sessions.snapshot(live.id, { scrollback: 0 }).catch(() => null);
      live.question = screen ? questionOn(screen.text) : null;
      live.questionAt = live.info.offset;
    }
    if (live.claim && live.info?.lastInputAt && live.info.lastInputAt > live.claim.at && live.claim.value === "needs_input")
      live.claim = null; // the user answered
    const verdict = judge({
      now,
      startedAt: live.startedAt,
      lastOutputAt,
      confirmedAt: live.confirmedAt,
      paused: live.paused,
      claim: live.claim,
      question: live.question,
    });
    const before = live.state;
    this.#watchDrift(live, quiet, now);
    if (before?.value === verdict.value && before.source === verdict.source) {
      live.state = { ...before, evidence: verdict.evidence };
      return;
    }
    live.state = { ...verdict, since: rfc3339(now) };
    const wentIdle = verdict.value === "idle" || verdict.value === "needs_input";
    if (verdict.value === "working") live.wasActive = true;
    const first = before === null;
    if (this.live.get(live.taskId) !== live) return;
    await events.change(async (tx, emit) => {
      emit("session.state_changed", String(live.taskId), {
        from: before?.value ?? null,
        to: verdict.value,
        source: verdict.source,
        evidence: verdict.evidence,
      });
      if (wentIdle && before?.value !== "idle" && before?.value !== "needs_input" && (live.wasActive || !first))
        emit("session.idle", String(live.taskId), { evidence: verdict.evidence });
      if (wentIdle && live.viewers === 0 && !first)
        await tx.updateTable("tasks").set({ attention: 1 }).where("id", "=", live.taskId).execute();
    });
  }

  #watchDrift(live: Live, quiet: boolean, now: number): void {
    const disagrees = live.claim?.value === "idle" && !quiet && now - live.claim.at > 1000;
    if (!disagrees) {
      live.driftSince = null;
      return;
    }
    if (live.driftSince === null) live.driftSince = now;
    else if (live.driftSince > 0 && now - live.driftSince > DRIFT_MS) {
      live.driftSince = -1; // told once
      const claim = live.claim?.evidence ?? "";
      void this.#parts.events
        .change(async (_tx, emit) =>
          emit("session.drift", String(live.taskId), { claim: `hook: idle (${claim})`, observed: "process: output keeps flowing" }),
        )
        .catch(() => {});
    }
  }

  /** A harness's own word about its state. */
  claim(live: Live, value: Claim["value"], evidence: string): void {
    live.claim = { value, evidence, at: this.#parts.clock.now() };
    void this.#look(live).catch(() => {});
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

export function newToken(): string {
  return randomBytes(32).toString("hex");
}

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
