/** MCP on port 7742: operations as tools, for agents of both protocol eras. */
import { ArgusError, reaches, toArgusError } from "@argus/protocol";
import {
  createMcpHandler,
  INVALID_PARAMS,
  type McpHttpHandler,
  METHOD_NOT_FOUND,
  ProtocolError,
  Server,
  type Tool,
} from "@modelcontextprotocol/server";
import type { Gate } from "../kernel/call.ts";
import type { Caller } from "../kernel/caller.ts";
import { mcpName, type Registry } from "../kernel/registry.ts";
import { readBody } from "./body.ts";
import { isAllowedHost } from "./hosts.ts";
import { reply } from "./rest.ts";

export interface McpParts {
  gate: Gate;
  registry: Registry;
  authenticate(token: string): Promise<Caller>;
  requireToken(): boolean;
}

const MAX_BODY_BYTES = 4 * 1024 * 1024; // MCP-03
const KEEPALIVE_MS = 30_000;
const OLDEST_PROTOCOL = "2024-11-05"; // MCP-04: for clients that name none

/** Below 2,048 bytes: clients cut longer instructions. */
const INSTRUCTIONS = `Argus runs coding agents side by side, each task in its own git worktree and terminal.
With these tools you can do what the person at the screen can: create tasks (task_create), watch them (task_list, task_get), stop, resume, rename, fork and complete them.
Tools that act on "your own" task need no id: you are known by your token. Without one, pass cwd (your working directory).
When your work is done, call task_complete, and task_archive if nobody needs to see it any more; the two are independent. Store what others need to read with task_set_result.
A call that needs a person's approval answers {"pending": id}; call approval_wait with that id, then make the same call again.
operation_search finds every other operation; operation_call runs it.`;

const SEARCH_TOOL = {
  name: "operation_search",
  description: "Find operations of Argus that are not tools of their own, with their input schemas",
  inputSchema: {
    type: "object" as const,
    properties: {
      query: { type: "string", description: "Words of the name or summary; empty lists all" },
      limit: { type: "integer", minimum: 1, maximum: 50 },
    },
  },
  annotations: { readOnlyHint: true },
};
const CALL_TOOL = {
  name: "operation_call",
  description: "Run an operation found with operation_search",
  inputSchema: { type: "object" as const, required: ["name"], properties: { name: { type: "string" }, input: { type: "object" } } },
};

export interface McpSurface {
  fetch(request: Request): Promise<Response>;
  close(): void;
}

export function mcpSurface(parts: McpParts): McpSurface {
  const open = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const notify = () => {
    for (const stream of open)
      stream.enqueue(encode(`data: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/tools/list_changed" })}\n\n`));
  };
  // One handler for all requests, because subscriptions of one are told of changes by another; who asks travels as its auth info.
  const handler = createMcpHandler(
    ({ authInfo, requestInfo }) => server(authInfo?.extra?.caller as Caller, parts, requestInfo?.signal ?? new AbortController().signal),
    { keepAliveMs: KEEPALIVE_MS },
  );
  const unsubscribe = parts.registry.onChange(() => {
    notify();
    handler.notify.toolsChanged();
  });

  return {
    async fetch(request) {
      const url = new URL(request.url);
      if (!isAllowedHost(request.headers.get("host") ?? undefined, ["127.0.0.1"], []) || request.headers.has("origin"))
        return reply(new ArgusError("PERMISSION_DENIED", "This address is for agents on this machine: no web page, no other Host name."));
      if (url.pathname !== "/mcp") return reply(new ArgusError("NOT_FOUND", "The MCP endpoint is /mcp."));
      let caller: Caller;
      try {
        caller = await identify(request, parts);
      } catch (thrown) {
        return reply(toArgusError(thrown));
      }
      if (request.method === "DELETE") return new Response(null, { status: 200 });
      if (request.method === "GET") return eventStream(open);
      if (request.method !== "POST") return reply(new ArgusError("INVALID_INPUT", "The MCP endpoint takes POST, GET and DELETE."));
      try {
        return await post(request, caller, handler);
      } catch (thrown) {
        return reply(toArgusError(thrown));
      }
    },
    close() {
      unsubscribe();
      void handler.close();
      for (const stream of open) stream.close();
      open.clear();
    },
  };
}

/** A task's token is its identity; without one the caller is anonymous and its working directory a claim (MCP-15 to MCP-17). */
async function identify(request: Request, parts: McpParts): Promise<Caller> {
  const token = request.headers.get("authorization")?.match(/^Bearer\s+(\S+)$/i)?.[1];
  if (token) return parts.authenticate(token);
  if (parts.requireToken()) throw new ArgusError("AUTH_REQUIRED", "mcp.require_token is set: send Authorization: Bearer <token>.");
  return { kind: "anonymous", id: "anonymous", tier: "write", surface: "mcp" };
}

async function post(request: Request, caller: Caller, handler: McpHttpHandler): Promise<Response> {
  const text = Buffer.from(await readBody(request, MAX_BODY_BYTES)).toString("utf8");
  const parsed = tolerant(text);
  const headers = new Headers(request.headers);
  headers.set("accept", "application/json, text/event-stream"); // clients that forget one of the two are answered all the same
  headers.set("content-type", "application/json");
  headers.delete("content-length");
  const body = parsed === undefined ? text : JSON.stringify(parsed);
  const forwarded = new Request(request.url, { method: "POST", headers, body, signal: request.signal });
  const response = await handler.fetch(forwarded, { authInfo: { token: "", clientId: caller.id, scopes: [], extra: { caller } } });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
  // A subscription has no end: reading it to the end would hold back its first line for ever.
  if ((parsed as { method?: unknown } | null | undefined)?.method === "subscriptions/listen") return response;
  // One message: a plain JSON reply is what every client reads.
  const messages = (await response.text())
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => line.slice(6));
  const last = messages.at(-1);
  return last === undefined
    ? new Response(null, { status: 202 })
    : new Response(last, { status: 200, headers: { "content-type": "application/json" } });
}

