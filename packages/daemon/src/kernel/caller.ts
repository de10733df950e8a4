/** Who asks, and how far they may go. */
import { reaches, type Tier } from "@argus/protocol";

export type CallerKind = "owner" | "master" | "device" | "scope" | "task" | "anonymous" | "system";

export interface Caller {
  kind: CallerKind;
  /** Stable name for audit, idempotency and approvals: `owner`, `master`, `device:3`, `scope:hera`, `task:12`, `anonymous`. */
  id: string;
  tier: Tier;
  /** The surface the call came through. */
  surface: "rest" | "mcp" | "socket" | "internal";
  /** Row id of the token that authenticated the call. */
  tokenId?: string;
  /** The task whose token this is. */
  taskId?: string;
  /** Plugin scope of a scope token. */
  scope?: string;
  /** Working directory the caller claims to be in; a claim, not a proof. */
  cwd?: string;
}

/** The daemon acting for itself: recovery, clean-up, schedules without a maker. */
export const SYSTEM: Caller = { kind: "system", id: "system", tier: "admin", surface: "internal" };

/** The owner's local socket. */
export function owner(cwd?: string): Caller {
  return { kind: "owner", id: "owner", tier: "admin", surface: "socket", ...(cwd && { cwd }) };
}

/** True when the caller may run an operation of this tier on this input. A task's token is full for its own task and write elsewhere. */
export function mayRun(caller: Caller, needed: Tier, input: unknown): boolean {
  if (!reaches(caller.tier, needed)) return false;
  if (caller.kind !== "task") return true;
  const named = (input as { id?: unknown } | null)?.id;
  return named === undefined || named === caller.taskId || reaches("write", needed);
}
