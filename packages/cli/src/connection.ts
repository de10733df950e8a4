/** A caller for operations: the local socket, or another machine over HTTP. */
import { SocketClient } from "@argus/client/socket";
import { UsageError } from "./flags.ts";
import type { Globals } from "./globals.ts";
import { daemonSocket } from "./home.ts";

export interface Connection {
  call<T = unknown>(name: string, input?: unknown): Promise<T>;
  stream?(name: string, input?: unknown): AsyncGenerator<unknown>;
  manifest(names?: string[]): Promise<ManifestEntry[]>;
  close(): void;
}

export interface ManifestEntry {
  name: string;
  summary: string;
  tier: string;
  stream: boolean;
  positional: string[];
  input: { properties?: Record<string, Schema>; required?: string[] };
  mcp: string | null;
  rest: string[];
}
export interface Schema {
  type?: string;
  description?: string;
  enum?: unknown[];
  default?: unknown;
  items?: Schema;
  anyOf?: Schema[];
}

/** `start` starts a missing daemon first. */
export async function connect(globals: Globals, { start = true } = {}): Promise<Connection> {
  if (globals.remote) return remote(globals.remote, globals.token);
  const client = await SocketClient.connect(daemonSocket()).catch(async (thrown: unknown) => {
    if (!start) throw thrown;
    const { startDaemon } = await import("./daemon.ts");
    await startDaemon();
    return SocketClient.connect(daemonSocket());
  });
  const cwd = process.cwd();
  return {
    call: (name, input) => client.call(name, input, { cwd }),
    stream: (name, input) => client.stream(name, input, { cwd }),
    manifest: async (names) => (await client.call<{ operations: ManifestEntry[] }>("manifest", names ? { names } : {})).operations,
    close: () => client.close(),
  };
}

async function remote(url: string, token: string | null): Promise<Connection> {
  if (!token) throw new UsageError("--remote needs a token: pass --token, or set ARGUS_TOKEN.");
  const { HttpClient } = await import("@argus/client/http");
  const client = new HttpClient({ url, token });
  return {
    call: (name, input) => client.call(name, input),
    manifest: async (names) => {
      const response = await fetch(new URL("/api/operations", url), { headers: { authorization: `Bearer ${token}` } });
      const { operations } = (await response.json()) as { operations: ManifestEntry[] };
      return names ? operations.filter((one) => names.includes(one.name)) : operations;
    },
    close: () => {},
  };
}
