/** Uploads in the middle of a session, and the conversations of a worktree. */
import { ArgusError } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { taskId } from "./refs.ts";

// The same as the runner's, told before anything is decoded into a worktree.
const FILE_BYTES = 10_000_000;
const TOTAL_BYTES = 50_000_000;
const MAX_FILES = 20;

export const uploadedFiles = z.array(z.object({ name: z.string(), base64: z.string() }));

/** Decodes uploads and holds them against the caps of SESSION-41. */
export function decodeFiles(files: z.infer<typeof uploadedFiles>): { name: string; bytes: Buffer }[] {
  if (files.length > MAX_FILES) throw new ArgusError("TOO_LARGE", `At most ${MAX_FILES} files at a time; these are ${files.length}.`);
  const decoded = files.map((file) => ({ name: file.name, bytes: Buffer.from(file.base64, "base64") }));
  for (const file of decoded)
    if (file.bytes.length > FILE_BYTES)
      throw new ArgusError(
        "TOO_LARGE",
        `A file holds at most 10 MB; ${JSON.stringify(file.name.slice(0, 80))} has ${file.bytes.length} bytes.`,
      );
  if (decoded.reduce((sum, file) => sum + file.bytes.length, 0) > TOTAL_BYTES)
    throw new ArgusError("TOO_LARGE", "The files of one request hold at most 50 MB together.");
  return decoded;
}

export const upload = operation({
  name: "session.upload",
  summary: "Put files into a task's .context folder and their paths on its prompt line",
  tier: "write",
  input: z.object({ ...taskId, files: uploadedFiles }),
  output: z.object({ paths: z.array(z.string()) }),
  rest: { "POST /api/tasks/{id}/upload": {} },
  files: true,
  positional: ["id"],
}).run(async ({ id, files }, { tasks, sessions, node }, { caller }) => {
  if (files.length === 0) throw new ArgusError("INVALID_INPUT", "There is no file in the request: send parts named files.");
  const decoded = decodeFiles(files);
  const row = await tasks.find({ id }, caller);
  const names = await node.files.saveContext(row.worktree, decoded);
  const paths = names.map((name) => `./.context/${name}`);
  const live = sessions.live.get(row.id);
  // No Enter: the person finishes the sentence (SESSION-42).
  if (live && !live.starting) await node.sessions.input(live.id, Buffer.from(`${paths.join(" ")} `));
  return { paths };
});

const Listed = z.object({ id: z.string(), title: z.string(), updated_at: z.string(), current: z.boolean() });

export const conversations = operation({
  name: "session.conversations",
  summary: "List the conversations of a task's worktree",
  tier: "readonly",
  input: z.object(taskId),
  output: z.object({ conversations: z.array(Listed) }),
  rest: { "GET /api/tasks/{id}/conversations": {} },
  positional: ["id"],
  example: { given: "task:echo", input: { id: "$task" }, output: { conversations: [] } },
}).run(async ({ id }, { tasks, conversationsOf }, { caller }) => {
  const row = await tasks.find({ id }, caller);
  const found = await conversationsOf(row);
  return {
    conversations: found.map((one) => ({
      id: one.id,
      title: one.title,
      updated_at: new Date(one.updatedAt).toISOString(),
      current: one.id === row.session_id,
    })),
  };
});

export const switchConversation = operation({
  name: "session.switch",
  summary: "Continue a task with another of its conversations",
  tier: "write",
  input: z.object({ ...taskId, conversation: z.string().max(200) }),
  output: z.object({ status: z.literal("resumed"), pid: z.number() }),
  rest: { "POST /api/tasks/{id}/conversations": {} },
  bodyFields: { id: "conversation" },
  positional: ["id", "conversation"],
}).run(async (input, { tasks, sessions, launcher, node, conversationsOf }, { caller }) => {
  const row = await tasks.find({ id: input.id }, caller);
  const chosen = (await conversationsOf(row)).find((one) => one.id === input.conversation);
  if (!chosen)
    throw new ArgusError(
      "NOT_FOUND",
      `Task ${row.id} has no conversation ${JSON.stringify(input.conversation)}. \`argus session conversations ${row.id}\` lists them.`,
    );
  const choose = async () => {
    await node.conversations.touch(chosen); // else the next capture would switch back to the newest
    await tasks.set(row.id, { session_id: chosen.id });
  };
  const live = sessions.live.get(row.id);
  if (live?.starting) throw new ArgusError("BUSY", `The agent of task ${row.id} is just being started. Try again in a moment.`);
  if (live) return { status: "resumed" as const, pid: (await launcher.again(row, live, { resume: true }, choose)).pid };
  await choose();
  const { pid } = await launcher.start(await tasks.byId(String(row.id)), { resume: true });
  return { status: "resumed" as const, pid };
});
