/** Runs one command line in its own process group, bounded in time and output, so that nothing it starts outlives an interrupt. */
import { spawn } from "node:child_process";

export interface ShellResult {
  code: number | null;
  signal: string | null;
  /** Standard output and error as they came, the middle cut out when too long. */
  output: string;
  timedOut: boolean;
}
export interface ShellRequest {
  command: string;
  cwd: string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Called with each piece as it comes. */
  onOutput?: (text: string) => void;
}

export const MAX_OUTPUT = 30_000; // characters; about 8,000 tokens, what a model still reads with attention
const KILL_AFTER_MS = 2_000; // time for a test runner to write its last words after SIGTERM
const DRAIN_MS = 300; // a background child may hold the pipes open for ever; its parent's last bytes are there well before this
const OURS = ["ARGUS_AGENT_API_KEY", "ARGUS_MCP_TOKEN"]; // secrets of this program, not of the commands it runs

const alive = new Set<number>();

/** Never rejects for what the command did. An abort ends the group and resolves with its signal. */
export function runShell(request: ShellRequest): Promise<ShellResult> {
  const env: NodeJS.ProcessEnv = { ...process.env, PAGER: "cat", GIT_PAGER: "cat", GIT_TERMINAL_PROMPT: "0", TERM: "dumb" };
  for (const name of OURS) delete env[name];
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", request.command], { cwd: request.cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const group = child.pid;
    if (group !== undefined) alive.add(group);
    const output = new Bounded(MAX_OUTPUT);
    let timedOut = false;
    let force: NodeJS.Timeout | undefined;
    const end = () => {
      if (group === undefined) return;
      killGroup(group, "SIGTERM");
      force ??= setTimeout(() => killGroup(group, "SIGKILL"), KILL_AFTER_MS);
    };
    const limit = setTimeout(() => {
      timedOut = true;
      end();
    }, request.timeoutMs);
    request.signal.addEventListener("abort", end, { once: true });
    if (request.signal.aborted) end();
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        output.add(text);
        request.onOutput?.(text);
      });
    }
    const settle = () => {
      clearTimeout(limit);
      clearTimeout(force);
      request.signal.removeEventListener("abort", end);
    };
    child.once("error", (error) => {
      settle();
      reject(error);
    });
    child.once("exit", () => {
      const drain = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, DRAIN_MS);
      child.once("close", (code, signal) => {
        clearTimeout(drain);
        settle();
        // After an interrupt nothing of the group may go on; otherwise a server left in the background may, until we end.
        if (timedOut || request.signal.aborted) killGroup(group as number, "SIGKILL");
        if (!groupLives(group as number)) alive.delete(group as number);
        resolve({ code, signal, output: output.text(), timedOut });
      });
    });
  });
}

/** Ends whatever commands left running in the background. Called once, when the agent ends. */
export function endBackground(): void {
  for (const group of alive) killGroup(group, "SIGKILL");
  alive.clear();
}

function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // the group is gone already
  }
}

function groupLives(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

/** Keeps the beginning and the end of a text: the first error is at one, the summary at the other. */
class Bounded {
  private head = "";
  private tail = "";
  private dropped = 0;
  private readonly half: number;

  constructor(limit: number) {
    this.half = limit / 2;
  }

  add(text: string): void {
    const room = this.half - this.head.length;
    this.head += text.slice(0, room);
    this.tail += text.slice(room > 0 ? room : 0);
    if (this.tail.length > this.half * 2) this.cut();
  }

  private cut(): void {
    const over = this.tail.length - this.half;
    if (over <= 0) return;
    this.dropped += over;
    this.tail = this.tail.slice(over);
  }

  text(): string {
    this.cut();
    return this.dropped ? `${this.head}\n[... ${this.dropped} characters left out ...]\n${this.tail}` : this.head + this.tail;
  }
}
