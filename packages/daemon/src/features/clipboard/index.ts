/** The staged clipboard: an agent puts text where the person at a phone or terminal can take it with one tap. */
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { taskId, taskRef } from "../session/index.ts";

export { Clipboard } from "./slots.ts";

const get = operation({
  name: "clipboard.get",
  summary: "Show the text that is staged for copying",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ text: z.string().nullable() }),
  rest: { "GET /api/tasks/{id}/clipboard": {} },
  present: ({ text }) =>
    text === null ? { body: "", type: "", status: 204 } : { body: JSON.stringify({ text }), type: "application/json" },
  positional: ["id"],
}).run(async (ref, { tasks, clipboard }, { caller }) => ({ text: clipboard.get((await tasks.find(ref, caller)).id) }));

const set = operation({
  name: "clipboard.set",
  summary: "Stage text for the user to copy; kept 5 minutes, the last write wins",
  tier: "write",
  input: z.object({ text: z.string().min(1).describe("At most 1 MiB"), ...taskRef }),
  output: z.object({ status: z.literal("staged") }),
  rest: { "POST /api/tasks/{id}/clipboard": {} },
  as: { mcp: "argus_clipboard_set" },
  example: { given: "task:idle", input: { id: "$task", text: "npm test" }, output: { status: "staged" } },
}).run(async ({ text, ...ref }, { tasks, clipboard }, { caller }) => {
  clipboard.set((await tasks.find(ref, caller)).id, text);
  return { status: "staged" as const };
});

const clear = operation({
  name: "clipboard.clear",
  summary: "Clear the staged text, as after copying it",
  tier: "write",
  input: z.object(taskId),
  output: z.object({ status: z.literal("cleared") }),
  rest: { "DELETE /api/tasks/{id}/clipboard": {} },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "cleared" } },
}).run(async (ref, { tasks, clipboard }, { caller }) => {
  clipboard.clear((await tasks.find(ref, caller)).id);
  return { status: "cleared" as const };
});

export const operations = [get, set, clear];
