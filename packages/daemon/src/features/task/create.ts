/** Makes a task in one transaction of many steps: worktree, files, set-up, row, agent. Whatever fails, everything before it is undone. */
import { ArgusError, type TaskStatus } from "@argus/protocol";
import type { WorkspaceContract } from "@argus/runner";
import type { Caller } from "../../kernel/caller.ts";
import type { Clock } from "../../kernel/clock.ts";
import type { Log } from "../../kernel/log.ts";
import type { Services } from "../../kernel/operation.ts";
import type { Naming } from "./naming.ts";
import { OngoingCreations } from "./ongoing.ts";
import type { Ports } from "./ports.ts";
import { nameFromPrompt } from "./status.ts";
import type { TaskRow } from "./tables.ts";
import { setUp } from "./workspace.ts";

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

/** MCP-19: more at once only fight over the disk. For each project, so that a long set-up of one never holds up another (WORKTREE-09). */
const CONCURRENT = 5;

export interface CreationParts {
  services: () => Services;
  ports: Ports;
  /** Null leaves automatic names as they are. */
  naming: Naming | null;
  clock: Clock;
  log: Log;
  worktreeRoot: string;
}

export class Creation {
  readonly ongoing: OngoingCreations;
  #parts: CreationParts;
  /** Turns by project: how many run, and who waits. */
  #turns = new Map<string, { running: number; waiting: (() => void)[] }>();
  #names = new Map<string, Promise<unknown>>();
  #works = new Set<Promise<unknown>>();

  constructor(parts: CreationParts) {
    this.#parts = parts;
    this.ongoing = new OngoingCreations(parts.clock);
  }

  /** In order of arrival, five at a time for each project; equal names of one project one after another. */
  async create(request: NewTask, caller: Caller, signal: AbortSignal): Promise<Created> {
    const entry = this.ongoing.begin(request.project, request.name ?? nameFromPrompt(request.prompt), caller);
    const work = this.#inTurn(request, caller, AbortSignal.any([signal, entry.signal]), entry.step);
    this.#works.add(work);
    try {
      return await work;
    } finally {
      this.#works.delete(work);
      entry.end();
    }
  }

  /** Resolves when no creation is under way any more, undone or done. */
  async settled(): Promise<void> {
    while (this.#works.size > 0) await Promise.allSettled(this.#works);
  }

  async #inTurn(request: NewTask, caller: Caller, signal: AbortSignal, step: (step: string) => void): Promise<Created> {
    const key = request.name ? `${request.project}\0${request.name}` : null;
    while (key && this.#names.has(key)) await this.#names.get(key)?.catch(() => {});
    const work = this.#whenFree(request.project, () => this.#create(request, caller, signal, step));
    if (key) this.#names.set(key, work);
    try {
      return await work;
    } finally {
      if (key && this.#names.get(key) === work) this.#names.delete(key);
    }
  }

  async #whenFree<T>(project: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(project) ?? { running: 0, waiting: [] };
    this.#turns.set(project, turns);
    if (turns.running >= CONCURRENT) await new Promise<void>((resolve) => turns.waiting.push(resolve));
    else turns.running++;
    try {
      return await work();
    } finally {
      const next = turns.waiting.shift();
      if (next)
        next(); // its turn is this one
      else if (--turns.running === 0) this.#turns.delete(project);
    }
  }

  async #create(request: NewTask, caller: Caller, signal: AbortSignal, step: (step: string) => void): Promise<Created> {
    throwIfCancelled(signal);
    const { tasks, projects, backends, launcher, sessions, node } = this.#parts.services();
    const { ports, worktreeRoot, log } = this.#parts;
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
        root: worktreeRoot,
        project: project.name,
        name,
        onStep: step,
        ...(request.base_branch && { base: request.base_branch }),
        ...(project.branch && { projectBranch: project.branch }),
        signal,
      });
      undo.push(() => node.worktrees.discard({ projectPath: project.path, root: worktreeRoot, path: made.path, branch: made.branch }));
      step("files");
      await node.worktrees.exclude(made.path, ["/.context/"]);
      if (request.carryFrom) await node.worktrees.carry(request.carryFrom, made.path);
      if (request.context?.length) await node.files.saveContext(made.path, request.context);
      const attached = request.files.length > 0 ? await node.files.saveContext(made.path, request.files) : [];
      const { contract, notice } = await this.#contract(project.name, made.path);
      const portBase = contract && contract.ports > 0 ? await ports.take() : null;
      if (portBase !== null) undo.push(async () => ports.giveBack(portBase));
      const place = { project: project.path, worktree: made.path, slug: made.slug, portBase };
      const workspace = contract ? await setUp({ node, contract, place, onStep: step, signal }) : null;
      signal.throwIfAborted();
      step("row");
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
        workspace: workspace && JSON.stringify(workspace),
        created_by: caller.id,
      });
      undo.push(() => tasks.forget(row));
      undo.push(() => node.sessions.removeLog(launcher.logOf(row.id)));
      step("start");
      if (!waits) {
        const { cols, rows } = request;
        await launcher.start(row, { resume: false, ...(cols && { cols }), ...(rows && { rows }) });
        undo.push(() => sessions.end(row, { graceMs: 0 }));
      }
      if (!request.name) this.#parts.naming?.name(row);
      return { row: await tasks.byId(String(row.id)), notice, fresh: true };
    } catch (thrown) {
      for (const back of undo.reverse())
        await back().catch((err) => log.error({ err }, "a step of an undone creation could not be taken back"));
      throwIfCancelled(signal);
      throw thrown;
    }
  }

  /** The repository's wishes, only when a person accepted exactly this version of them (WORKTREE-16). */
  async #contract(project: string, worktree: string): Promise<{ contract: WorkspaceContract | null; notice: string | null }> {
    const { node, projects } = this.#parts.services();
    let contract: WorkspaceContract | null;
    try {
      contract = await node.worktrees.contract(worktree);
    } catch (thrown) {
      // What cannot be read was never accepted; the task itself can do without.
      if (thrown instanceof ArgusError) return { contract: null, notice: `.argus/workspace.toml was not run. ${thrown.message}` };
      throw thrown;
    }
    if (!contract) return { contract: null, notice: null };
    const unknown =
      contract.unknownKeys.length > 0 ? `.argus/workspace.toml holds unknown keys: ${contract.unknownKeys.join(", ")}.` : null;
    if (await projects.accepts(project, contract.sha256)) return { contract, notice: unknown };
    return {
      contract: null,
      notice: `${unknown ? `${unknown} ` : ""}.argus/workspace.toml was not run: accept it with \`argus project consent ${project} ${contract.sha256}\`.`,
    };
  }
}

function throwIfCancelled(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw signal.reason instanceof ArgusError
    ? signal.reason
    : new ArgusError("UNAVAILABLE", "The creation was cancelled; nothing is left of it.");
}

function withFiles(prompt: string, names: string[]): string {
  if (names.length === 0) return prompt;
  return `${prompt}\n\nFiles:\n${names.map((name) => `- ./.context/${name}`).join("\n")}`;
}
