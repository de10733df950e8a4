/** What the agent needs of a language model: one step of a conversation, streamed. Whatever library or endpoint serves it stays behind this. */
import type { Message, ToolCall } from "./conversation.ts";

export interface Usage {
  /** Tokens. */
  input: number;
  output: number;
  cached: number;
}
export interface ToolOffer {
  name: string;
  description: string;
  /** JSON schema of an object. */
  schema: Record<string, unknown>;
}
export interface StepRequest {
  system: string;
  messages: Message[];
  tools: ToolOffer[];
  signal: AbortSignal;
  onText(delta: string): void;
}
export interface Step {
  text: string;
  calls: ToolCall[];
  usage?: Usage;
}
export interface ModelClient {
  /** Shown to the user; what the endpoint calls it. */
  readonly name: string;
  /** True for the one that cannot think. */
  readonly offline: boolean;
  /** Rejects with a sentence for the user; rejects with the signal's reason when aborted. */
  step(request: StepRequest): Promise<Step>;
}

const REMOVED = "[This output was removed to stay within the model's context window. Run the tool again if it is needed.]";

/** The messages with the oldest tool outputs emptied until they are below `limit` characters. What people and the model said stays. */
export function fit(messages: Message[], limit: number): Message[] {
  let size = messages.reduce((sum, message) => sum + sizeOf(message), 0);
  if (size <= limit) return messages;
  return messages.map((message) => {
    if (size <= limit || message.role !== "tool" || message.text.length <= REMOVED.length) return message;
    size -= message.text.length - REMOVED.length;
    return { ...message, text: REMOVED };
  });
}

function sizeOf(message: Message): number {
  return message.text.length + (message.role === "assistant" ? JSON.stringify(message.calls).length : 0);
}
