/** Durable questions of the form "may I?": asked once, answered once, by somebody else, and used once. */
import { ArgusError } from "@argus/protocol";
import type { Generated, Selectable } from "kysely";
import type { Approver } from "../../kernel/call.ts";
import type { Caller } from "../../kernel/caller.ts";
import { type Clock, rfc3339 } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Redactor } from "../../kernel/redact.ts";
import type { Config } from "../config/index.ts";

interface ApprovalTable {
  id: Generated<number>;
  requester: string;
  task_id: string | null;
  operation: string;
  title: string;
  /** Canonical input, redacted. */
  summary: string;
  digest: string;
  /** pending, allowed, denied, expired, cancelled, used, lapsed. */
  status: string;
  created_at: number;
  expires_at: number;
  decision: string | null;
  resolved_by: string | null;
  surface: string | null;
  resolved_at: number | null;
}
declare module "../../kernel/database.ts" {
  interface Tables {
    approvals: ApprovalTable;
  }
}
declare module "../../kernel/operation.ts" {
  interface Services {
    approvals: Approvals;
  }
}
export type ApprovalRow = Selectable<ApprovalTable>;
export type Answer = "allow-once" | "allow-always" | "deny";

/** Below the 60 s default of MCP clients, with room for a slow proxy (TOKEN-27). */
const HOLD_MS = 25_000;
/** An answer is good for this long (APPR-09). */
const USABLE_MS = 10 * 60_000;
const MAX_PENDING = 50; // APPR-21: flooding makes people click allow
const SHOWN_SUMMARY = 4000;

export interface ApprovalParts {
  store: Store;
  events: Events;
  clock: Clock;
  config: Config;
  redactor: Redactor;
  holdMs?: number;
}

export class Approvals implements Approver {
  #parts: ApprovalParts;
  #waiters = new Map<number, Set<() => void>>();

  constructor(parts: ApprovalParts) {
    this.#parts = parts;
  }

