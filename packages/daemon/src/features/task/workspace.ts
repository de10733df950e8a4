/** What a repository asks for its worktrees (`.argus/workspace.toml`), as a person accepted it: copies, set-up, ports, environment, teardown. */
import { ArgusError } from "@argus/protocol";
import type { Node, WorkspaceContract } from "@argus/runner";
import type { Log } from "../../kernel/log.ts";
import type { TaskRow } from "./tables.ts";

/** Kept with the task: a file that changes later must not change what was accepted for this worktree. */
export interface Workspace {
  /** For agent, set-up and teardown alike (WORKTREE-15). */
  env: Record<string, string>;
  teardown: string[][];
  teardownTimeoutS: number;
}

export interface Place {
  /** Main checkout. */
  project: string;
  worktree: string;
  slug: string;
  portBase: number | null;
}

/** Set-up output shown when it fails; the end is where the reason stands. */
const SHOWN_OUTPUT = 4096;

export function workspaceOf(row: TaskRow): Workspace | null {
  return row.workspace === null ? null : (JSON.parse(row.workspace) as Workspace);
}

/** Copies ignored files and runs the set-up commands; rejects with the last output of the one that failed (WORKTREE-17). */
export async function setUp(request: {
  node: Node;
  contract: WorkspaceContract;
  place: Place;
  onStep: (step: string) => void;
  signal: AbortSignal;
}): Promise<Workspace> {
  const { node, contract, place, signal } = request;
  if (contract.copy.length > 0) {
    request.onStep("copy");
    await node.worktrees.copyIgnored(place.project, place.worktree, contract.copy);
  }
  const env = environmentOf(contract, place);
  for (const argv of contract.setup) {
    request.onStep(`setup: ${argv.join(" ").slice(0, 100)}`);
    const result = await node.processes.run(argv, { cwd: place.worktree, env, timeoutMs: contract.setupTimeoutS * 1000, signal });
    if (result.code === 0) continue;
    const why = result.timedOut
      ? `did not finish in ${contract.setupTimeoutS} s`
      : `failed with ${result.signal ?? `exit status ${result.code}`}`;
    throw new ArgusError(
      "CONFLICT",
      `The set-up command ${argv.join(" ")} ${why}. Its last output:\n${`${result.stdout}${result.stderr}`.slice(-SHOWN_OUTPUT)}`,
    );
  }
  return { env, teardown: contract.teardown, teardownTimeoutS: contract.teardownTimeoutS };
}

/** The repository's own clean-up; a failure is reported and does not block (WORKTREE-17). */
export async function tearDown(row: TaskRow, node: Node, log: Log): Promise<void> {
  const workspace = workspaceOf(row);
  if (!workspace || workspace.teardown.length === 0 || !(await node.files.exists(row.worktree))) return;
  for (const argv of workspace.teardown) {
    const result = await node.processes
      .run(argv, { cwd: row.worktree, env: workspace.env, timeoutMs: workspace.teardownTimeoutS * 1000 })
      .catch((err) => ({ code: null, timedOut: false, stderr: String(err) }));
    if (result.code !== 0)
      log.warn(
        { task: row.id, argv, stderr: result.stderr.slice(-500), timedOut: result.timedOut },
        "teardown command failed; removal goes on",
      );
  }
}

/** `env` values with their places filled in, and the ports (WORKTREE-14, WORKTREE-15). */
export function environmentOf(contract: Pick<WorkspaceContract, "env" | "ports">, place: Place): Record<string, string> {
  const places: Record<string, string> = {
    port: place.portBase === null ? "" : String(place.portBase),
    slug: place.slug,
    worktree: place.worktree,
    project_path: place.project,
  };
  const env = Object.fromEntries(
    Object.entries(contract.env).map(([name, value]) => [
      name,
      value.replace(/\$\{(port|slug|worktree|project_path)\}/g, (_match, word: string) => places[word] ?? ""),
    ]),
  );
  if (place.portBase !== null)
    for (let n = 0; n < contract.ports; n++) env[n === 0 ? "ARGUS_PORT" : `ARGUS_PORT_${n}`] = String(place.portBase + n);
  return env;
}
