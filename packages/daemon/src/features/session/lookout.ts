/** Looks at all sessions once a second and says what each is doing, with evidence. */

import type { ExitRecord } from "@argus/supervisor/client";
import { rfc3339 } from "../../kernel/clock.ts";
import { confirm, type Live } from "./live.ts";
import type { SessionParts } from "./sessions.ts";
import { type Claim, judge, questionOn, rawIdle } from "./state.ts";

/** SESSION-23: two sources may disagree this long before anybody is told. */
const DRIFT_MS = 10_000;

type Finish = (id: string, exit: ExitRecord, offset: number) => Promise<void>;

export class Lookout {
  #parts: SessionParts;
  #live: Map<number, Live>;
  #finish: Finish;
  #polling = false;

  /** `finish` stores the end of a session that the look found ended. */
  constructor(parts: SessionParts, live: Map<number, Live>, finish: Finish) {
    this.#parts = parts;
    this.#live = live;
    this.#finish = finish;
  }

  /** One look at all sessions: one question to the supervisor, however many there are. */
  async poll(): Promise<void> {
    if (this.#polling || this.#live.size === 0) return;
    this.#polling = true;
    try {
      const infos = new Map((await this.#parts.node.sessions.list()).map((info) => [info.id, info]));
      for (const live of [...this.#live.values()]) {
        if (live.starting) continue;
        const info = infos.get(live.id);
        if (info?.exit) {
          await this.#finish(live.id, info.exit, info.offset);
          continue;
        }
        if (info) confirm(live, info, this.#parts.clock);
        await this.#look(live);
      }
    } catch {
      // Whoever did not answer this is not asked for screens either: each question would take its whole time limit.
      for (const live of [...this.#live.values()]) if (!live.starting) await this.#look(live, false).catch(() => {});
    } finally {
      this.#polling = false;
    }
  }

  /** Measures all process trees in one pass; also tells who was stopped, by us before a restart or by somebody else. */
  async measure(): Promise<void> {
    const lives = [...this.#live.values()].filter((live) => !live.starting);
    const loads = await this.#parts.node.processes.load(lives.map((live) => live.pid));
    const at = performance.now();
    for (const live of lives) {
      const load = loads.get(live.pid);
      if (!load) continue;
      const before = live.load;
      const cpu = before && at > before.at ? Math.max(0, load.cpuMs - before.cpuMs) / (at - before.at) : 0;
      live.load = { ...load, at, cpu: Math.round(cpu * 1000) / 1000 };
      live.paused = load.stopped;
    }
  }

  async #look(live: Live, reachable = true): Promise<void> {
    const { clock, node, events } = this.#parts;
    const now = clock.now();
    const lastOutputAt = live.outputAt;
    const quiet = rawIdle(lastOutputAt, now);
    if (!quiet) live.question = null;
    else if (reachable && live.info && live.questionAt !== live.info.offset) {
      const screen = await node.sessions.snapshot(live.id, { scrollback: 0 }).catch(() => null);
      live.question = screen ? questionOn(screen.text) : null;
      live.questionAt = live.info.offset;
      live.questionSince = now;
    }
    // Whoever types after a question answers it, whether the program says so or not.
    const typedAt = live.inputAt ?? 0;
    if (typedAt > live.questionSince) live.question = null;
    if (live.claim?.value === "needs_input" && typedAt > live.claim.at) live.claim = null;
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
    const changed = before?.value !== verdict.value;
    live.state = { ...verdict, since: changed ? rfc3339(now) : before.since };
    if (this.#live.get(live.taskId) !== live) return;
    const waits = verdict.value === "idle" || verdict.value === "needs_input";
    const turnEnded = waits && live.wasActive;
    const asks = changed && before !== null && verdict.value === "needs_input";
    if (waits) live.wasActive = false;
    else if (verdict.value === "working") live.wasActive = true;
    await events.change(async (tx, emit) => {
      emit("session.state_changed", String(live.taskId), {
        from: before?.value ?? null,
        to: verdict.value,
        source: verdict.source,
        evidence: verdict.evidence,
      });
      if (turnEnded) emit("session.idle", String(live.taskId), { evidence: verdict.evidence });
      if ((turnEnded || asks) && live.viewers === 0)
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
}
