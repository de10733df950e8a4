/** Puts the hands of this machine together. */
import { conversations } from "./conversations.ts";
import { files } from "./files.ts";
import { gitReader } from "./git.ts";
import type { Node } from "./node.ts";
import { ports } from "./ports.ts";
import { processesIn } from "./processes.ts";
import { SupervisorSessions } from "./sessions.ts";
import { worktrees } from "./worktrees.ts";

export interface LocalNodeOptions {
  name: string;
  /** Unix socket of the session supervisor; it need not be there yet. */
  supervisorSocket: string;
  /** Environment of the programs that are run here; default that of this process. */
  env?: NodeJS.ProcessEnv;
  /** Limit of a single call to the supervisor, milliseconds. */
  timeoutMs?: number;
  /** Unix milliseconds; dates safety copies. */
  now?: () => number;
}

/** Disposing it closes the connection; sessions go on without us. */
export function localNode(options: LocalNodeOptions): Node & AsyncDisposable {
  const sessions = new SupervisorSessions({ socket: options.supervisorSocket, timeoutMs: options.timeoutMs });
  return {
    name: options.name,
    worktrees: worktrees({ now: options.now }),
    git: gitReader,
    files,
    sessions,
    processes: processesIn(options.env ?? process.env),
    conversations,
    ports,
    async [Symbol.asyncDispose]() {
      sessions.close();
      await sessions.done;
    },
  };
}
