/** Reading a session: its stream, its recent output, its links. */
import { ArgusError } from "@argus/protocol";
import { cleanOutput, extractLinks } from "@argus/runner";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { viewerName } from "./control.ts";
import { taskId } from "./refs.ts";

const StreamItem = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("snapshot"), offset: z.number(), cols: z.number(), rows: z.number(), base64: z.string() }),
  z.object({ kind: z.literal("bytes"), offset: z.number().describe("Offset after these bytes"), base64: z.string() }),
  z.object({ kind: z.literal("size"), cols: z.number(), rows: z.number() }).describe("What follows was drawn for this size"),
  z.object({ kind: z.literal("clipboard"), text: z.string().nullable().describe("null: nothing is staged any more") }),
  z.object({ kind: z.literal("exit"), pending_restart: z.boolean() }),
]);
type StreamItem = z.infer<typeof StreamItem>;

/** Bytes handed over but not yet taken; above it the supervisor is not acknowledged and decides about this viewer by itself. */
const QUEUE_BYTES = 512 * 1024;
/** One item of what an ended session still owed a slow viewer. */
const REST_BYTES = 64 * 1024;

export const stream = operation({
  name: "session.stream",
  summary: "Watch a task's terminal: a snapshot, then every byte",
  tier: "readonly",
  input: z.object({
    ...taskId,
    since: z.coerce.number().int().min(0).optional().describe("Continue after this offset"),
    viewer: z.string().max(64).optional(),
  }),
  output: StreamItem,
  rest: { "GET /api/tasks/{id}/stream": {} },
  sse: (item) => {
    if (item.kind === "exit") return { event: "exit", data: item.pending_restart ? '{"pending_restart":true}' : "{}" };
    if (item.kind === "clipboard") return { event: "clipboard", data: JSON.stringify({ text: item.text }) };
    if (item.kind === "size") return { event: "size", data: JSON.stringify({ cols: item.cols, rows: item.rows }) };
    return { id: String(item.offset), data: item.base64 };
  },
  positional: ["id"],
}).generate(async ({ id, since, viewer }, { tasks, sessions, node, launcher, clipboard }, { caller, signal }) => {
  const row = await tasks.find({ id }, caller);
  const live = sessions.find(row);
  const queue: StreamItem[] = [];
  let queued = 0;
  let wake: (() => void) | undefined;
  /** Offset after the last byte of the run, once it has ended. */
  let total = 0;
  const drained: (() => void)[] = [];
  /** The newest size told, or null while it has not changed. */
  let resized: { cols: number; rows: number } | null = null;
  const push = (item: StreamItem, size: number): void | Promise<void> => {
    queue.push(item);
    queued += size;
    wake?.();
    if (queued > QUEUE_BYTES) return new Promise((resolve) => drained.push(resolve));
  };
  const unview = await sessions.view(row);
  const unended = sessions.onEnded((taskId, exit) => {
    if (taskId !== row.id || exit.run !== live.run) return;
    total = exit.total;
    void push({ kind: "exit", pending_restart: exit.pendingRestart }, 0);
  });
  const unstaged = clipboard.onChange((taskId, text) => {
    if (taskId === row.id) void push({ kind: "clipboard", text }, 0);
  });
  const staged = clipboard.get(row.id);
  if (staged !== null) void push({ kind: "clipboard", text: staged }, 0);
  const watch = await node.sessions
    .watch(
      live.id,
      {
        onSnapshot: ({ offset, cols, rows, data }) => {
          // A redraw for 40 rows on a screen of 30 lands in the wrong place, and server-sent events have no other room for it.
          void push({ kind: "size", cols, rows }, 0);
          void push({ kind: "snapshot", offset, cols, rows, base64: data.toString("base64") }, data.length);
          // A redraw takes a moment to make, and the notice of a new size does not wait for it.
          if (resized && (resized.cols !== cols || resized.rows !== rows)) void push({ kind: "size", ...resized }, 0);
        },
        onResize: (cols, rows) => {
          resized = { cols, rows };
          void push({ kind: "size", cols, rows }, 0);
        },
        onOutput: (offset, bytes) => push({ kind: "bytes", offset: offset + bytes.length, base64: bytes.toString("base64") }, bytes.length),
        onExit: () => {}, // told by onEnded, once the record is stored
      },
      { ...(since !== undefined && { since }), viewer: viewerName(caller, viewer) },
    )
    .catch((thrown: unknown) => {
      unview();
      unended();
      unstaged();
      throw thrown;
    });
  const end = () => {
    watch.close();
    unview();
    unended();
    unstaged();
    for (const resolve of drained.splice(0)) resolve();
    wake?.();
  };
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return items();

  async function* items(): AsyncGenerator<StreamItem> {
    let at: number | null = since ?? null;
    try {
      while (!signal.aborted) {
        const item = queue.shift();
        if (!item) {
          queued = 0;
          for (const resolve of drained.splice(0)) resolve();
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (queue.length > 0 || signal.aborted) resolve();
          });
          continue;
        }
        if (item.kind === "exit") {
          // The supervisor forgot the session while this viewer was behind: the rest is in the log.
          for (let from: number = at ?? total; from < total; ) {
            const { bytes } = await node.sessions.readLog(launcher.logOf(row.id), from, Math.min(total - from, REST_BYTES));
            if (bytes.length === 0) break;
            from += bytes.length;
            yield { kind: "bytes", offset: from, base64: bytes.toString("base64") };
          }
          yield item;
          return;
        }
        if (item.kind === "snapshot" || item.kind === "bytes") at = item.offset;
        yield item;
      }
    } finally {
      signal.removeEventListener("abort", end);
      end();
    }
  }
});

