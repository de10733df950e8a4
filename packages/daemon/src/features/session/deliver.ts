/** Handing text to an agent without disturbing it, and asking what became of it. */
import { ArgusError } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { DEFAULT_DEADLINE_MS } from "./deliveries.ts";
import { taskId } from "./refs.ts";

const Status = z.object({
  delivery: z.string(),
  status: z
    .enum(["queued", "typed", "submitted", "expired"])
    .describe("submitted only when the prompt line emptied or a hook confirmed it"),
});
/** Below the 60 s after which clients of the tools give up. */
const LONGEST_WAIT_S = 25;

export const deliver = operation({
  name: "session.deliver",
  summary: "Hand text to an agent: typed and sent once it is idle and its prompt line is empty",
  tier: "write",
  input: z.object({
    ...taskId,
    text: z.string().min(1).max(32_768),
    deadline_seconds: z
      .number()
      .int()
      .min(1)
      .max(3600)
      .default(DEFAULT_DEADLINE_MS / 1000),
    wait_seconds: z.number().int().min(0).max(LONGEST_WAIT_S).default(LONGEST_WAIT_S).describe("Answer with the status so far after this"),
  }),
  output: Status,
  rest: { "POST /api/tasks/{id}/deliver": {} },
  positional: ["id", "text"],
}).run(async ({ id, text, deadline_seconds, wait_seconds }, { tasks, sessions, deliveries }, { caller, signal }) => {
  const row = await tasks.find({ id }, caller);
  sessions.find(row);
  const delivery = deliveries.deliver(row, text, { deadlineMs: deadline_seconds * 1000 });
  const limit = AbortSignal.any([signal, AbortSignal.timeout(wait_seconds * 1000)]);
  const { promise: waited, resolve } = Promise.withResolvers<void>();
  limit.addEventListener("abort", () => resolve(), { once: true });
  await Promise.race([delivery.done, waited]);
  return { delivery: delivery.id, status: delivery.status };
});

export const delivery = operation({
  name: "session.delivery",
  summary: "Ask what became of a delivery",
  tier: "readonly",
  input: z.object({ ...taskId, delivery: z.string().max(100) }),
  output: Status,
  rest: { "GET /api/tasks/{id}/deliveries/{delivery}": {} },
  positional: ["id", "delivery"],
}).run(async ({ id, delivery }, { tasks, deliveries }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const found = deliveries.find(delivery);
  if (found?.taskId !== row.id)
    throw new ArgusError(
      "NOT_FOUND",
      `Task ${row.id} has no delivery ${JSON.stringify(delivery)}; they are forgotten when the daemon restarts.`,
    );
  return { delivery, status: found.status };
});
