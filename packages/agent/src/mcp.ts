/** Offers the tools of one MCP server (Argus itself, usually) to the model: three JSON-RPC calls over HTTP, no session, no library. */
import type { Tool } from "./tools.ts";

const PROTOCOL_VERSION = "2025-06-18"; // what every server of the last two years accepts
const CONNECT_MS = 5_000; // loopback answers in milliseconds: longer means nobody is there
const CALL_MS = 10 * 60_000; // a call may wait for a person's approval
const MAX_RESULT = 30_000; // characters, as for the shell
const MAX_TOOLS = 100; // more would drown the model's attention

/** Rejects with a sentence when the server cannot be used; the agent then goes on without it. */
export async function connectMcp(server: { url: string; token: string }, taken: string[], signal: AbortSignal): Promise<Tool[]> {
  const wire = new Wire(server);
  const soon = () => AbortSignal.any([signal, AbortSignal.timeout(CONNECT_MS)]);
  const clientInfo = { name: "argus-agent", version: "0.1.0" };
  await wire.call("initialize", { protocolVersion: PROTOCOL_VERSION, capabilities: {}, clientInfo }, soon());
  await wire.notify("notifications/initialized", soon());
  const tools: Tool[] = [];
  let cursor: string | undefined;
  do {
    const page: any = await wire.call("tools/list", cursor ? { cursor } : {}, soon());
    for (const tool of page.tools ?? []) {
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(tool.name) || taken.includes(tool.name)) continue; // models take no other names
      tools.push({
        name: tool.name,
        description: String(tool.description ?? tool.title ?? tool.name),
        schema: tool.inputSchema ?? { type: "object", properties: {} },
        describe: (input) => JSON.stringify(input).slice(0, 200),
        async run(input, context) {
          const limited = AbortSignal.any([context.signal, AbortSignal.timeout(CALL_MS)]);
          const result: any = await wire.call("tools/call", { name: tool.name, arguments: input }, limited);
          const said = (result.content ?? []).map((part: any) => part.text ?? `[${part.type}]`).join("\n");
          return { text: (said || JSON.stringify(result.structuredContent ?? {})).slice(0, MAX_RESULT), failed: result.isError === true };
        },
      });
    }
    cursor = page.nextCursor;
  } while (cursor && tools.length < MAX_TOOLS);
  return tools.slice(0, MAX_TOOLS);
}

class Wire {
  private next = 1;
  private session: string | null = null;
  private readonly server: { url: string; token: string };

  constructor(server: { url: string; token: string }) {
    this.server = server;
  }

  async call(method: string, params: object, signal: AbortSignal): Promise<unknown> {
    const id = this.next++;
    const response = await this.post({ jsonrpc: "2.0", id, method, params }, signal);
    const reply = answerIn(await response.text(), response.headers.get("content-type") ?? "", id);
    if (reply?.error) throw new Error(`${method}: ${reply.error.message}`);
    if (!reply) throw new Error(`${method}: the server at ${this.server.url} answered ${response.status} without a result.`);
    return reply.result;
  }

  async notify(method: string, signal: AbortSignal): Promise<void> {
    await (await this.post({ jsonrpc: "2.0", method }, signal)).body?.cancel();
  }

  private async post(message: object, signal: AbortSignal): Promise<Response> {
    const response = await fetch(this.server.url, {
      method: "POST",
      signal,
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": PROTOCOL_VERSION,
        ...(this.server.token && { authorization: `Bearer ${this.server.token}` }),
        ...(this.session && { "mcp-session-id": this.session }),
      },
      body: JSON.stringify(message),
    });
    this.session = response.headers.get("mcp-session-id") ?? this.session;
    if (response.status === 401 || response.status === 403)
      throw new Error(`The server at ${this.server.url} refused the token (${response.status}).`);
    return response;
  }
}

/** The reply to request `id`, from a JSON body or from the events of a stream. */
function answerIn(body: string, type: string, id: number): any {
  const texts = type.includes("event-stream") ? [...body.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1] as string) : [body];
  for (const text of texts) {
    try {
      const message = JSON.parse(text);
      if (message.id === id) return message;
    } catch {
      // a keep-alive, or an error page; the caller says what came
    }
  }
  return null;
}
