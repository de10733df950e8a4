/** Makes a task in one transaction of many steps: worktree, files, set-up, row, agent. Whatever fails, everything before it is undone. */
import path from "node:path";
import { ArgusError, type TaskStatus } from "@argus/protocol";
import type { Node, WorkspaceContract } from "@argus/runner";
import type { Caller } from "../../kernel/caller.ts";
import type { Log } from "../../kernel/log.ts";
import type { Services } from "../../kernel/operation.ts";
import type { Ports } from "./ports.ts";
import { nameFromPrompt } from "./status.ts";
import type { TaskRow } from "./tables.ts";

declare module "../../kernel/operation.ts" {
  interface Services {
    creation: Creation;
  }
}

export interface NewTask {
  name?: string | undefined;
  prompt: string;
  project: string;
  backend: string;
  model: string;
  base_branch: string;
  depends_on: string[];
  plan_slug: string;
  upsert: boolean;
  files: { name: string; bytes: Uint8Array }[];
  cols?: number | undefined;
  rows?: number | undefined;
  /** Folder whose uncommitted work is carried into the new worktree (forks). */
  carryFrom?: string | undefined;
  /** More files for `.context/`. */
  context?: { name: string; bytes: Uint8Array }[] | undefined;
}

export interface Created {
  row: TaskRow;
  /** What a person should know, such as a set-up that was not run. */
  notice: string | null;
  /** False when `upsert` found the task. */
  fresh: boolean;
}

/** MCP-19: more at once only fight over the disk. */
const CONCURRENT = 5;

export class Creation {
  #services: () => Services;
  #ports: Ports;
  #log: Log;
  #worktreeRoot: string;
  #running = 0;
  #waiting: (() => void)[] = [];
  #names = new Map<string, Promise<unknown>>();

  constructor(services: () => Services, ports: Ports, log: Log, worktreeRoot: string) {
    this.#services = services;
    this.#ports = ports;
    this.#log = log;
    this.#worktreeRoot = worktreeRoot;
  }

