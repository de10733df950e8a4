/** The backend operations. Writing is for the master token: a command template can run arbitrary code. */
import { Backend } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import { builtInPrograms } from "./programs.ts";
import { splitCommand } from "./words.ts";

const Name = z
  .string()
  .min(1)
  .max(100)
  .regex(/^[^/\s][^/]*$/, "must not hold a slash or begin with a space");
const Command = z.string().min(1).max(4000).describe("Program and base flags of the agent");

const Listed = Backend.extend({
  available: z.boolean().describe("The program is on PATH"),
  missing: z.string().optional().describe("What to install when it is not"),
});

export const list = operation({
  name: "backend.list",
  summary: "List the backends and whether their programs are installed",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ backends: z.array(Listed) }),
  rest: { "GET /api/backends": {} },
  example: { input: {} },
}).run(async (_input, { backends, node }) => ({
  backends: await Promise.all(
    backends.all().map(async (backend) => {
      let program = "";
      try {
        const words = splitCommand(backend.command);
        program = words.argv[0] as string;
        if (words.shell || builtInPrograms()[program]) return { ...backend, available: true };
      } catch {
        return { ...backend, available: false, missing: "Its command names no program." };
      }
      return (await node.processes.which(program))
        ? { ...backend, available: true }
        : { ...backend, available: false, missing: `${program} is not on PATH; install it, or choose another backend.` };
    }),
  ),
}));

export const create = operation({
  name: "backend.create",
  summary: "Add a backend: any command line that runs in a terminal",
  tier: "admin",
  input: z.object({ name: Name, command: Command, prompt_flag: z.string().max(100).default(""), model: z.string().max(200).default("") }),
  output: Backend,
  status: 201,
  rest: { "POST /api/backends": {} },
  positional: ["name", "command"],
  example: { input: { name: "mine", command: "my-agent --fast" }, output: { name: "mine" } },
}).run((input, { backends }) => backends.create(input));

export const update = operation({
  name: "backend.update",
  summary: "Change a backend; what is left out stays",
  tier: "admin",
  input: z.object({
    name: Name,
    command: Command.optional(),
    prompt_flag: z.string().max(100).optional(),
    model: z.string().max(200).optional(),
  }),
  output: Backend,
  rest: { "PUT /api/backends/{name}": {} },
  positional: ["name"],
  example: { input: { name: "pi", model: "fast" }, output: { model: "fast" } },
}).run(({ name, ...fields }, { backends }) =>
  backends.update(name, Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))),
);

export const remove = operation({
  name: "backend.delete",
  summary: "Remove a backend that is not the default",
  tier: "admin",
  input: z.object({ name: Name }),
  output: z.object({ status: z.literal("deleted") }),
  rest: { "DELETE /api/backends/{name}": {} },
  positional: ["name"],
  example: { input: { name: "gemini" }, output: { status: "deleted" } },
}).run(async ({ name }, { backends }) => {
  await backends.remove(name);
  return { status: "deleted" as const };
});
