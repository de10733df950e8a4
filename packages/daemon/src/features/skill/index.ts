/** Skills that a prompt can name. */
import path from "node:path";
import type { Node } from "@argus/runner";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    /** Home folder of the person, as agents see it. */
    userHome: string;
  }
}

/** Larger than anybody's list of plugins. */
const MAX_LIST_BYTES = 1024 * 1024;

/** Where Claude Code put the plugins that are installed, from its own list. */
async function pluginFolders(home: string, node: Node): Promise<string[]> {
  const { bytes } = await node.files.read(path.join(home, ".claude", "plugins", "installed_plugins.json"), 0, MAX_LIST_BYTES);
  const folders: string[] = [];
  try {
    // Each plugin has one entry, or in newer lists one for each scope.
    const { plugins } = JSON.parse(bytes.toString()) as { plugins: Record<string, unknown> };
    for (const entry of Object.values(plugins).flat() as { installPath?: unknown }[])
      if (typeof entry?.installPath === "string") folders.push(path.join(entry.installPath, "skills"));
  } catch {
    // No plugins, or a list in a form of tomorrow.
  }
  return folders;
}

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
}).run(async ({ project, filter }, { projects, node, userHome }) => {
  const roots = [
    ...(project ? [path.join((await projects.find(project)).path, ".claude", "skills")] : []),
    path.join(userHome, ".claude", "skills"),
    ...(await pluginFolders(userHome, node)),
  ];
  const wanted = filter.toLowerCase();
  const found = await node.files.skills(roots);
  return {
    skills: found.filter((skill) => skill.name.toLowerCase().includes(wanted)).map(({ name, description }) => ({ name, description })),
  };
});

export const operations = [list];
