/** Gives pi, which speaks no MCP, the tools of the server in ARGUS_MCP_URL: `pi --extension <this file>`, nothing written to repository or home. */
import { connectMcp } from "./mcp.ts";

/** The part of pi's extension interface that is used here (0.87). */
interface Pi {
  registerTool(tool: {
    name: string;
    label: string;
    description: string;
    parameters: unknown;
    execute(
      id: string,
      params: Record<string, unknown>,
      signal?: AbortSignal,
    ): Promise<{ content: { type: "text"; text: string }[]; details: undefined }>;
  }): void;
}

const OWN = ["read", "bash", "edit", "write", "grep", "find", "ls"]; // pi's tools keep their names

/** Pi waits for this before it starts. A server that cannot be reached costs its tools, never the start. */
export default async function argusTools(pi: Pi): Promise<void> {
  const { ARGUS_MCP_URL: url, ARGUS_MCP_TOKEN: token = "" } = process.env;
  if (!url) return;
  const never = new AbortController().signal;
  const tools = await connectMcp({ url, token }, OWN, never).catch(() => []);
  for (const tool of tools) {
    pi.registerTool({
      name: tool.name,
      label: tool.name,
      description: tool.description,
      parameters: tool.schema,
      async execute(_id, params, signal) {
        const result = await tool.run(params, { cwd: process.cwd(), signal: signal ?? never });
        if (result.failed) throw new Error(result.text); // pi marks a call as failed only by an exception
        return { content: [{ type: "text", text: result.text }], details: undefined };
      },
    });
  }
}
