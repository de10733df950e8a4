/** The operations on creations under way: look, follow, cancel. */
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

const View = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  step: z.string().describe("waiting, fetch, worktree, files, copy, setup: <command>, row, start"),
  started_at: z.string(),
  step_since: z.string(),
});

export const creations = operation({
  name: "task.creations",
  summary: "List the tasks that are being created and the step each is at",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ creations: z.array(View) }),
  rest: { "GET /api/creations": {} },
  example: { input: {}, output: { creations: [] } },
}).run((_input, { creation }) => ({ creations: creation.ongoing.list() }));

export const watchCreations = operation({
  name: "task.watch_creations",
  summary: "Follow the tasks that are being created: at each change, and every second while there are any",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ creations: z.array(View) }),
  rest: { "GET /api/creations/stream": {} },
}).generate(async function* (_input, { creation }, { signal }) {
  for await (const creations of creation.ongoing.watch(signal)) yield { creations };
});

export const cancelCreation = operation({
  name: "task.cancel_creation",
  summary: "Cancel a task that is being created; nothing is left of it",
  tier: "write",
  note: "An agent cancels only what it created itself.",
  input: z.object({ creation: z.string().max(40).describe("Id of the creation, from task.creations") }),
  output: z.object({ status: z.literal("cancelled") }),
  rest: { "DELETE /api/creations/{creation}": {} },
  positional: ["creation"],
}).run(({ creation: id }, { creation }, { caller }) => {
  creation.ongoing.cancel(id, caller);
  return { status: "cancelled" as const };
});
