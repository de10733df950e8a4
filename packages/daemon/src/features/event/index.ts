/** The event feed. */
import { z } from "zod";
import type { Events } from "../../kernel/events.ts";
import { operation } from "../../kernel/operation.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    events: Events;
  }
}

const stream = operation({
  name: "event.stream",
  summary: "Follow the numbered log of events",
  tier: "readonly",
  input: z.object({ since: z.coerce.number().int().min(0).optional().describe("Replay everything after this id first") }),
  output: z.object({
    id: z.number(),
    type: z.string(),
    at: z.string(),
    task_id: z.string().nullable(),
    payload: z.record(z.string(), z.unknown()),
  }),
  rest: { "GET /api/events/stream": {} },
  sse: (event) => ({ id: String(event.id), event: event.type, data: JSON.stringify(event) }),
}).generate(({ since }, { events }, { signal }) => events.stream(since, signal));

export const operations = [stream];
