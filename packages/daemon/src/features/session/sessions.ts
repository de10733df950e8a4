/** The sessions of tasks: who runs, in which state, and what is written when one ends. Facts only; the bytes never pass here. */
import { ArgusError, type SessionState } from "@argus/protocol";
import type { Node } from "@argus/runner";
import type { ExitRecord, SessionInfo } from "@argus/supervisor/client";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Log } from "../../kernel/log.ts";
import type { RunRow, TaskRow, Tasks } from "../task/index.ts";
import { type Live, newLive } from "./live.ts";
import { Lookout } from "./lookout.ts";
import { type RunEnd, Runs } from "./runs.ts";
import type { Claim } from "./state.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    sessions: TaskSessions;
  }
}

const POLL_MS = 1000;
const MEASURE_MS = 10_000; // SESSION-50
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

/** What is told of a run once its record is stored. */
export interface Ended {
  run: number;
  /** Offset after its last byte. */
  total: number;
  pendingRestart: boolean;
}
type EndedListener = (taskId: number, end: Ended) => void;

export class TaskSessions {
  readonly live = new Map<number, Live>();
  readonly runs: Runs;
  #parts: SessionParts;
  #ending = new Map<string, Promise<void>>();
  #ended: EndedListener[] = [];
  #lookout: Lookout;
  #stops: (() => void)[] = [];
  #reconciled = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.runs = new Runs(parts);
    this.#lookout = new Lookout(parts, this.live, (id, exit, offset) => this.#finish(id, exit, offset));
    parts.tasks.liveness = { stateOf: (row) => this.stateOf(row), isIdle: (row) => this.isIdle(row), loadOf: (row) => this.#loadOf(row) };
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
    this.#stops.push(clock.every(MEASURE_MS, () => void this.measure()));
    await this.reconcile().catch((err) => log.warn({ err }, "the supervisor cannot be asked yet; no run was closed"));
    await this.measure();
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }

  /** Called after the record of an ended run is stored. */
  onEnded(listener: EndedListener): () => void {
    this.#ended.push(listener);
    return () => {
      this.#ended = this.#ended.filter((other) => other !== listener);
    };
  }

  /** The live session of a task named by id, or null. */
  running(id: string): Live | null {
    const live = /^\d{1,15}$/.test(id) ? this.live.get(Number(id)) : undefined;
    return live && !live.starting ? live : null;
  }

  find(row: TaskRow): Live {
    const live = this.live.get(row.id);
    if (!live || live.starting)
      throw new ArgusError("NOT_FOUND", `no active session: the agent of task ${row.id} is not running. Resume the task first.`);
    return live;
  }

  stateOf(row: TaskRow): SessionState | undefined {
    const live = this.live.get(row.id);
    if (live?.pendingRestart)
      return {
        value: "starting",
        source: "process",
        since: rfc3339(this.#parts.clock.now()),
        evidence: "Is being started again with its conversation",
      };
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

  /** Reserves the task for a start; a second start is refused until it is released or lives (SESSION-16). `after` is an ended run that this one continues. */
  reserve(row: Pick<TaskRow, "id" | "run_count">, after?: Live): Live {
    const present = this.live.get(row.id);
    if (present && present !== after) throw new ArgusError("BUSY", `The agent of task ${row.id} is running already.`);
    const live = newLive(row, this.#parts.clock.now());
    this.live.set(row.id, live);
    present?.settled.resolve();
    return live;
  }

  release(live: Live): void {
    if (this.live.get(live.taskId) === live) this.live.delete(live.taskId);
    live.settled.resolve();
  }

  /** The process lives. */
  async started(live: Live, pid: number, resumed: boolean): Promise<void> {
    live.pid = pid;
    live.starting = false;
    live.confirmedAt = this.#parts.clock.now();
    live.settled.resolve();
    await this.runs.alive(live, pid, resumed);
  }

  // ------------------------------------------------------------ ending

  /** Ends the agent: TERM to the group, KILL after 5 s, and waits until the record is stored. True when there was one to end. */
  async end(row: TaskRow, { graceMs = 5000 }: { graceMs?: number } = {}): Promise<boolean> {
    let live = this.live.get(row.id);
    while (live?.starting) {
      await live.settled.promise;
      live = this.live.get(row.id);
    }
    if (!live) return false;
    live.stopRequested = true;
    await this.runs.stopRequested(live);
    if (this.live.get(row.id) !== live || live.starting) return true;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const { run } = live;
    const forget = this.onEnded((taskId, exit) => {
      if (taskId === row.id && exit.run === run) resolve();
    });
    try {
      // A stopped process would not hear the request.
      if (live.paused) await this.#parts.node.sessions.signal(live.id, "SIGCONT");
      await this.#parts.node.sessions.signal(live.id, "SIGTERM", { killAfterMs: graceMs }).catch((thrown: unknown) => {
        // Ended by itself meanwhile: its exit notice is on the way.
        if (!(thrown instanceof ArgusError && thrown.code === "NOT_FOUND")) throw thrown;
      });
      await ended;
    } finally {
      forget();
    }
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
    const { node } = this.#parts;
    const [taskId, number] = id.split(".").map(Number) as [number, number];
    const run = await this.runs.find(taskId, number);
    if (run && run.ended_at === null) {
      const total = offset ?? (await this.#totalOf(id, taskId));
      await this.#close(run, {
        reason: run.stop_requested || exit.stopped ? "stopped" : "exited",
        code: exit.code,
        signal: exit.signal,
        at: exit.at,
        total,
      });
    } else if (this.live.get(taskId)?.run === number) this.#gone(taskId, { run: number, total: 0, pendingRestart: false }); // destroyed, or its start was undone
    await node.sessions.collect(id).catch(() => {});
  }

