/** A run that lives, and the token that belongs to it. */
import { createHash, randomBytes } from "node:crypto";
import type { SessionState } from "@argus/protocol";
import type { Load } from "@argus/runner";
import type { SessionInfo } from "@argus/supervisor/client";
import type { Clock } from "../../kernel/clock.ts";
import type { TaskRow } from "../task/index.ts";
import type { Claim } from "./state.ts";

/** A run that the supervisor holds, or is just being started. */
export interface Live {
  taskId: number;
  run: number;
  /** Name at the supervisor. */
  id: string;
  pid: number;
  /** No process yet: being started, or ended and about to be started again. */
  starting: boolean;
  /** Settles when `starting` ends, one way or the other. */
  settled: PromiseWithResolvers<void>;
  startedAt: number;
  /** Columns at the start; crossing far from them makes a re-render worthwhile. */
  initialCols: number;
  info: SessionInfo | null;
  /** Newest output and input, by our clock. */
  outputAt: number | null;
  inputAt: number | null;
  confirmedAt: number;
  state: SessionState | null;
  /** Worked since it was last idle, as far as we saw. A session found after a daemon start did not: what it did before is old news. */
  wasActive: boolean;
  question: string | null;
  /** When the question was found; typing after it answers it. */
  questionSince: number;
  /** Offset the screen was read at, so that an unchanged screen is not read again. */
  questionAt: number;
  claim: Claim | null;
  driftSince: number | null;
  paused: boolean;
  /** The newest measurement, and the share of a processor since the one before. */
  load: (Load & { at: number; cpu: number }) | null;
  viewers: number;
  stopRequested: boolean;
  pendingRestart: boolean;
}

export function newLive(row: Pick<TaskRow, "id" | "run_count">, now: number): Live {
  return {
    taskId: row.id,
    run: row.run_count + 1,
    id: `${row.id}.${row.run_count + 1}`,
    pid: 0,
    starting: true,
    settled: Promise.withResolvers(),
    startedAt: now,
    initialCols: 0,
    info: null,
    outputAt: null,
    inputAt: null,
    confirmedAt: now,
    state: null,
    wasActive: true,
    question: null,
    questionSince: 0,
    questionAt: -1,
    claim: null,
    driftSince: null,
    paused: false,
    load: null,
    viewers: 0,
    stopRequested: false,
    pendingRestart: false,
  };
}

/** Takes what the supervisor says of a session. Its times are the machine's; what is new is dated by our clock once, and ages by it from there. */
export function confirm(live: Live, info: SessionInfo, clock: Clock): void {
  const ours = (at: number | null) => (at === null ? null : at + clock.now() - Date.now());
  if (info.lastOutputAt !== live.info?.lastOutputAt) live.outputAt = ours(info.lastOutputAt);
  if (info.lastInputAt !== live.info?.lastInputAt) live.inputAt = ours(info.lastInputAt);
  live.info = info;
  live.confirmedAt = clock.now();
}

export function newToken(): string {
  return randomBytes(32).toString("hex");
}

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