/** Completes an `initialize` that leaves out what older clients leave out; undefined when the text is not JSON, so that the SDK answers -32700. */
function tolerant(text: string): unknown {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof message !== "object" || message === null || (message as { method?: unknown }).method !== "initialize") return message;
  const request = message as { params?: Record<string, unknown> };
  const params = typeof request.params === "object" && request.params !== null ? request.params : {};
  return {
    ...request,
    params: {
      ...params,
      protocolVersion: typeof params.protocolVersion === "string" ? params.protocolVersion : OLDEST_PROTOCOL,
      capabilities: params.capabilities ?? {},
      clientInfo: params.clientInfo ?? { name: "unknown", version: "0" },
    },
  };
}

function server(caller: Caller, { gate, registry }: McpParts, signal: AbortSignal | undefined): Server {
  const mcp = new Server(
    { name: "argus", version: "0.1.0" },
    { capabilities: { tools: { listChanged: true } }, instructions: INSTRUCTIONS },
  );
  mcp.setRequestHandler("tools/list", async () => ({ tools: [...tools(registry, caller), SEARCH_TOOL, CALL_TOOL] as Tool[] }));
  mcp.setRequestHandler("tools/call", async ({ params }) => {
    const args = (params.arguments ?? {}) as Record<string, unknown>;
    if (params.name === SEARCH_TOOL.name) return result(search(registry, caller, args));
    let name: string;
    let input: unknown = args;
    if (params.name === CALL_TOOL.name) {
      if (typeof args.name !== "string") throw new ProtocolError(INVALID_PARAMS, "name is required: the operation to call.");
      [name, input] = [args.name, args.input ?? {}];
      if (registry.all().some((one) => one.name === name && one.as?.mcp === null))
        throw new ProtocolError(METHOD_NOT_FOUND, `${name} is not for agents.`);
    } else {
      const operation = registry.all().find((one) => mcpName(one) === params.name);
      if (!operation) throw new ProtocolError(METHOD_NOT_FOUND, `There is no tool ${params.name.slice(0, 100)}.`);
      name = operation.name;
    }
    try {
      return result(
        await gate.call(name, input, {
          caller: {
            ...caller,
            surface: "mcp",
            ...(typeof (input as { cwd?: unknown }).cwd === "string" && { cwd: (input as { cwd: string }).cwd }),
          },
          signal,
        }),
      );
    } catch (thrown) {
      const error = toArgusError(thrown);
      if (error.code === "METHOD_NOT_FOUND") throw new ProtocolError(METHOD_NOT_FOUND, error.message);
      if (error.code === "INVALID_INPUT" && error.details?.fields) throw new ProtocolError(INVALID_PARAMS, error.message, error.details);
      if (error.code === "PENDING") return result({ pending: error.details?.pending, message: error.message });
      return { isError: true, content: [{ type: "text" as const, text: error.message }], structuredContent: { ...error.toBody() } };
    }
  });
  return mcp;
}

function tools(registry: Registry, caller: Caller) {
  return registry.all().flatMap((operation) => {
    const name = mcpName(operation);
    if (!name || operation.stream || (operation.tier === "admin" && !reaches(caller.tier, "admin"))) return [];
    const schema = registry.inputSchema(operation) as { properties?: Record<string, unknown> };
    const { files: _, ...properties } = schema.properties ?? {};
    return [
      {
        name,
        description: operation.summary,
        inputSchema: { ...schema, properties, additionalProperties: undefined, type: "object" as const },
        annotations: { readOnlyHint: operation.tier === "readonly", destructiveHint: /delete|prune|stop/.test(operation.name) },
      },
    ];
  });
}

function search(registry: Registry, caller: Caller, { query, limit }: Record<string, unknown>) {
  const words = String(query ?? "")
    .toLowerCase()
    .split(/\s+/)
    .filter(Boolean);
  const hidden = new Set(registry.all().flatMap((one) => (one.as?.mcp === null ? [one.name] : [])));
  const found = registry
    .manifest()
    .filter(
      (one) =>
        !one.stream &&
        !one.planned &&
        !hidden.has(one.name) &&
        words.every((word) => `${one.name} ${one.summary}`.toLowerCase().includes(word)) &&
        reaches(caller.tier, one.tier as never),
    );
  return { operations: found.slice(0, Number(limit) || 20).map(({ name, summary, tier, input }) => ({ name, summary, tier, input })) };
}

/** Readable text and the same value for programs (MCP-09). */
function result(value: unknown) {
  const structured = typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
  return { content: [{ type: "text" as const, text: JSON.stringify(structured, null, 1) }], structuredContent: structured };
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);

/** Held open for notifications, with a comment every 30 s so that nobody in between closes it. */
function eventStream(open: Set<ReadableStreamDefaultController<Uint8Array>>): Response {
  let mine: ReadableStreamDefaultController<Uint8Array>;
  let timer: NodeJS.Timeout;
  const body = new ReadableStream<Uint8Array>({
    start(stream) {
      mine = stream;
      open.add(stream);
      stream.enqueue(encode(": connected\n\n"));
      timer = setInterval(() => (open.has(stream) ? stream.enqueue(encode(": keepalive\n\n")) : clearInterval(timer)), KEEPALIVE_MS);
      timer.unref();
    },
    cancel() {
      clearInterval(timer);
      open.delete(mine);
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}
