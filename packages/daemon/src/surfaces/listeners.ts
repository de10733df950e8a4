/** Opens and closes the ports: loopback always, the tailnet when there is one, never every interface. */
import fs from "node:fs";
import type { Server } from "node:http";
import path from "node:path";
import { type HttpBindings, serve } from "@hono/node-server";
import type { Config } from "../features/config/index.ts";
import type { Tokens } from "../features/token/index.ts";
import type { Gate } from "../kernel/call.ts";
import type { Events } from "../kernel/events.ts";
import type { Log } from "../kernel/log.ts";
import type { Registry } from "../kernel/registry.ts";
import { tailscaleAddresses } from "./hosts.ts";
import { type McpSurface, mcpSurface } from "./mcp.ts";
import { restApp } from "./rest.ts";
import { listenSocket } from "./socket.ts";

export interface ListenerParts {
  gate: Gate;
  registry: Registry;
  tokens: Tokens;
  config: Config;
  events: Events;
  log: Log;
  env: NodeJS.ProcessEnv;
  home: string;
  /** Path of the local socket. */
  socket: string;
  now(): number;
  /** This host's addresses on a tailnet; told from outside in tests. */
  tailscale?: () => string[];
}

const LOOPBACK = "127.0.0.1";
const MORE_PORTS = 8; // REST-02
/** CONFIG-19 wants a toggle to be felt within 5 s, REST-03 an address within 30 s. */
const LOOK_MS = 2000;
/** A running agent holds the address of the last daemon; it is worth waiting for (MCP-14). */
const SAME_PORT_WAIT_MS = 10_000;
const RETRY_MS = 200;

type Fetch = (request: Request, env?: unknown) => Response | Promise<Response>;

export class Listeners implements AsyncDisposable {
  #parts: ListenerParts;
  #rest = new Map<string, Server>();
  #restPort: number | null = null;
  #mcp: { server: Server; port: number; surface: McpSurface } | null = null;
  #socket: AsyncDisposable | null = null;
  #timer: NodeJS.Timeout | null = null;
  #adjusting: Promise<void> = Promise.resolve();

  constructor(parts: ListenerParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    const { gate, registry, log } = this.#parts;
    await this.#startMcp();
    await this.adjust();
    this.#socket = await listenSocket(this.#parts.socket, { gate, registry, log });
    this.#timer = setInterval(() => void this.adjust().catch((err) => log.warn({ err }, "listeners could not be adjusted")), LOOK_MS);
    this.#timer.unref();
  }

