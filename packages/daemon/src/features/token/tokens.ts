/** Credentials: the master token's file, device and scope tokens as hashes, one token per run, and one-time login codes. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { ArgusError, reaches, type Tier } from "@argus/protocol";
import type { Generated } from "kysely";
import type { Caller } from "../../kernel/caller.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Store } from "../../kernel/database.ts";
import type { Events } from "../../kernel/events.ts";
import type { Redactor } from "../../kernel/redact.ts";

declare module "../../kernel/database.ts" {
  interface Tables {
    tokens: {
      id: Generated<number>;
      label: string;
      hash: string;
      last4: string;
      scope: string;
      tier: string;
      created_at: number;
      last_used: number | null;
      revoked_at: number | null;
    };
  }
}
declare module "../../kernel/operation.ts" {
  interface Services {
    tokens: Tokens;
  }
}

export interface TokenView {
  id: string;
  label: string;
  last4: string;
  tier: Tier;
  scope?: string;
  created_at: string;
  last_used: string | null;
}

const LAST_USED_STEP_MS = 30_000; // TOKEN-06 allows 60 s; a write per request would be waste
const LOGIN_CODE_MS = 15 * 60_000;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Compares without telling by its duration how much was right (TOKEN-02). */
function equal(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(sha256(a)), Buffer.from(sha256(b))];
  return timingSafeEqual(x, y);
}

export class Tokens {
  #store: Store;
  #events: Events;
  #clock: Clock;
  #redactor: Redactor;
  #file: string;
  #master: string;
  #used = new Map<number, number>();
  #codes = new Map<string, number>();

  constructor(parts: { store: Store; events: Events; clock: Clock; redactor: Redactor; home: string }) {
    this.#store = parts.store;
    this.#events = parts.events;
    this.#clock = parts.clock;
    this.#redactor = parts.redactor;
    this.#file = path.join(parts.home, "api-token");
    this.#master = this.#readMaster();
    parts.redactor.add(this.#master);
  }

  /** Made at first start: temporary file, then rename, so that a crash leaves it whole or absent (TOKEN-01). */
  #readMaster(): string {
    try {
      const text = fs.readFileSync(this.#file, "utf8").trim();
      if (/^[0-9a-f]{64}$/.test(text)) {
        fs.chmodSync(this.#file, 0o600);
        return text;
      }
    } catch {}
    return this.#writeMaster();
  }

  #writeMaster(): string {
    const token = randomBytes(32).toString("hex");
    const draft = `${this.#file}.${process.pid}.new`;
    fs.writeFileSync(draft, `${token}\n`, { mode: 0o600 });
    fs.renameSync(draft, this.#file);
    return token;
  }

  get master(): string {
    return this.#master;
  }

  /** A new master token; the old one is void at once (TOKEN-14). */
  async rotate(): Promise<void> {
    this.#redactor.remove(this.#master);
    this.#master = this.#writeMaster();
    this.#redactor.add(this.#master);
    await this.#events.change(async (_tx, emit) => emit("token.revoked", null, { id: "master" }));
  }

  /** Who presents this token; AUTH_REQUIRED when nobody does. */
  async authenticate(token: string, surface: Caller["surface"]): Promise<Caller> {
    if (equal(token, this.#master)) return { kind: "master", id: "master", tier: "admin", surface, tokenId: "master" };
    const hash = sha256(token);
    const row = await this.#store.db
      .selectFrom("tokens")
      .selectAll()
      .where("hash", "=", hash)
      .where("revoked_at", "is", null)
      .executeTakeFirst();
    if (row) {
      this.#touch(Number(row.id));
      const tokenId = String(row.id);
      if (row.scope) return { kind: "scope", id: `scope:${row.scope}`, tier: row.tier as Tier, surface, tokenId, scope: row.scope };
      return { kind: "device", id: `device:${row.id}`, tier: row.tier as Tier, surface, tokenId };
    }
    const run = await this.#store.db.selectFrom("runs").select(["task_id", "ended_at"]).where("token_hash", "=", hash).executeTakeFirst();
    if (run && run.ended_at === null)
      return { kind: "task", id: `task:${run.task_id}`, tier: "full", surface, taskId: String(run.task_id) };
    throw new ArgusError("AUTH_REQUIRED", "This token is unknown, revoked, or belongs to a run that has ended.");
  }

  #touch(id: number): void {
    const now = this.#clock.now();
    if (now - (this.#used.get(id) ?? 0) < LAST_USED_STEP_MS) return;
    this.#used.set(id, now);
    void this.#store.db
      .updateTable("tokens")
      .set({ last_used: now })
      .where("id", "=", id)
      .execute()
      .catch(() => {});
  }

  /** The plaintext is returned here and nowhere else. */
  async mint(
    label: string,
    options: { scope?: string; tier?: Tier } = {},
  ): Promise<{ id: string; label: string; token: string; tier: Tier }> {
    const ceiling: Tier = options.scope ? "write" : "full";
    const tier = options.tier ?? ceiling;
    if (!reaches(ceiling, tier))
      throw new ArgusError("INVALID_INPUT", `A ${options.scope ? "scope" : "device"} token reaches at most tier ${ceiling}.`);
    const token = `argus_${randomBytes(32).toString("base64url")}`;
    const { id } = await this.#store.db
      .insertInto("tokens")
      .values({
        label,
        hash: sha256(token),
        last4: token.slice(-4),
        scope: options.scope ?? "",
        tier,
        created_at: this.#clock.now(),
        last_used: null,
        revoked_at: null,
      })
      .returning("id")
      .executeTakeFirstOrThrow();
    return { id: String(id), label, token, tier };
  }

  async revoke(id: string): Promise<void> {
    const changed = await this.#events.change(async (tx, emit) => {
      const done = await tx
        .updateTable("tokens")
        .set({ revoked_at: this.#clock.now() })
        .where("id", "=", Number(id))
        .where("revoked_at", "is", null)
        .executeTakeFirst();
      if (Number(done.numUpdatedRows) > 0) emit("token.revoked", null, { id });
      return Number(done.numUpdatedRows);
    });
    if (changed === 0) throw new ArgusError("NOT_FOUND", `There is no token ${JSON.stringify(id)} that could be revoked.`);
  }

  async list(): Promise<TokenView[]> {
    const rows = await this.#store.db.selectFrom("tokens").selectAll().where("revoked_at", "is", null).orderBy("id").execute();
    return rows.map((row) => ({
      id: String(row.id),
      label: row.label,
      last4: row.last4,
      tier: row.tier as Tier,
      ...(row.scope && { scope: row.scope }),
      created_at: new Date(Number(row.created_at)).toISOString(),
      last_used:
        row.last_used === null ? null : new Date(Math.max(Number(row.last_used), this.#used.get(Number(row.id)) ?? 0)).toISOString(),
    }));
  }

  /** A code for one login within 15 minutes. */
  loginCode(): string {
    const code = randomBytes(16).toString("base64url");
    this.#codes.set(sha256(code), this.#clock.now() + LOGIN_CODE_MS);
    this.#redactor.add(code);
    return code;
  }

  /** Turns a login code into a device token, once. */
  async login(code: string, label: string): Promise<{ id: string; label: string; token: string; tier: Tier }> {
    const hash = sha256(code);
    const expires = this.#codes.get(hash);
    this.#codes.delete(hash);
    if (expires === undefined || expires < this.#clock.now())
      throw new ArgusError("AUTH_REQUIRED", "This login link is unknown, used or expired. `argus login` on the machine prints a new one.");
    return this.mint(label);
  }
}
