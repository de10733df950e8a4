/** The five doors into one host, each as one function: gate, REST, MCP, local socket, command line. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { SocketClient } from "@argus/client/socket";
import type { Host } from "../src/host.ts";
import type { AnyOperation } from "../src/kernel/operation.ts";
import { mcpName } from "../src/kernel/registry.ts";

export type Json = Record<string, unknown>;
export type Door = (operation: AnyOperation, input: Json) => Promise<unknown>;

export interface Rpc {
  status: number;
  headers: Headers;
  body: { jsonrpc?: string; id?: unknown; result?: Json; error?: { code: number; message: string; data?: Json } } & Json;
}

let ids = 0;

/** One JSON-RPC request to the MCP server, as a client without any library sends it. */
export async function rpc(host: Host, method: string, params?: unknown, headers: Record<string, string> = {}): Promise<Rpc> {
  const response = await fetch(mcpUrl(host), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++ids, method, ...(params !== undefined && { params }) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? {} : JSON.parse(text) };
}

export const mcpUrl = (host: Host): string => host.system.listeners.addresses().mcp ?? assert.fail("MCP is not served");

/** Result of a tool: what it says to people and to programs. */
export interface ToolReply {
  isError?: boolean;
  content: { type: string; text: string }[];
  structuredContent: Json;
}

/** Calls a tool and expects JSON-RPC to succeed; `token` makes the caller somebody. */
export async function tool(host: Host, name: string, args: unknown = {}, token?: string): Promise<ToolReply> {
  const { body } = await rpc(host, "tools/call", { name, arguments: args }, token ? { authorization: `Bearer ${token}` } : {});
  assert.equal(body.error, undefined, `${name}: ${JSON.stringify(body.error)}`);
  return body.result as unknown as ToolReply;
}

/** The request a REST client would write for this operation: its own path where the input fills it, else /api/call. */
export function restRequest(operation: AnyOperation, input: Json): { method: string; path: string; body?: unknown } {
  for (const [route, preset] of Object.entries(operation.rest ?? {})) {
    const [method, template] = route.split(" ") as [string, string];
    const left = { ...input };
    for (const [name, value] of Object.entries(preset)) {
      if (left[name] !== value) left.__wrong = true;
      delete left[name];
    }
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = left[name];
      delete left[name];
      if (value === undefined) left.__wrong = true;
      return encodeURIComponent(String(value));
    });
    if (left.__wrong) continue;
    if (operation.rawBody) return { method, path, body: Buffer.from(String(left.text)) };
    if (method === "GET") return { method, path: Object.keys(left).length > 0 ? `${path}?${new URLSearchParams(left as never)}` : path };
    return { method, path, ...(Object.keys(left).length > 0 && { body: left }) };
  }
  return { method: "POST", path: `/api/call/${operation.name}`, body: input };
}

const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));

/** Runs the real command line against this host; answers exit status and output. */
export function argus(host: Host, args: string[], cwd?: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", CLI, ...args],
      { env: { ...process.env, ARGUS_HOME: host.home }, cwd: cwd ?? host.home, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => resolve({ code: error ? Number((error as { code?: unknown }).code ?? 1) : 0, stdout, stderr }),
    );
  });
}

/** All doors of a host by name. MCP comes with the master token, because the others are the owner too. */
export function doors(host: Host): Record<"gate" | "rest" | "mcp" | "socket" | "cli", Door> {
  return {
    gate: (operation, input) => host.call(operation.name, input),
    async rest(operation, input) {
      const { method, path, body } = restRequest(operation, input);
      const response = await host.rest(method, path, body);
      const text = await response.text();
      assert.equal(response.status, operation.status ?? 200, `${method} ${path}: ${text}`);
      if (!operation.present) return JSON.parse(text) as unknown;
      return {
        text,
        ...(response.headers.has("x-source") && {
          source: response.headers.get("x-source"),
          total: Number(response.headers.get("x-output-total")),
        }),
      };
    },
    async mcp(operation, input) {
      const name = mcpName(operation);
      const reply = name
        ? await tool(host, name, input, host.token)
        : await tool(host, "operation_call", { name: operation.name, input }, host.token);
      assert.equal(reply.isError, undefined, `${operation.name}: ${reply.content[0]?.text}`);
      assert.deepEqual(JSON.parse(reply.content[0]?.text ?? ""), reply.structuredContent, "text and structured content are one value");
      return reply.structuredContent;
    },
    async socket(operation, input) {
      using client = await SocketClient.connect(`${host.home}/daemon.sock`);
      return await client.call(operation.name, input);
    },
    async cli(operation, input) {
      const flags = Object.entries(input).map(
        ([name, value]) => `--${name.replaceAll("_", "-")}=${typeof value === "string" ? value : JSON.stringify(value)}`,
      );
      const { code, stdout, stderr } = await argus(host, ["--json", operation.name, ...flags]);
      assert.equal(code, 0, `argus ${operation.name} ${flags.join(" ")}: ${stdout}${stderr}`);
      return JSON.parse(stdout) as unknown;
    },
  };
}

export interface RawReply {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

/** A request with exactly these headers: fetch does not let Host and Origin be chosen. */
export function raw(
  url: string | URL,
  options: { method?: string; headers?: http.OutgoingHttpHeaders; body?: string | Uint8Array; agent?: http.Agent } = {},
): Promise<RawReply> {
  const { body } = options;
  // Node frames the body of a DELETE by itself only when told its length.
  const headers = { ...options.headers, ...(body !== undefined && { "content-length": Buffer.byteLength(body) }) };
  return new Promise((resolve, reject) => {
    const request = http.request(url, { ...options, headers, setHost: options.headers?.host === undefined }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(parts).toString("utf8") }),
      );
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}