  addresses(): { web: string | null; rest: string[]; mcp: string | null } {
    const rest = [...this.#rest.keys()].map((address) => `http://${address}:${this.#restPort}`);
    return { web: rest[0] ?? null, rest, mcp: this.#mcp ? `http://${LOOPBACK}:${this.#mcp.port}/mcp` : null };
  }

  /** Ports as asked for; 0 lets the system choose. */
  wanted(): { rest: number; mcp: number } {
    const { config, env } = this.#parts;
    return {
      rest: portFrom(env.ARGUS_API_PORT) ?? config.int("api.http_port"),
      mcp: portFrom(env.ARGUS_MCP_PORT) ?? config.int("kb.http_port"),
    };
  }

  /** Brings the REST listeners in line with settings and network. */
  adjust(): Promise<void> {
    this.#adjusting = this.#adjusting.catch(() => {}).then(() => this.#adjust());
    return this.#adjusting;
  }

  #enabled(): boolean {
    const { value, layer } = this.#parts.config.lookup("api.enabled");
    // Naming the port in the environment is asking for it, unless somebody said otherwise.
    return layer === "default" ? portFrom(this.#parts.env.ARGUS_API_PORT) !== undefined : (value as boolean);
  }

  async #adjust(): Promise<void> {
    const wanted = this.#enabled() ? [LOOPBACK, ...(this.#parts.tailscale ?? tailscaleAddresses)()] : [];
    for (const [address, server] of [...this.#rest])
      if (!wanted.includes(address)) {
        this.#rest.delete(address);
        await close(server);
      }
    if (wanted.length === 0) {
      this.#restPort = null;
      return;
    }
    for (const address of wanted) {
      if (this.#rest.has(address)) continue;
      const first = this.#restPort ?? this.wanted().rest;
      const opened = await this.#open(address, first, this.#restPort === null ? MORE_PORTS : 0, this.#restFetch());
      if (!opened) {
        this.#parts.log.warn({ address, port: first }, "no free port for REST");
        continue;
      }
      this.#rest.set(address, opened.server);
      this.#restPort ??= opened.port;
    }
    this.#remember();
  }

  #app: Fetch | null = null;
  #restFetch(): Fetch {
    const { gate, registry, tokens, events, config, now } = this.#parts;
    this.#app ??= restApp(
      {
        gate,
        registry,
        events,
        authenticate: (token) => tokens.authenticate(token, "rest"),
        login: (code, label) => tokens.login(code, label),
        bound: () => [...this.#rest.keys()],
        allowedHosts: () => config.list("api.allowed_hosts"),
        now,
      },
      (env) => (env as HttpBindings | undefined)?.incoming?.socket?.remoteAddress ?? "",
    ).fetch as Fetch;
    return this.#app;
  }

  async #startMcp(): Promise<void> {
    const { gate, registry, tokens, config, log } = this.#parts;
    const surface = mcpSurface({
      gate,
      registry,
      authenticate: (token) => tokens.authenticate(token, "mcp"),
      requireToken: () => config.bool("mcp.require_token"),
    });
    const configured = this.wanted().mcp;
    const before = this.#remembered().mcp;
    const agentsRun = fs.existsSync(path.join(this.#parts.home, "supervisor.sock"));
    // The same port as the last daemon, when its agents may still hold the address.
    if (before !== undefined && agentsRun && Math.abs(before - configured) <= MORE_PORTS) {
      const deadline = Date.now() + SAME_PORT_WAIT_MS;
      for (;;) {
        const opened = await this.#open(LOOPBACK, before, 0, surface.fetch);
        if (opened) {
          this.#mcp = { ...opened, surface };
          break;
        }
        if (Date.now() >= deadline) break;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (!this.#mcp) {
      const opened = await this.#open(LOOPBACK, configured, MORE_PORTS, surface.fetch);
      if (opened) this.#mcp = { ...opened, surface };
      else log.error({ from: configured }, "no free port for MCP; agents have no tools until one is free and the daemon is restarted");
    }
    this.#remember();
  }

  /** The first free port from `first` on, or null. */
  async #open(address: string, first: number, more: number, fetch: Fetch): Promise<{ server: Server; port: number } | null> {
    for (let port = first; port <= Math.min(65_535, first + more); port++) {
      const server = await listen(address, port, fetch).catch((thrown: NodeJS.ErrnoException) => {
        if (thrown.code === "EADDRINUSE" || thrown.code === "EACCES" || thrown.code === "EADDRNOTAVAIL") return null;
        throw thrown;
      });
      if (server) return { server, port: (server.address() as { port: number }).port };
    }
    return null;
  }

  #file(): string {
    return path.join(this.#parts.home, "run", "ports.json");
  }

  #remembered(): { mcp?: number; rest?: number } {
    try {
      return JSON.parse(fs.readFileSync(this.#file(), "utf8")) as { mcp?: number; rest?: number };
    } catch {
      return {};
    }
  }

  #remember(): void {
    const text = JSON.stringify({ mcp: this.#mcp?.port, rest: this.#restPort ?? undefined });
    if (JSON.stringify(this.#remembered()) === text) return;
    try {
      fs.writeFileSync(this.#file(), text, { mode: 0o600 });
    } catch (err) {
      this.#parts.log.warn({ err }, "ports could not be remembered");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#adjusting.catch(() => {});
    this.#mcp?.surface.close();
    await Promise.all([...this.#rest.values(), ...(this.#mcp ? [this.#mcp.server] : [])].map(close));
    await this.#socket?.[Symbol.asyncDispose]();
  }
}

/** Port 0 lets the system choose (tests). */
function portFrom(text: string | undefined): number | undefined {
  const port = Number(text);
  return text !== undefined && text !== "" && Number.isInteger(port) && port >= 0 && port <= 65_535 ? port : undefined;
}

function listen(address: string, port: number, fetch: Fetch): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname: address, port, autoCleanupIncoming: true }, () => resolve(server as Server)) as Server;
    server.once("error", reject);
    server.headersTimeout = 10_000;
    server.keepAliveTimeout = 5_000;
    server.requestTimeout = 120_000; // of the request only; streams answer as long as they like
  });
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
