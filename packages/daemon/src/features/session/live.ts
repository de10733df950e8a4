/** A run that lives, and the token that belongs to it. */
import { createHash, randomBytes } from "node:crypto";
import type { SessionState } from "@argus/protocol";
import type { SessionInfo } from "@argus/supervisor/client";
import type { Claim } from "./state.ts";

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

export function newToken(): string {
  return randomBytes(32).toString("hex");
}

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
