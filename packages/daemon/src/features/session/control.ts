/** Starting again, stopping, typing, resizing: the operations that act on a session. */
import { ArgusError } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { taskId, taskRef } from "./refs.ts";

const Resumed = z.object({ status: z.enum(["resumed", "healed"]), pid: z.number(), note: z.string().optional() });
const size = {
  cols: z.number().int().min(1).max(1000).optional(),
  rows: z.number().int().min(1).max(1000).optional(),
};
const MAX_INPUT_BYTES = 65_536;

export const stop = operation({
  name: "task.stop",
  summary: "Stop the agent of a task; the task moves to in review",
  tier: "write",
  input: z.object(taskId),
  output: z.object({ status: z.literal("stopped") }),
  rest: { "POST /api/tasks/{id}/stop": {} },
  as: { mcp: "task_stop" },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { status: "stopped" } },
}).run(async (ref, { tasks, sessions }, { caller }) => {
  const row = await tasks.find(ref, caller);
  await sessions.end(row);
  const after = await tasks.byId(String(row.id));
  // Stopped means review, never pending: it was worked on (TASK-17).
  if (after.status === "in_progress") await tasks.setStatus(after, "in_review");
  return { status: "stopped" as const };
});

const startAgain = (name: string, summary: string, path: string, mcp: string) =>
  operation({
    name,
    summary,
    tier: "write",
    input: z.object({ ...taskId, ...size }),
    output: Resumed,
    rest: { [path]: {} },
    as: { mcp },
    positional: ["id"],
    example: { given: "task:stopped", input: { id: "$task" }, output: { status: "resumed" } },
  }).run(async ({ cols, rows, ...ref }, { tasks, sessions, launcher }, { caller }) => {
    const row = await tasks.find(ref, caller);
    const live = sessions.live.get(row.id);
    if (live && !live.starting && row.status !== "in_progress") {
      await tasks.setStatus(row, "in_progress");
      return { status: "healed" as const, pid: live.pid };
    }
    const { pid, note } = await launcher.start(row, { resume: true, ...(cols && { cols }), ...(rows && { rows }) });
    return { status: "resumed" as const, pid, ...(note && { note }) };
  });

export const resume = startAgain(
  "task.resume",
  "Start the agent again in the same worktree with its conversation",
  "POST /api/tasks/{id}/resume",
  "task_resume",
);
export const restart = startAgain(
  "task.restart",
  "Start a finished session again in the same worktree with its conversation",
  "POST /api/tasks/{id}/restart",
  "task_restart",
);

const freeze = (name: string, paused: boolean, summary: string, path: string) =>
  operation({
    name,
    summary,
    tier: "write",
    input: z.object(taskId),
    output: z.object({ status: z.enum(["paused", "continued"]) }),
    rest: { [path]: {} },
    positional: ["id"],
    example: { given: "task:idle", input: { id: "$task" }, output: { status: paused ? "paused" : "continued" } },
  }).run(async (ref, { tasks, sessions }, { caller }) => {
    const row = await tasks.find(ref, caller);
    await sessions.pause(sessions.find(row), paused);
    return { status: paused ? ("paused" as const) : ("continued" as const) };
  });

export const pause = freeze("session.pause", true, "Freeze the agent of a task where it is", "POST /api/tasks/{id}/pause");
export const goOn = freeze("session.continue", false, "Let a frozen agent go on", "POST /api/tasks/{id}/continue");

export const stopAll = operation({
  name: "session.stop_all",
  summary: "Stop every running session",
  tier: "write",
  input: z.object({}),
  output: z.object({ stopped: z.number().int() }),
  rest: { "POST /api/sessions/stop-all": {} },
  example: { input: {}, output: { stopped: 0 } },
}).run(async (_input, { tasks, sessions }) => {
  const ends = await Promise.all(
    [...sessions.live.values()].map(async (live) => {
      const row = await tasks.byId(String(live.taskId));
      const ended = await sessions.end(row);
      const after = await tasks.byId(String(live.taskId));
      if (after.status === "in_progress") await tasks.setStatus(after, "in_review");
      return ended;
    }),
  );
  return { stopped: ends.filter(Boolean).length };
});