  async obtain(request: Parameters<Approver["obtain"]>[0]): Promise<void> {
    const row = (await this.#known(request.caller, request.operation, request.digest)) ?? (await this.#ask(request));
    const settled = row.status === "pending" ? await this.wait(String(row.id), this.#parts.holdMs ?? HOLD_MS, request.signal) : row;
    if (settled.status === "pending")
      throw new ArgusError(
        "PENDING",
        `A person must allow this first. It waits as approval ${settled.id}; make the same call again after the answer.`,
        { pending: String(settled.id) },
      );
    if (settled.status !== "allowed")
      throw new ArgusError(
        "PERMISSION_DENIED",
        `${request.operation} was ${settled.status}${settled.resolved_by ? ` by ${settled.resolved_by}` : ""}.`,
        { approval: String(settled.id) },
      );
    const used = await this.#parts.store.db
      .updateTable("approvals")
      .set({ status: "used" })
      .where("id", "=", settled.id)
      .where("status", "=", "allowed")
      .executeTakeFirst();
    if (Number(used.numUpdatedRows) === 0)
      throw new ArgusError("PERMISSION_DENIED", `Approval ${settled.id} has been used already; it admits one call.`);
  }

  /** The same question still open, or just allowed. */
  async #known(caller: Caller, operation: string, digest: string): Promise<ApprovalRow | undefined> {
    await this.expire();
    return this.#parts.store.db
      .selectFrom("approvals")
      .selectAll()
      .where("requester", "=", caller.id)
      .where("operation", "=", operation)
      .where("digest", "=", digest)
      .where("status", "in", ["pending", "allowed"])
      .orderBy("id", "desc")
      .executeTakeFirst();
  }

  async #ask({ caller, operation, summary, input, digest }: Parameters<Approver["obtain"]>[0]): Promise<ApprovalRow> {
    const { store, events, clock, config, redactor } = this.#parts;
    const pending = await store.db
      .selectFrom("approvals")
      .select("id")
      .where("requester", "=", caller.id)
      .where("status", "=", "pending")
      .execute();
    if (pending.length >= MAX_PENDING)
      throw new ArgusError("RATE_LIMITED", `${caller.id} has ${MAX_PENDING} questions open. Wait for answers first.`);
    const now = clock.now();
    return events.change(async (tx, emit) => {
      const row = await tx
        .insertInto("approvals")
        .values({
          requester: caller.id,
          task_id: caller.taskId ?? null,
          operation,
          title: summary,
          summary: redactor.redact(JSON.stringify(input) ?? "").slice(0, SHOWN_SUMMARY),
          digest,
          status: "pending",
          created_at: now,
          expires_at: now + config.int("approval.ttl_seconds") * 1000,
          decision: null,
          resolved_by: null,
          surface: null,
          resolved_at: null,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
      emit("approval.requested", row.task_id, { id: String(row.id), title: row.title });
      return row;
    });
  }

  /** The approval once it is no longer pending, or as it is after `ms`. */
  async wait(id: string, ms: number, signal: AbortSignal): Promise<ApprovalRow> {
    let row = await this.find(id);
    if (row.status !== "pending" || ms === 0) return row;
    await new Promise<void>((resolve) => {
      const waiters = this.#waiters.get(row.id) ?? new Set();
      this.#waiters.set(row.id, waiters);
      const done = () => {
        clearTimeout(timer);
        waiters.delete(done);
        if (waiters.size === 0) this.#waiters.delete(row.id);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      waiters.add(done);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
    row = await this.find(id);
    return row;
  }

  async find(id: string): Promise<ApprovalRow> {
    await this.expire();
    const row = /^\d{1,15}$/.test(id)
      ? await this.#parts.store.db.selectFrom("approvals").selectAll().where("id", "=", Number(id)).executeTakeFirst()
      : undefined;
    if (!row) throw new ArgusError("NOT_FOUND", `There is no approval ${JSON.stringify(id.slice(0, 40))}.`);
    return row;
  }

  async list(filter: { status?: string | undefined; task_id?: string | undefined }): Promise<ApprovalRow[]> {
    await this.expire();
    let query = this.#parts.store.db.selectFrom("approvals").selectAll().orderBy("id").limit(500);
    if (filter.status) query = query.where("status", "=", filter.status);
    if (filter.task_id) query = query.where("task_id", "=", filter.task_id);
    return query.execute();
  }

  /** The first answer wins, by one conditional update (TOKEN-22). */
  async resolve(id: string, answer: Answer, digest: string, by: Caller): Promise<ApprovalRow> {
    if (by.kind === "task" || by.kind === "scope" || by.kind === "anonymous" || by.kind === "system")
      throw new ArgusError("PERMISSION_DENIED", "Only a person can answer an approval.");
    const row = await this.find(id);
    if (row.requester === by.id)
      throw new ArgusError("PERMISSION_DENIED", "Who asks cannot answer. Answer from another device or the owner's own command line.");
    if (row.digest !== digest)
      throw new ArgusError("CONFLICT", "The digest is not that of this request: what you saw is not what would run.");
    if (row.status === "expired") throw new ArgusError("GONE", `Approval ${id} expired at ${rfc3339(Number(row.expires_at))}.`);
    const status = answer === "deny" ? "denied" : "allowed";
    const { clock, events } = this.#parts;
    const won = await events.change(async (tx, emit) => {
      const done = await tx
        .updateTable("approvals")
        .set({ status, decision: answer, resolved_by: by.id, surface: by.surface, resolved_at: clock.now() })
        .where("id", "=", row.id)
        .where("status", "=", "pending")
        .executeTakeFirst();
      if (Number(done.numUpdatedRows) === 0) return false;
      emit("approval.resolved", row.task_id, { id, decision: answer });
      return true;
    });
    const after = await this.find(id);
    if (!won)
      throw new ArgusError(
        "CONFLICT",
        `Approval ${id} was ${after.status}${after.resolved_by ? ` by ${after.resolved_by}` : ""} already.`,
        { decision: after.decision, status: after.status },
      );
    this.#wake(row.id);
    return after;
  }

  /** Pending questions past their time count as denied; answers nobody used lapse. */
  async expire(): Promise<void> {
    const { store, events, clock } = this.#parts;
    const now = clock.now();
    const late = await store.db
      .selectFrom("approvals")
      .select(["id", "task_id"])
      .where("status", "=", "pending")
      .where("expires_at", "<", now)
      .execute();
    if (late.length > 0)
      await events.change(async (tx, emit) => {
        for (const { id, task_id } of late) {
          await tx
            .updateTable("approvals")
            .set({ status: "expired", decision: "deny", resolved_at: now })
            .where("id", "=", id)
            .where("status", "=", "pending")
            .execute();
          emit("approval.resolved", task_id, { id: String(id), decision: "expired" });
        }
      });
    for (const { id } of late) this.#wake(id);
    await store.db
      .updateTable("approvals")
      .set({ status: "lapsed" })
      .where("status", "=", "allowed")
      .where("resolved_at", "<", now - USABLE_MS)
      .execute();
  }

  /** The run that asked is gone (TOKEN-26). */
  async cancelOf(taskId: number): Promise<void> {
    const open = await this.#parts.store.db
      .selectFrom("approvals")
      .select("id")
      .where("task_id", "=", String(taskId))
      .where("status", "=", "pending")
      .execute();
    if (open.length === 0) return;
    await this.#parts.events.change(async (tx, emit) => {
      for (const { id } of open) {
        await tx
          .updateTable("approvals")
          .set({ status: "cancelled", decision: "requester gone", resolved_at: this.#parts.clock.now() })
          .where("id", "=", id)
          .where("status", "=", "pending")
          .execute();
        emit("approval.resolved", String(taskId), { id: String(id), decision: "cancelled" });
      }
    });
    for (const { id } of open) this.#wake(id);
  }

  #wake(id: number): void {
    for (const waiter of [...(this.#waiters.get(id) ?? [])]) waiter();
  }
}
