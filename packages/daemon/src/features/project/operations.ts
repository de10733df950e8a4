/** The project operations: register a repository, look, change, forget. */
import { ArgusError, Project, ProjectSandbox } from "@argus/protocol";
import type { Node } from "@argus/runner";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import type { Tasks } from "../task/index.ts";

/** Becomes a folder name below the worktree root, so it must be one plain path segment. */
const ProjectName = z
  .string()
  .min(1, "must not be empty")
  .max(100)
  .refine(
    (name) => !/[/\\\0-\x1f]/.test(name) && name !== "." && name !== ".." && !name.startsWith("-"),
    "must be one path segment: no slash, no control character, not . or .., no leading hyphen",
  );

export const list = operation({
  name: "project.list",
  summary: "List the names of the projects",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ projects: z.array(z.string()) }),
  rest: { "GET /api/projects": {} },
  example: { given: "project", input: {}, output: { projects: ["demo"] } },
}).run(async (_input, { projects }) => ({ projects: (await projects.all()).map((project) => project.name) }));

export const full = operation({
  name: "project.full",
  summary: "List the projects with path, branch, backend and sandbox",
  tier: "readonly",
  input: z.object({}),
  output: z.object({ projects: z.array(Project) }),
  rest: { "GET /api/projects/full": {} },
  example: { given: "project", input: {} },
}).run(async (_input, { projects }) => ({ projects: await projects.all() }));

export const create = operation({
  name: "project.create",
  summary: "Register a git repository as a project",
  tier: "write",
  input: z.object({
    name: ProjectName,
    path: z.string().min(1).max(4096).describe("Absolute path of the repository"),
    branch: z.string().max(250).default("").describe("Base branch of new worktrees; empty: git's default"),
    backend: z.string().max(100).default("").describe("Backend of this project; empty: the global default"),
    sandbox: ProjectSandbox.nullable().optional(),
  }),
  output: Project,
  status: 201,
  rest: { "POST /api/projects": {} },
  positional: ["name", "path"],
}).run(async ({ name, path, branch, backend, sandbox }, { projects, backends, node }) => {
  await node.worktrees.checkRepository(path);
  if (backend) backends.find(backend);
  return projects.create(name, { path, branch, backend, sandbox: sandbox ?? { enabled: null, deny_read: [], extra_write: [] } });
});

export const update = operation({
  name: "project.update",
  summary: "Change a project; what is left out stays",
  tier: "write",
  input: z.object({
    name: z.string(),
    path: z.string().min(1).max(4096).optional(),
    branch: z.string().max(250).optional(),
    backend: z.string().max(100).optional(),
    sandbox: ProjectSandbox.nullable().optional(),
  }),
  output: Project,
  rest: { "PUT /api/projects/{name}": {} },
  positional: ["name"],
  example: { given: "project", input: { name: "demo", branch: "main" }, output: { branch: "main" } },
}).run(async ({ name, path, branch, backend, sandbox }, { projects, backends, node }) => {
  await projects.find(name);
  if (path !== undefined) await node.worktrees.checkRepository(path);
  if (backend) backends.find(backend);
  return projects.update(name, {
    ...(path !== undefined && { path }),
    ...(branch !== undefined && { branch }),
    ...(backend !== undefined && { backend }),
    ...(sandbox !== undefined && { sandbox: sandbox ?? { enabled: null, deny_read: [], extra_write: [] } }),
  });
});

export const remove = operation({
  name: "project.delete",
  summary: "Forget a project; repository and worktrees stay on disk",
  tier: "write",
  input: z.object({ name: z.string(), force: z.stringbool().or(z.boolean()).default(false).describe("Also while tasks use it") }),
  output: z.object({ status: z.literal("deleted") }),
  rest: { "DELETE /api/projects/{name}": {} },
  positional: ["name"],
  example: { given: "project", input: { name: "demo" }, output: { status: "deleted" } },
}).run(async ({ name, force }, { projects, tasks }) => {
  await projects.find(name);
  const using = await tasks.list({ project: name });
  if (using.length > 0 && !force)
    throw new ArgusError(
      "CONFLICT",
      `${using.length} task${using.length === 1 ? " uses" : "s use"} the project ${JSON.stringify(name)}. Archive or delete them, or pass force.`,
    );
  await projects.remove(name);
  return { status: "deleted" as const };
});

export const consent = operation({
  name: "project.consent",
  summary: "Accept this version of the repository's .argus/workspace.toml, so that its set-up may run",
  tier: "write",
  note: "Agents cannot consent.",
  input: z.object({ name: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/, "must be 64 hex characters") }),
  output: z.object({ sha256: z.string() }),
  rest: { "POST /api/projects/{name}/consent": {} },
  positional: ["name", "sha256"],
}).run(async ({ name, sha256 }, { projects, tasks, node }, { caller }) => {
  if (caller.kind === "task" || caller.kind === "anonymous" || caller.kind === "scope")
    throw new ArgusError("PERMISSION_DENIED", "Only a person can accept what a repository wants to run.");
  const project = await projects.find(name);
  const contract = await node.worktrees.contract(project.path);
  if (contract?.sha256 !== sha256 && !(await isInWorktree(name, sha256, tasks, node))) {
    if (!contract) throw new ArgusError("NOT_FOUND", `${project.path} holds no .argus/workspace.toml.`);
    throw new ArgusError("CONFLICT", `The file has changed: it is ${contract.sha256} now. Read it again before accepting.`);
  }
  await projects.accept(name, sha256, caller);
  return { sha256 };
});

/** A base branch may hold another version than the main checkout; a task that was made without it shows it. */
async function isInWorktree(project: string, sha256: string, tasks: Tasks, node: Node): Promise<boolean> {
  for (const { worktree } of await tasks.list({ project }))
    if ((await node.worktrees.contract(worktree).catch(() => null))?.sha256 === sha256) return true;
  return false;
}

export const workspace = operation({
  name: "project.workspace",
  summary: "Show what the repository's .argus/workspace.toml asks for and whether a person accepted it",
  tier: "readonly",
  input: z.object({ name: z.string() }),
  output: z.object({
    present: z.boolean(),
    sha256: z.string().optional(),
    accepted: z.boolean(),
    contract: z.record(z.string(), z.unknown()).optional(),
  }),
  rest: { "GET /api/projects/{name}/workspace": {} },
  positional: ["name"],
  example: { given: "project", input: { name: "demo" }, output: { present: false } },
}).run(async ({ name }, { projects, node }) => {
  const project = await projects.find(name);
  const contract = await node.worktrees.contract(project.path);
  if (!contract) return { present: false, accepted: false };
  const { sha256, ...rest } = contract;
  return { present: true, sha256, accepted: await projects.accepts(name, sha256), contract: rest };
});
