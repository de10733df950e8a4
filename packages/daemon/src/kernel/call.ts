/** The gate: the one way to run an operation, whoever asks and through whatever surface. */
import { createHash } from "node:crypto";
import { ArgusError, toArgusError } from "@argus/protocol";
import type { z } from "zod";
import type { Audit } from "./audit.ts";
import { type Caller, mayRun } from "./caller.ts";
import type { Clock } from "./clock.ts";
import type { Store } from "./database.ts";
import type { Log } from "./log.ts";
import type { AnyOperation, Context, Services } from "./operation.ts";
import { DEFAULT_RULES, decide, type PolicyRule } from "./policy.ts";
import type { Registry } from "./registry.ts";

declare module "./database.ts" {
  interface Tables {
    replies: { caller: string; operation: string; key: string; digest: string; reply: string; at: number };
  }
}

/** TASK-10: how long a repeated request finds its first reply. */
const REPLY_KEPT_MS = 24 * 3600 * 1000;
const LONGEST_KEY = 200;
/** A reply above this is not stored: the operations worth repeating safely answer with small objects. */
const LARGEST_STORED_REPLY = 256 * 1024;

export interface CallOptions {
  caller: Caller;
  /** Idempotency key: the same key with the same input gets the first reply again. */
  key?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** What the gate asks of the approvals feature; set when that feature starts. */
export interface Approver {
  /** Resolves when a person allowed exactly this call; rejects when denied, expired, or still pending after the holding time. */
  obtain(request: {
    caller: Caller;
    operation: string;
    summary: string;
    input: unknown;
    digest: string;
    signal: AbortSignal;
  }): Promise<void>;
}

export interface GateParts {
  registry: Registry;
  services: Services;
  store: Store;
  audit: Audit;
  clock: Clock;
  log: Log;
  /** In tests and development a reply that breaks its own schema is an error. */
  checkReplies: boolean;
  rules?: PolicyRule[];
}

export class Gate {
  readonly registry: Registry;
  approver: Approver | null = null;
  #parts: GateParts;
  #rules: PolicyRule[];
  #running = new Map<string, Promise<unknown>>();
  #stopping = new AbortController();

  constructor(parts: GateParts) {
    this.registry = parts.registry;
    this.#parts = parts;
    this.#rules = parts.rules ?? DEFAULT_RULES;
  }

  /** One request, one reply. */
  async call(name: string, input: unknown, options: CallOptions): Promise<unknown> {
    const started = performance.now();
    const operation = this.registry.find(name);
    if (operation.stream)
      throw new ArgusError("INVALID_INPUT", `${name} answers with a stream; ask for it over a surface that can stream.`);
    let rule = "tier";
    let parsed: unknown = input;
    try {
      parsed = parse(operation, input);
      rule = await this.#authorize(operation, parsed, options);
      const reply =
        options.key === undefined ? await this.#run(operation, parsed, options) : await this.#once(operation, parsed, options, options.key);
      await this.#record(operation, parsed, options.caller, "ok", started, rule);
      return reply;
    } catch (thrown) {
      const error = toArgusError(thrown);
      if (error.code === "INTERNAL") this.#parts.log.error({ operation: name, err: thrown }, "operation failed");
      await this.#record(operation, parsed, options.caller, error.code, started, rule);
      throw error;
    }
  }

