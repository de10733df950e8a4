/** A caller for operations: the local socket, or another machine over HTTP. */
import { CallError, SocketClient } from "@argus/client/socket";
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
  planned: boolean;
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

async function remote(address: string, token: string | null): Promise<Connection> {
  const url = URL.parse(address);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageError(`--remote takes an address such as http://host:7743, not ${JSON.stringify(address)}.`);
  if (!token) throw new CallError({ error: "--remote needs a token: pass --token, or set ARGUS_TOKEN.", code: "AUTH_REQUIRED" });
  const { HttpClient } = await import("@argus/client/http");
  const client = new HttpClient({
    url: address,
    token,
    fetch: (at, init) => fetch(at, init).catch((thrown: unknown) => unreachable(address, thrown)),
  });
  return {
    call: (name, input) => client.call(name, input),
    manifest: async (names) => {
      const { operations } = await client.get<{ operations: ManifestEntry[] }>("/api/operations");
      return names ? operations.filter((one) => names.includes(one.name)) : operations;
    },
    close: () => {},
  };
}

function unreachable(address: string, thrown: unknown): never {
  const { cause, message } = thrown as { cause?: { code?: string }; message: string };
  throw new CallError({
    error: `Nothing answers at ${address} (${cause?.code ?? message}). Is the daemon there running, with api.enabled set?`,
    code: "UNAVAILABLE",
  });
}
