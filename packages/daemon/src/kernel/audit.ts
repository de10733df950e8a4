/** One row per call that may change something, chained by hash so that a removed or edited row shows. */
import { createHash } from "node:crypto";
import type { Generated } from "kysely";
import type { Caller } from "./caller.ts";
import type { Clock } from "./clock.ts";
import type { Store } from "./database.ts";

declare module "./database.ts" {
  interface Tables {
    audit: {
      id: Generated<number>;
      at: number;
      caller: string;
      surface: string;
      /** `claimed` for callers known only by a working directory. */
      identity: string;
      operation: string;
      task_id: string | null;
      outcome: string;
      duration_ms: number;
      rule: string;
      hash: string;
    };
  }
}

const SOON_MS = 50; // longer than any echo, shorter than anybody looks

export interface AuditEntry {
  caller: Caller;
  operation: string;
  taskId: string | null;
  /** `ok` or an error code. */
  outcome: string;
  durationMs: number;
  /** What decided: `tier`, or the id of a policy rule. */
  rule: string;
}

export class Audit {
  #store: Store;
  #clock: Clock;
  #last: string | null = null;
  #tail: Promise<void> = Promise.resolve();
  #soon: AuditEntry[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Rows follow one another, because each carries the hash of the one before. */
  record(entry: AuditEntry): Promise<void> {
    const mine = this.#tail.then(() => this.#record(entry));
    this.#tail = mine.catch(() => {});
    return mine;
  }

  /** For keystrokes: the row follows within a moment, off the way between a key and its echo. */
  recordSoon(entry: AuditEntry): void {
    this.#soon.push(entry);
    this.#timer ??= setTimeout(() => void this.flush().catch(() => {}), SOON_MS);
  }

  /** Writes what `recordSoon` still holds. */
  async flush(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    await Promise.all(this.#soon.splice(0).map((entry) => this.record(entry)));
  }

  async #record({ caller, operation, taskId, outcome, durationMs, rule }: AuditEntry): Promise<void> {
    this.#last ??= (await this.#store.db.selectFrom("audit").select("hash").orderBy("id", "desc").limit(1).executeTakeFirst())?.hash ?? "";
    const row = {
      at: this.#clock.now(),
      caller: caller.id,
      surface: caller.surface,
      identity: caller.kind === "anonymous" ? "claimed" : "proven",
      operation,
      task_id: taskId,
      outcome,
      duration_ms: Math.round(durationMs),
      rule,
    };
    const hash = chain(this.#last, row);
    await this.#store.db
      .insertInto("audit")
      .values({ ...row, hash })
      .execute();
    this.#last = hash;
  }

  /** Id of the first row that does not fit its predecessor, or null. */
  async verify(): Promise<number | null> {
    await this.flush();
    const rows = await this.#store.db.selectFrom("audit").selectAll().orderBy("id").execute();
    let last: string | null = null;
    for (const { id, hash, ...row } of rows) {
      if (last !== null && chain(last, { ...row, at: Number(row.at), duration_ms: Number(row.duration_ms) }) !== hash) return Number(id);
      if (last === null && chain("", { ...row, at: Number(row.at), duration_ms: Number(row.duration_ms) }) !== hash) return Number(id);
      last = hash;
    }
    return null;
  }
}

function chain(before: string, row: Record<string, unknown>): string {
  const ordered = Object.keys(row)
    .sort()
    .map((key) => [key, row[key]]);
  return createHash("sha256").update(before).update(JSON.stringify(ordered)).digest("hex");
}
