/** What a session is doing, decided from claims, process facts and the screen, in that order of trust. Pure. */
import type { SessionState } from "@argus/protocol";

/** SESSION-18: output and then none for this long means idle. */
export const IDLE_AFTER_MS = 3000;
/** SESSION-21: a claim this fresh is not overruled by the screen. */
export const CLAIM_HOLDS_MS = 120_000;
/** SESSION-22: a session the supervisor has not confirmed for this long is not known to be anything. */
export const UNCONFIRMED_MS = 30_000;

export interface Claim {
  value: "working" | "idle" | "needs_input";
  evidence: string;
  at: number;
}

export interface Observation {
  now: number;
  startedAt: number;
  lastOutputAt: number | null;
  /** Last time the supervisor listed this session. */
  confirmedAt: number;
  paused: boolean;
  claim: Claim | null;
  /** What the screen asks, or null. */
  question: string | null;
}

export type Verdict = Pick<SessionState, "value" | "source" | "evidence">;

/** True when output came and then stopped; a session that never wrote is still starting. */
export function rawIdle(lastOutputAt: number | null, now: number): boolean {
  return lastOutputAt !== null && now - lastOutputAt >= IDLE_AFTER_MS;
}

export function judge(seen: Observation): Verdict {
  const { now, claim, lastOutputAt } = seen;
  if (now - seen.confirmedAt > UNCONFIRMED_MS)
    return {
      value: "unverifiable",
      source: "process",
      evidence: `The supervisor has not confirmed this session for ${seconds(now - seen.confirmedAt)}`,
    };
  if (seen.paused) return { value: "paused", source: "process", evidence: "The process group is stopped" };
  if (claim && now - claim.at <= CLAIM_HOLDS_MS) return { value: claim.value, source: "hook", evidence: claim.evidence };
  if (claim?.value === "working" && rawIdle(lastOutputAt, now) && now - (lastOutputAt ?? 0) > CLAIM_HOLDS_MS)
    return {
      value: "unverifiable",
      source: "hook",
      evidence: `It said it was working ${seconds(now - claim.at)} ago; neither output nor a new word since`,
    };
  if (lastOutputAt === null) return { value: "starting", source: "process", evidence: "Started; no output yet" };
  if (!rawIdle(lastOutputAt, now)) return { value: "working", source: "process", evidence: "Output within the last 3 s" };
  if (seen.question) return { value: "needs_input", source: "screen", evidence: seen.question };
  return { value: "idle", source: "process", evidence: "No output for 3 s" };
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;

const CURSOR_BEFORE_OPTION = /^\s*[│┃|]?\s*[❯›▶>*→]\s*\d+[.)]\s+\S/;
const FOOTER = /\bEnter\b.*\bEsc\b|\bEsc\b.*\bEnter\b/i;
const PROMPT_BOX = /^\s*[╭┌╰└─━│┃|❯›>]/;
/** Only the bottom of the screen is a prompt; the same words higher up are a quotation. */
const BOTTOM_ROWS = 14;

/** The question a screen shows, or null: a selection cursor before a numbered option, a footer naming Enter and Esc, or a last line above the prompt box that ends in a question mark (SESSION-25). */
export function questionOn(screen: string[]): string | null {
  const rows = [...screen];
  while (rows.length > 0 && rows.at(-1)?.trim() === "") rows.pop();
  const bottom = rows.slice(-BOTTOM_ROWS);
  const option = bottom.findIndex((row) => CURSOR_BEFORE_OPTION.test(row));
  if (option >= 0) return headingAbove(bottom, option) ?? `Choice: ${clean(bottom[option] ?? "")}`;
  const footer = bottom.slice(-3).find((row) => FOOTER.test(row));
  if (footer) return `Waits for a choice: ${clean(footer)}`;
  for (let at = rows.length - 1; at >= 0 && at >= rows.length - BOTTOM_ROWS; at--) {
    const row = rows[at] ?? "";
    if (row.trim() === "" || PROMPT_BOX.test(row)) continue;
    return /[?？]\s*$/.test(row) ? clean(row) : null;
  }
  return null;
}

function headingAbove(rows: string[], below: number): string | null {
  for (let at = below - 1; at >= 0; at--) if (/[?？]\s*[│┃|]?\s*$/.test(rows[at] ?? "")) return clean(rows[at] ?? "");
  return null;
}

const clean = (row: string) =>
  row
    .replace(/[│┃|╭╮╰╯]/g, "")
    .trim()
    .slice(0, 160);