  async #totalOf(id: string, taskId: number): Promise<number> {
    const info = (await this.#parts.node.sessions.list().catch(() => [])).find((session) => session.id === id);
    return info?.offset ?? (await this.#parts.node.sessions.readLog(this.#parts.logOf(taskId), 0, 0)).total;
  }

  /** The conversation first: whoever hears of the end may resume at once, and must find the newest id. */
  async #close(run: RunRow, end: Omit<RunEnd, "pendingRestart">): Promise<void> {
    const taskId = Number(run.task_id);
    await this.#captureId(taskId, run);
    const live = this.live.get(taskId);
    const pendingRestart = live?.run === run.number && live.pendingRestart;
    await this.runs.close(run, { ...end, pendingRestart });
    this.#gone(taskId, { run: run.number, total: end.total, pendingRestart });
  }

  #gone(taskId: number, end: Ended): void {
    const live = this.live.get(taskId);
    if (live?.run === end.run) {
      if (end.pendingRestart) {
        // Stays as the placeholder of the run that follows, so that nobody starts another one in between.
        live.starting = true;
        live.settled = Promise.withResolvers();
      } else this.release(live);
    }
    for (const listener of [...this.#ended]) listener(taskId, end);
  }

  async #captureId(taskId: number, run: RunRow): Promise<void> {
    try {
      const row = await this.#parts.tasks.byId(String(taskId));
      const id = await this.#parts.capture(row, run);
      if (id && id !== row.session_id) await this.#parts.tasks.set(row.id, { session_id: id });
    } catch (err) {
      this.#parts.log.warn({ err, task: taskId }, "conversation id not captured; the old one stays");
    }
  }

  // ------------------------------------------------------------ restarts

  /** Compares open runs with what the supervisor really holds. A supervisor that cannot be asked changes nothing (TASK-32). Returns the tasks whose run was interrupted, oldest first. */
  async reconcile(): Promise<TaskRow[]> {
    const { node, tasks, clock } = this.#parts;
    const open = await this.runs.open();
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
        const row = await tasks.byId(String(run.task_id)).catch(() => null);
        if (row) interrupted.push(row);
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
    const live = this.reserve({ id: taskId, run_count: run.number - 1 });
    Object.assign(live, {
      pid: info.pid,
      starting: false,
      startedAt: Number(run.started_at),
      initialCols: run.cols,
      stopRequested: Boolean(run.stop_requested),
      wasActive: false,
      info,
      outputAt: info.lastOutputAt,
      inputAt: info.lastInputAt,
    });
    live.settled.resolve();
  }

  // ------------------------------------------------------------ looking

  /** One look at all sessions. */
  poll(): Promise<void> {
    return this.#lookout.poll();
  }

  async measure(): Promise<void> {
    await this.#lookout.measure().catch((err) => this.#parts.log.warn({ err }, "process trees could not be measured"));
  }

  #loadOf(row: TaskRow): { cpu: number; memory: number } | undefined {
    const load = this.live.get(row.id)?.load;
    return load ? { cpu: load.cpu, memory: load.memory } : undefined;
  }

  /** Freezes the agent's whole process group, or lets it go on. */
  async pause(live: Live, paused: boolean): Promise<void> {
    await this.#parts.node.sessions.signal(live.id, paused ? "SIGSTOP" : "SIGCONT");
    live.paused = paused;
    await this.poll();
  }

  /** A harness's own word about its state. */
  claim(live: Live, value: Claim["value"], evidence: string): void {
    this.#lookout.claim(live, value, evidence);
  }

  /** Somebody looks at the task now. Returns the end of looking, which may be called more than once. */
  async view(row: TaskRow): Promise<() => void> {
    const live = this.live.get(row.id);
    if (live) live.viewers++;
    let looking = true;
    if (row.attention) await this.#parts.tasks.set(row.id, { attention: 0 });
    return () => {
      if (live && looking) live.viewers--;
      looking = false;
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
