/** Talks to a real model through the `ai` package; loaded only when one is configured, because that import takes longer than all else together. */
import type { Message } from "./conversation.ts";
import { failure, sentenceOf } from "./failure.ts";
import type { ModelClient, StepRequest } from "./model.ts";
import type { ModelSettings } from "./options.ts";

const MAX_OUTPUT_TOKENS = 16_000; // a long file in one call; more than any edit of ours needs
const MAX_RETRIES = 2; // overload and network hiccups, 6 s in all; beyond that the user should know
const LIST_TIMEOUT_MS = 10_000; // a model list is small: an endpoint that takes longer is not there

/** Throws UNAVAILABLE when no model was named and the endpoint does not say which it has. */
export async function openProvider(settings: ModelSettings): Promise<ModelClient> {
  const name = settings.model ?? (await pickModel(settings));
  (globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false; // they go to stderr, in the middle of our screen
  const { streamText, jsonSchema, tool } = await import("ai");
  const model = await languageModel(settings, name);
  return {
    name,
    offline: false,
    async step(request: StepRequest) {
      const tools = Object.fromEntries(
        request.tools.map((offer) => [offer.name, tool({ description: offer.description, inputSchema: jsonSchema(offer.schema) })]),
      );
      const result = streamText({
        model,
        instructions: request.system,
        messages: request.messages.map(toModelMessage),
        tools,
        abortSignal: request.signal,
        maxRetries: MAX_RETRIES,
        maxOutputTokens: MAX_OUTPUT_TOKENS,
        onError() {}, // told below; the default prints to the console
      });
      const step = { text: "", calls: [] as { id: string; name: string; input: Record<string, unknown> }[], usage: undefined as any };
      for await (const part of result.stream) {
        if (part.type === "text-delta") {
          step.text += part.text;
          request.onText(part.text);
        } else if (part.type === "tool-call") {
          step.calls.push({ id: part.toolCallId, name: part.toolName, input: asObject(part.input) });
        } else if (part.type === "error") {
          throw await explain(part.error, settings);
        } else if (part.type === "abort") {
          request.signal.throwIfAborted();
        } else if (part.type === "finish") {
          const { inputTokens = 0, outputTokens = 0, inputTokenDetails } = part.totalUsage;
          step.usage = { input: inputTokens, output: outputTokens, cached: inputTokenDetails?.cacheReadTokens ?? 0 };
        }
      }
      request.signal.throwIfAborted();
      return step;
    },
  };
}

async function languageModel(settings: ModelSettings, name: string) {
  if (settings.dialect === "anthropic") {
    const { createAnthropic } = await import("@ai-sdk/anthropic");
    return createAnthropic({ baseURL: settings.baseUrl, apiKey: settings.apiKey })(name);
  }
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const key = settings.apiKey ? { apiKey: settings.apiKey } : {};
  return createOpenAICompatible({ name: "endpoint", baseURL: settings.baseUrl, includeUsage: true, ...key }).chatModel(name);
}

function toModelMessage(message: Message): any {
  if (message.role === "user") return { role: "user", content: message.text };
  if (message.role === "tool") {
    const output = { type: message.failed ? "error-text" : "text", value: message.text };
    return { role: "tool", content: [{ type: "tool-result", toolCallId: message.callId, toolName: message.name, output }] };
  }
  const calls = message.calls.map((call) => ({ type: "tool-call", toolCallId: call.id, toolName: call.name, input: call.input }));
  // An empty text part is refused by Anthropic; a message of nothing at all is refused by everybody.
  const text = message.text || (calls.length ? "" : "(no answer)");
  return { role: "assistant", content: [...(text ? [{ type: "text", text }] : []), ...calls] };
}

async function pickModel(settings: ModelSettings): Promise<string> {
  const headers: Record<string, string> =
    settings.dialect === "anthropic"
      ? { "x-api-key": settings.apiKey, "anthropic-version": "2023-06-01" }
      : settings.apiKey
        ? { authorization: `Bearer ${settings.apiKey}` }
        : {};
  const hint = "Name one with --model or ARGUS_AGENT_MODEL.";
  let ids: string[];
  try {
    const response = await fetch(`${settings.baseUrl}/models`, { headers, signal: AbortSignal.timeout(LIST_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    ids = ((await response.json()) as { data: { id: string }[] }).data.map((model) => model.id);
  } catch (error) {
    throw await failure("UNAVAILABLE", `${settings.baseUrl} was asked which models it has: ${sentenceOf(error)}. ${hint}`);
  }
  const picked = chooseModel(ids);
  if (!picked) throw await failure("UNAVAILABLE", `${settings.baseUrl} lists no models. ${hint}`);
  return picked;
}

/** The model a coding agent wants from a vendor's list: the general one of the vendors we know, else the first. */
export function chooseModel(ids: string[]): string | null {
  const general = ids.filter((id) => /^gpt-\d+(\.\d+)?$/.test(id)).sort((a, b) => Number(b.slice(4)) - Number(a.slice(4)));
  return ids.find((id) => id.includes("sonnet")) ?? general[0] ?? ids[0] ?? null;
}

async function explain(thrown: any, settings: ModelSettings): Promise<Error> {
  const status: number | undefined = thrown?.statusCode ?? thrown?.lastError?.statusCode;
  const what = sentenceOf(thrown?.lastError ?? thrown);
  if (status === 401 || status === 403) {
    return failure(
      "AUTH_REQUIRED",
      `${settings.baseUrl} refused the key (${status}: ${what}). Check ARGUS_AGENT_API_KEY or the vendor's variable.`,
    );
  }
  return failure("UNAVAILABLE", `The model at ${settings.baseUrl} did not answer (${status ? `${status}: ` : ""}${what}).`);
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