  /** One request, many items. Rejects before the first item when the request is refused; audited when it starts. The caller ends it by aborting `signal`. */
  async open(name: string, input: unknown, options: CallOptions & { signal: AbortSignal }): Promise<AsyncIterable<unknown>> {
    const started = performance.now();
    const operation = this.registry.find(name);
    if (!operation.stream) throw new ArgusError("INVALID_INPUT", `${name} has one reply, not a stream.`);
    try {
      const parsed = parse(operation, input);
      const rule = await this.#authorize(operation, parsed, options);
      const items = (await operation.handler(parsed, this.#parts.services, this.#context(options))) as AsyncIterable<unknown>;
      await this.#record(operation, parsed, options.caller, "ok", started, rule);
      return items;
    } catch (thrown) {
      const error = toArgusError(thrown);
      if (error.code === "INTERNAL") this.#parts.log.error({ operation: name, err: thrown }, "stream failed");
      await this.#record(operation, input, options.caller, error.code, started, "tier");
      throw error;
    }
  }

  /** Ends whatever still waits, when the daemon stops. */
  stop(): void {
    this.#stopping.abort(new ArgusError("UNAVAILABLE", "The daemon is stopping. Try again in a moment."));
  }

  /** Forgets replies older than a day. */
  async forgetReplies(): Promise<void> {
    await this.#parts.store.db
      .deleteFrom("replies")
      .where("at", "<", this.#parts.clock.now() - REPLY_KEPT_MS)
      .execute();
  }

  async #authorize(operation: AnyOperation, input: unknown, { caller, signal }: CallOptions): Promise<string> {
    if (!mayRun(caller, operation.tier, input))
      throw new ArgusError(
        "PERMISSION_DENIED",
        `${operation.name} needs tier ${operation.tier}; ${caller.id} has ${caller.tier}. ${operation.tier === "admin" ? "Use the master token or the owner's own command line." : "Ask the owner for a token of a higher tier."}`,
      );
    const { decision, rule } = decide(this.#rules, caller, operation);
    if (decision === "deny") throw new ArgusError("PERMISSION_DENIED", `The rule ${rule} forbids ${operation.name} to ${caller.id}.`);
    if (decision === "ask") {
      if (!this.approver)
        throw new ArgusError("PERMISSION_DENIED", `${operation.name} needs a person's approval, and nobody can be asked.`);
      await this.approver.obtain({
        caller,
        operation: operation.name,
        summary: operation.summary,
        input,
        digest: digestOf(operation.name, input),
        signal: signal ?? this.#stopping.signal,
      });
    }
    return rule;
  }

  async #run(operation: AnyOperation, input: unknown, options: CallOptions): Promise<unknown> {
    const reply = await operation.handler(input, this.#parts.services, this.#context(options));
    if (!this.#parts.checkReplies) return reply;
    const checked = operation.output.safeParse(reply);
    if (!checked.success) throw new Error(`${operation.name} answered against its own schema: ${problems(checked.error)}`);
    return reply;
  }

  async #once(operation: AnyOperation, input: unknown, options: CallOptions, key: string): Promise<unknown> {
    if (key.length === 0 || key.length > LONGEST_KEY)
      throw new ArgusError("INVALID_INPUT", `An idempotency key has 1 to ${LONGEST_KEY} characters; this one has ${key.length}.`);
    const { store, clock } = this.#parts;
    const place = { caller: options.caller.id, operation: operation.name, key };
    const digest = digestOf(operation.name, input);
    const slot = JSON.stringify(place);
    for (let running = this.#running.get(slot); running; running = this.#running.get(slot)) await running.catch(() => {});
    const work = (async () => {
      const known = await store.db
        .selectFrom("replies")
        .selectAll()
        .where("caller", "=", place.caller)
        .where("operation", "=", place.operation)
        .where("key", "=", key)
        .executeTakeFirst();
      if (known && Number(known.at) > clock.now() - REPLY_KEPT_MS) {
        if (known.digest !== digest)
          throw new ArgusError(
            "CONFLICT",
            `The idempotency key ${JSON.stringify(key)} was used for a different ${operation.name}. Use a new key.`,
          );
        return JSON.parse(known.reply) as unknown;
      }
      const reply = await this.#run(operation, input, options);
      const text = JSON.stringify(operation.shownOnce ? blanked(reply, operation.shownOnce) : (reply ?? null));
      if (text.length <= LARGEST_STORED_REPLY)
        await store.db
          .insertInto("replies")
          .values({ ...place, digest, reply: text, at: clock.now() })
          .onConflict((on) => on.columns(["caller", "operation", "key"]).doUpdateSet({ digest, reply: text, at: clock.now() }))
          .execute();
      return reply;
    })();
    this.#running.set(slot, work);
    try {
      return await work;
    } finally {
      this.#running.delete(slot);
    }
  }

  #context({ caller, signal }: CallOptions): Context {
    return { caller, signal: signal ? AbortSignal.any([signal, this.#stopping.signal]) : this.#stopping.signal, log: this.#parts.log };
  }

  async #record(operation: AnyOperation, input: unknown, caller: Caller, outcome: string, started: number, rule: string): Promise<void> {
    if (operation.tier === "readonly" && outcome !== "PERMISSION_DENIED") return; // TOKEN-19
    const id = (input as { id?: unknown } | null)?.id;
    const taskId = typeof id === "string" && /^\d{1,18}$/.test(id) ? id : (caller.taskId ?? null);
    const entry = { caller, operation: operation.name, taskId, outcome, durationMs: performance.now() - started, rule };
    if (operation.auditSoon) return this.#parts.audit.recordSoon(entry);
    await this.#parts.audit.record(entry).catch((thrown) => {
      this.#parts.log.error({ err: thrown, operation: operation.name }, "audit row could not be written");
    });
  }
}

function blanked(reply: unknown, fields: string[]): Record<string, unknown> {
  return { ...(reply as Record<string, unknown>), ...Object.fromEntries(fields.map((field) => [field, ""])) };
}

/** Deeper values are nobody's data, and end the stack of whatever walks them. */
const DEEPEST = 200;

function tooDeep(value: unknown): boolean {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEEPEST) return true;
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return false;
}

function parse(operation: AnyOperation, input: unknown): unknown {
  if (tooDeep(input)) throw new ArgusError("INVALID_INPUT", `${operation.name}: the input is nested more than ${DEEPEST} levels deep.`);
  const parsed = operation.input.safeParse(input ?? {});
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "(body)");
  throw new ArgusError("INVALID_INPUT", `${operation.name}: ${problems(parsed.error)}`, { fields });
}

/** Every problem at once: nobody likes to fix a form field by field. */
function problems(error: z.ZodError): string {
  return error.issues
    .slice(0, 20)
    .map((issue) => `${issue.path.length > 0 ? `${issue.path.join(".")}: ` : ""}${issue.message}`)
    .join("; ");
}

/** SHA-256 over the operation and its input in canonical order. */
export function digestOf(operation: string, input: unknown): string {
  return createHash("sha256").update(operation).update("\0").update(canonical(input)).digest("hex");
}

/** JSON with sorted keys, so that equal values have equal text. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
