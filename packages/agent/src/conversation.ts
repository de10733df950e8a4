/** Keeps a conversation in a file of JSON lines, written after every step, so that a killed agent goes on where it was. */
import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { failure } from "./failure.ts";
import type { Usage } from "./model.ts";

export interface ToolCall {
  id: string;
  name: string;
  input: Record<string, unknown>;
}
export type Message =
  /** `ran`: a command the user ran by hand, told to the model for its information; it asks for no answer. */
  | { role: "user"; text: string; ran?: boolean }
  | { role: "assistant"; text: string; calls: ToolCall[]; model?: string; usage?: Usage; interrupted?: boolean }
  | { role: "tool"; callId: string; name: string; text: string; failed?: boolean };

interface Header {
  type: "session";
  version: 1;
  id: string;
  cwd: string;
  /** Unix milliseconds. */
  createdAt: number;
}
type Line = Header | { type: "message"; at: number; message: Message };

const CUT_OFF = "The agent was stopped while this ran. Whether it finished is unknown: check before doing it again.";

export class Conversation {
  readonly id: string;
  readonly file: string;
  readonly messages: Message[];
  /** True when a resumed conversation ended in the middle of a turn. */
  cutOff = false;

  private constructor(id: string, file: string, messages: Message[]) {
    this.id = id;
    this.file = file;
    this.messages = messages;
  }

  /** Starts a new one, on disk at once: what was started can be resumed even if nothing was said. Throws CONFLICT when the id is taken. */
  static async create(home: string, cwd: string, id: string = randomUUID()): Promise<Conversation> {
    const file = fileOf(home, id);
    if (existsSync(file))
      throw await failure("CONFLICT", `Session ${id} exists already. Continue it with --resume ${id}, or choose another id.`);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const header: Header = { type: "session", version: 1, id, cwd, createdAt: Date.now() };
    writeFileSync(file, `${JSON.stringify(header)}\n`, { mode: 0o600, flag: "wx" });
    return new Conversation(id, file, []);
  }

  /** Reads a stored one and mends its end: half a line is dropped, a call without a result gets one that says so. Throws NOT_FOUND. */
  static async resume(home: string, id: string): Promise<Conversation> {
    const file = fileOf(home, id);
    if (!existsSync(file))
      throw await failure("NOT_FOUND", `There is no session ${id} in ${path.dirname(file)}. Start one with --session-id ${id}.`);
    const bytes = readFileSync(file);
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.length) truncateSync(file, whole);
    const lines = bytes.subarray(0, whole).toString("utf8").split("\n").filter(Boolean).map(parseLine);
    const conversation = new Conversation(
      id,
      file,
      lines.flatMap((line) => (line?.type === "message" ? [line.message] : [])),
    );
    conversation.mend();
    return conversation;
  }

  append(message: Message): void {
    const line: Line = { type: "message", at: Date.now(), message };
    appendFileSync(this.file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    this.messages.push(message);
  }

  private mend(): void {
    const at = this.messages.findLastIndex((message) => message.role === "assistant" && message.calls.length > 0);
    const asked = this.messages[at];
    if (asked?.role === "assistant") {
      const answered = new Set(this.messages.slice(at + 1).map((message) => (message.role === "tool" ? message.callId : "")));
      for (const call of asked.calls) {
        if (!answered.has(call.id)) this.append({ role: "tool", callId: call.id, name: call.name, text: CUT_OFF, failed: true });
      }
    }
    const last = this.messages.at(-1);
    this.cutOff = last?.role === "tool" || (last?.role === "user" && last.ran !== true);
  }
}

function fileOf(home: string, id: string): string {
  return path.join(home, "sessions", `${id}.jsonl`);
}

function parseLine(text: string): Line | null {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null; // a line damaged from outside costs that line, not the conversation
  }
}
