/** Skills that a prompt can name. */
import os from "node:os";
import path from "node:path";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

const list = operation({
  name: "skill.list",
  summary: "List the skills a prompt can name, the project's own first",
  tier: "readonly",
  input: z.object({
    project: z.string().max(100).optional(),
    filter: z.string().max(200).default("").describe("Case-insensitive part of the name"),
  }),
  output: z.object({ skills: z.array(z.object({ name: z.string(), description: z.string() })) }),
  rest: { "GET /api/skills": {} },
  example: { input: { filter: "no skill has this name" }, output: { skills: [] } },
}).run(async ({ project, filter }, { projects, node }) => {
  const home = process.env.HOME ?? os.homedir();
  const roots = [
    ...(project ? [path.join((await projects.find(project)).path, ".claude", "skills")] : []),
    path.join(home, ".claude", "skills"),
    path.join(home, ".claude", "plugins"),
  ];
  const wanted = filter.toLowerCase();
  const found = await node.files.skills(roots);
  return {
    skills: found.filter((skill) => skill.name.toLowerCase().includes(wanted)).map(({ name, description }) => ({ name, description })),
  };
});

export const operations = [list];
