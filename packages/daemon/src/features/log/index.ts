/** The logs of Argus itself. */
import path from "node:path";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

const MAX_BYTES = 1_048_576;

const tail = operation({
  name: "log.tail",
  summary: "Show the end of one of Argus's own logs",
  tier: "readonly",
  input: z.object({ name: z.enum(["ux", "daemon"], "must be ux or daemon"), bytes: z.coerce.number().int().min(1).default(65_536) }),
  output: z.object({ text: z.string() }),
  rest: { "GET /api/logs/{name}": {} },
  present: ({ text }) => ({ body: text, type: "text/plain; charset=utf-8" }),
  positional: ["name"],
  example: { input: { name: "ux" }, output: { text: "" } },
}).run(async ({ name, bytes }, { node, paths }) => {
  const file = path.join(paths.home, `${name}.log`);
  const { size } = await node.files.read(file, 0, 0);
  const max = Math.min(bytes, MAX_BYTES);
  return { text: (await node.files.read(file, Math.max(0, size - max), max)).bytes.toString("utf8") };
});

export const operations = [tail];
