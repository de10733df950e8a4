/**
 * Run by a coding agent's own hooks: tells the daemon what the agent does, with the token of its run.
 * Plain JavaScript with two built-in imports, because it starts at every step of the agent: about 50 ms instead of 100 for a .ts file.
 * It prints nothing and always ends with 0: output would become part of the conversation, and a failure could block the agent.
 *
 * Arguments: the MCP configuration of this launch (0600; holds address and token), and the state this hook stands for.
 */
import { readFileSync } from "node:fs";
import { request } from "node:http";

/** A daemon that is just restarting is not waited for: the next hook comes soon. */
const TIMEOUT_MS = 2_000;

function tell() {
  const [file, meant] = process.argv.slice(2);
  const { url, headers } = JSON.parse(readFileSync(file, "utf8")).mcpServers.argus;
  const { state, evidence } = say(meant, told());
  const params = { name: "operation_call", arguments: { name: "session.report", input: { state, evidence } } };
  const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params };
  const post = request(url, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", accept: "application/json, text/event-stream" },
    timeout: TIMEOUT_MS,
  });
  post.on("response", (response) => response.resume());
  post.on("timeout", () => post.destroy());
  post.on("error", () => {});
  post.end(JSON.stringify(call));
}

/** What the agent says of the event, on standard input. */
function told() {
  try {
    return JSON.parse(readFileSync(0, "utf8"));
  } catch {
    return {};
  }
}

function say(state, event) {
  const name = String(event.hook_event_name ?? "hook");
  const message = typeof event.message === "string" ? event.message.replace(/\s+/g, " ").slice(0, 150) : "";
  // A minute after its last word it reminds of itself: that is no question.
  if (state === "needs_input" && (event.notification_type === "idle_prompt" || /waiting for your input/i.test(message)))
    return { state: "idle", evidence: `${name}: ${message}` };
  if (message) return { state, evidence: `${name}: ${message}` };
  return { state, evidence: typeof event.tool_name === "string" ? `${name}: ${event.tool_name.slice(0, 100)}` : name };
}

try {
  tell();
} catch {
  // Started without Argus, or the run is over.
}