export const input = operation({
  name: "session.input",
  summary: "Type into the terminal of a task's agent",
  tier: "write",
  input: z
    .object({
      ...taskId,
      text: z.string().optional().describe("Text to type; a carriage return submits"),
      base64: z.base64().optional().describe("Raw bytes instead of text"),
    })
    .refine((value) => (value.text === undefined) !== (value.base64 === undefined), "pass text or base64, one of the two"),
  output: z.object({ status: z.literal("ok"), bytes: z.string() }),
  rest: { "POST /api/tasks/{id}/input": {} },
  rawBody: "base64",
  auditSoon: true,
  positional: ["id", "text"],
  example: { given: "task:echo", input: { id: "$task", text: "hi\r" }, output: { status: "ok", bytes: "3" } },
}).run(async ({ id, text, base64 }, { tasks, sessions, node }, { caller }) => {
  const bytes = text !== undefined ? Buffer.from(text) : Buffer.from(base64 ?? "", "base64");
  if (bytes.length > MAX_INPUT_BYTES)
    throw new ArgusError("TOO_LARGE", `At most ${MAX_INPUT_BYTES} bytes at a time; these are ${bytes.length}. Send them in parts.`);
  if (bytes.length === 0) throw new ArgusError("INVALID_INPUT", "There is nothing to type: the body is empty.");
  // A live session is known without asking the store: between a key and its echo a query is the longest step.
  const live = sessions.running(id) ?? sessions.find(await tasks.find({ id }, caller));
  await node.sessions.input(live.id, bytes);
  return { status: "ok" as const, bytes: String(bytes.length) };
});

export const getSize = operation({
  name: "session.size",
  summary: "Show the size of a task's terminal",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ cols: z.number(), rows: z.number() }),
  rest: { "GET /api/tasks/{id}/size": {} },
  positional: ["id"],
  example: { given: "task:idle", input: { id: "$task" }, output: { cols: 80, rows: 24 } },
}).run(async (ref, { tasks, sessions, node }, { caller }) => {
  const live = sessions.find(await tasks.find(ref, caller));
  const info = (await node.sessions.list()).find((session) => session.id === live.id);
  if (!info || info.exit) throw new ArgusError("NOT_FOUND", "no active session");
  return { cols: info.cols, rows: info.rows };
});

export const resize = operation({
  name: "session.resize",
  summary: "Say how large a viewer's window is; the terminal takes the smallest of all viewers",
  tier: "write",
  input: z.object({
    ...taskId,
    cols: z.number().int().min(1).max(1000),
    rows: z.number().int().min(1).max(1000),
    viewer: z.string().max(64).optional().describe("The viewer this size is for, as named on its stream"),
  }),
  output: z.object({ cols: z.number(), rows: z.number(), rerendered: z.boolean() }),
  rest: { "POST /api/tasks/{id}/resize": {} },
  positional: ["id", "cols", "rows"],
  example: { given: "task:idle", input: { id: "$task", cols: 90, rows: 30 }, output: { cols: 90, rows: 30, rerendered: false } },
}).run(async ({ id, cols, rows, viewer }, { tasks, sessions, node, rerender }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const live = sessions.live.get(row.id);
  if (!live || live.starting) return { cols, rows, rerendered: false }; // after the exit nothing changes, and that is no error
  const now = await node.sessions.resize(live.id, cols, rows, viewerName(caller, viewer));
  return { ...now, rerendered: await rerender.consider(row, live, now) };
});

/** A viewer without a name of its own is its token (REST-42). */
export function viewerName(caller: { id: string }, viewer: string | undefined): string {
  return viewer ? `${caller.id}/${viewer}` : caller.id;
}

export const report = operation({
  name: "session.report",
  summary: "Tell the state of the calling agent (for harness hooks)",
  tier: "write",
  input: z.object({ ...taskRef, state: z.enum(["working", "idle", "needs_input"]), evidence: z.string().max(200).default("") }),
  output: z.object({ status: z.literal("ok") }),
  rest: { "POST /api/tasks/{id}/report": {} },
}).run(async ({ state, evidence, ...ref }, { tasks, sessions }, { caller }) => {
  const row = await tasks.find(ref, caller);
  // Without a proof of who speaks, any program of this machine could say that an agent is done.
  if (caller.kind === "anonymous" || caller.kind === "scope" || (caller.kind === "task" && caller.taskId !== String(row.id)))
    throw new ArgusError("PERMISSION_DENIED", `A report about task ${row.id} must come with that task's own token.`);
  sessions.claim(sessions.find(row), state, evidence || `The agent's hook said ${state}`);
  return { status: "ok" as const };
});