  /** In order of arrival, five at a time; equal names of one project one after another. */
  async create(request: NewTask, caller: Caller, signal: AbortSignal): Promise<Created> {
    const key = request.name ? `${request.project}\0${request.name}` : null;
    while (key && this.#names.has(key)) await this.#names.get(key)?.catch(() => {});
    const work = this.#whenFree(() => this.#create(request, caller, signal));
    if (key) this.#names.set(key, work);
    try {
      return await work;
    } finally {
      if (key && this.#names.get(key) === work) this.#names.delete(key);
    }
  }

  async #whenFree<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= CONCURRENT) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
    try {
      return await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #create(request: NewTask, caller: Caller, signal: AbortSignal): Promise<Created> {
    const { tasks, projects, backends, launcher, node, config } = this.#services();
    const project = await projects.find(request.project).catch((thrown: unknown) => {
      throw thrown instanceof ArgusError ? new ArgusError("INVALID_INPUT", thrown.message) : thrown;
    });
    const backend = backends.choose(request.backend, project.default_backend);
    if (request.name) {
      const twin = (await tasks.list({ project: project.name })).find((row) => row.name === request.name);
      if (twin && request.upsert) return { row: twin, notice: null, fresh: false };
      if (twin)
        throw new ArgusError(
          "CONFLICT",
          `The project ${project.name} has a task ${JSON.stringify(request.name)} already (${twin.id}). Choose another name, archive it, or pass upsert to get that one.`,
        );
    }
    const parents = await Promise.all(
      request.depends_on.map((id) =>
        tasks.byId(id).catch(() => Promise.reject(new ArgusError("INVALID_INPUT", `depends_on: there is no task ${JSON.stringify(id)}.`))),
      ),
    );
    const archived = parents.find((parent) => parent.archived);
    if (archived) throw new ArgusError("INVALID_INPUT", `depends_on: task ${archived.id} is archived.`);
    const waits = parents.some((parent) => parent.status !== "complete");
    await launcher.checkProgram(await launcher.plan({ ...request, backend: backend.name, project: project.name }, null, null, ""));

    const undo: (() => Promise<unknown>)[] = [];
    try {
      const name = request.name ?? nameFromPrompt(request.prompt);
      const made = await node.worktrees.create({
        projectPath: project.path,
        root: this.#worktreeRoot,
        project: project.name,
        name,
        ...(request.base_branch && { base: request.base_branch }),
        ...(project.branch && { projectBranch: project.branch }),
        signal,
      });
      undo.push(() =>
        node.worktrees.discard({ projectPath: project.path, root: this.#worktreeRoot, path: made.path, branch: made.branch }),
      );
      await node.worktrees.exclude(made.path, ["/.context/"]);
      if (request.carryFrom) await node.worktrees.carry(request.carryFrom, made.path);
      if (request.context?.length) await node.files.saveContext(made.path, request.context);
      const attached = request.files.length > 0 ? await node.files.saveContext(made.path, request.files) : [];
      const { contract, notice } = await this.#contract(project.name, made.path);
      const portBase = contract && contract.ports > 0 ? await this.#ports.take() : null;
      if (portBase !== null) undo.push(async () => this.#ports.giveBack(portBase));
      if (contract) await runSetup(node, contract, { project: project.path, worktree: made.path, slug: made.slug, portBase });
      signal.throwIfAborted();
      const row = await tasks.insert({
        name,
        auto_named: Number(!request.name),
        status: "pending" satisfies TaskStatus,
        project: project.name,
        branch: made.branch,
        worktree: made.path,
        prompt: withFiles(request.prompt, attached),
        backend: request.backend,
        model: request.model,
        base_branch: made.baseRef,
        base_commit: made.baseCommit,
        depends_on: JSON.stringify(request.depends_on),
        plan_slug: request.plan_slug,
        sandboxed: 0,
        port_base: portBase,
        created_by: caller.id,
      });
      undo.push(() => tasks.forget(row));
      if (!waits)
        await launcher.start(row, {
          resume: false,
          ...(request.cols && { cols: request.cols }),
          ...(request.rows && { rows: request.rows }),
        });
      return { row: await tasks.byId(String(row.id)), notice, fresh: true };
    } catch (thrown) {
      for (const step of undo.reverse())
        await step().catch((err) => this.#log.error({ err }, "a step of an undone creation could not be taken back"));
      if (signal.aborted && !(thrown instanceof ArgusError))
        throw new ArgusError("UNAVAILABLE", "The creation was cancelled; nothing is left of it.");
      throw thrown;
    } finally {
      void config;
    }
  }

  /** The repository's wishes, only when a person accepted exactly this version of them (WORKTREE-16). */
  async #contract(project: string, worktree: string): Promise<{ contract: WorkspaceContract | null; notice: string | null }> {
    const { node, projects } = this.#services();
    const contract = await node.worktrees.contract(worktree);
    if (!contract) return { contract: null, notice: null };
    if ((await projects.consent(project)) === contract.sha256) return { contract, notice: null };
    return {
      contract: null,
      notice: `.argus/workspace.toml was not run: accept it with \`argus project consent ${project} ${contract.sha256}\`.`,
    };
  }
}

/** Set-up output shown when it fails; the end is where the reason stands. */
const SHOWN_OUTPUT = 4096;

/** Copies ignored files and runs the set-up commands; rejects with the last output of the one that failed (WORKTREE-17). */
async function runSetup(
  node: Node,
  contract: WorkspaceContract,
  at: { project: string; worktree: string; slug: string; portBase: number | null },
): Promise<void> {
  if (contract.copy.length > 0) await node.worktrees.copyIgnored(at.project, at.worktree, contract.copy);
  const env = contractEnvironment(contract, at);
  for (const argv of contract.setup) {
    const result = await node.processes.run(argv, { cwd: at.worktree, env, timeoutMs: contract.setupTimeoutS * 1000 });
    if (result.code === 0) continue;
    const why = result.timedOut
      ? `did not finish in ${contract.setupTimeoutS} s`
      : `failed with ${result.signal ?? `exit status ${result.code}`}`;
    throw new ArgusError(
      "CONFLICT",
      `The set-up command ${argv.join(" ")} ${why}. Its last output:\n${`${result.stdout}${result.stderr}`.slice(-SHOWN_OUTPUT)}`,
    );
  }
}

/** `env` values with their places filled in, and the ports (WORKTREE-14, WORKTREE-15). */
export function contractEnvironment(
  contract: WorkspaceContract,
  at: { project: string; worktree: string; slug: string; portBase: number | null },
): Record<string, string> {
  const places: Record<string, string> = {
    port: at.portBase === null ? "" : String(at.portBase),
    slug: at.slug,
    worktree: at.worktree,
    project_path: at.project,
  };
  const env = Object.fromEntries(
    Object.entries(contract.env).map(([name, value]) => [
      name,
      value.replace(/\$\{(port|slug|worktree|project_path)\}/g, (_match, place: string) => places[place] ?? ""),
    ]),
  );
  if (at.portBase !== null)
    for (let n = 0; n < contract.ports; n++) env[n === 0 ? "ARGUS_PORT" : `ARGUS_PORT_${n}`] = String(at.portBase + n);
  return env;
}

function withFiles(prompt: string, names: string[]): string {
  if (names.length === 0) return prompt;
  return `${prompt}\n\nFiles:\n${names.map((name) => `- ./.context/${name}`).join("\n")}`;
}

/** Folder name of a worktree: the slug. */
export function slugOfWorktree(worktree: string): string {
  return path.basename(worktree);
}
