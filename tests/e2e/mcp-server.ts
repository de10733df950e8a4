/** A minimal MCP server on loopback with one tool, which records who called it with which token. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface McpServer extends AsyncDisposable {
  url: string;
  /** Tool calls that carried the right token. */
  calls: { name: string; agent: string }[];
  /** Requests that did not. */
  refused: number;
}

export async function startMcpServer(token: string): Promise<McpServer> {
  const calls: { name: string; agent: string }[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (request.headers.authorization !== `Bearer ${token}`) {
      handle.refused++;
      return response.writeHead(401, { "www-authenticate": "Bearer" }).end();
    }
    if (request.method !== "POST") return response.writeHead(405).end(); // no server-sent stream: stateless
    const { id, method, params } = JSON.parse(Buffer.concat(parts).toString());
    if (id === undefined) return response.writeHead(202).end();
    if (method === "tools/call") calls.push({ name: params.name, agent: request.headers["user-agent"] ?? "" });
    const results: Record<string, unknown> = {
      initialize: {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "argus", version: "1" },
      },
      "tools/list": { tools: [{ name: "task_list", description: "Lists tasks", inputSchema: { type: "object", properties: {} } }] },
      "tools/call": { content: [{ type: "text", text: "task seven" }] },
      ping: {},
    };
    const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: `No method ${method}.` } };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const handle: McpServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    calls,
    refused: 0,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return handle;
}