const DEFAULT_OUTPUT_BYTES = 32_768;
const MAX_OUTPUT_BYTES = 1_048_576;

export const output = operation({
  name: "session.output",
  summary: "Show the recent output of a task",
  tier: "readonly",
  input: z.object({
    ...taskId,
    bytes: z.coerce.number().int().min(1).default(DEFAULT_OUTPUT_BYTES),
    clean: z.stringbool().or(z.boolean()).default(false).describe("Without escape sequences and screen furniture"),
  }),
  output: z.object({ text: z.string(), source: z.enum(["live", "log"]), total: z.number() }),
  rest: { "GET /api/tasks/{id}/output": {} },
  present: ({ text, source, total }) => ({
    body: text,
    type: "text/plain; charset=utf-8",
    headers: { "X-Source": source, "X-Output-Total": String(total) },
  }),
  positional: ["id"],
  example: { given: "task:echo", input: { id: "$task" } },
}).run(async ({ id, bytes, clean }, { tasks, sessions, node, launcher }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const max = Math.min(bytes, MAX_OUTPUT_BYTES);
  const log = launcher.logOf(row.id);
  const { total } = await node.sessions.readLog(log, 0, 0);
  const live = sessions.live.get(row.id);
  if (total === 0 && !live) throw new ArgusError("NOT_FOUND", `Task ${row.id} has written nothing yet.`);
  const tail = await node.sessions.readLog(log, Math.max(0, total - max), max);
  return {
    text: clean ? cleanOutput(tail.bytes) : tail.bytes.toString("utf8"),
    source: live ? ("live" as const) : ("log" as const),
    total,
  };
});

export const history = operation({
  name: "session.history",
  summary: "Read a task's output from any offset, back to its first byte",
  tier: "readonly",
  input: z.object({
    ...taskId,
    offset: z.coerce.number().int().min(0).default(0),
    bytes: z.coerce.number().int().min(1).max(MAX_OUTPUT_BYTES).default(65_536),
  }),
  output: z.object({ base64: z.string(), offset: z.number(), total: z.number(), oldest: z.number() }),
  rest: { "GET /api/tasks/{id}/history": {} },
  positional: ["id"],
}).run(async ({ id, offset, bytes }, { tasks, node, launcher }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const part = await node.sessions.readLog(launcher.logOf(row.id), offset, bytes);
  return { base64: part.bytes.toString("base64"), offset: part.offset, total: part.total, oldest: part.oldest };
});

/** Links older than this much output have scrolled out of anybody's mind. */
const LINK_WINDOW_BYTES = 4 * 1024 * 1024;

export const links = operation({
  name: "session.links",
  summary: "List the web addresses in a task's output",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ links: z.array(z.object({ label: z.string(), url: z.string() })) }),
  rest: { "GET /api/tasks/{id}/links": {} },
  positional: ["id"],
  example: { given: "task:echo", input: { id: "$task" }, output: { links: [] } },
}).run(async ({ id }, { tasks, node, launcher }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const log = launcher.logOf(row.id);
  const { total } = await node.sessions.readLog(log, 0, 0);
  const tail = await node.sessions.readLog(log, Math.max(0, total - LINK_WINDOW_BYTES), LINK_WINDOW_BYTES);
  return { links: extractLinks(tail.bytes) };
});

export const screen = operation({
  name: "session.screen",
  summary: "Show the visible screen of a task's terminal as text",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ rows: z.array(z.string()), cursor: z.object({ x: z.number(), y: z.number() }), offset: z.number() }),
  rest: { "GET /api/tasks/{id}/screen": {} },
  positional: ["id"],
}).run(async ({ id }, { tasks, sessions, node }, { caller }) => {
  const live = sessions.find(await tasks.find({ id }, caller));
  const snapshot = await node.sessions.snapshot(live.id, { scrollback: 0 });
  return { rows: snapshot.text, cursor: snapshot.cursor, offset: snapshot.offset };
});

export const attach = operation({
  name: "session.attach",
  summary: "Say where a viewer on this machine finds the session",
  tier: "write",
  input: z.object(taskId),
  output: z.object({ session: z.string(), socket: z.string(), name: z.string() }),
  positional: ["id"],
}).run(async ({ id }, { tasks, sessions, paths }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const live = sessions.find(row);
  const looked = await sessions.view(row);
  looked();
  return { session: live.id, socket: paths.supervisorSocket, name: row.name };
});
