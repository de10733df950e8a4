/** Reads server-sent events from a fetch reply, because EventSource can neither send a header nor say why it was refused. */

export interface ServerEvent {
  /** `message` when the server named none. */
  type: string;
  data: string;
  /** Id of this event or the last one before it; empty when there was none. */
  id: string;
}

/** Incremental parser after the HTML standard: any line ending, comments, several data lines, ids that stick. */
export class SseParser {
  #buffer = "";
  #started = false;
  #type = "";
  #data: string[] = [];
  #id = "";

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    if (!this.#started && text) {
      this.#started = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    this.#buffer += text;
    for (;;) {
      const end = this.#buffer.search(/[\r\n]/);
      if (end < 0) return events;
      // A CR at the very end may be the first half of CRLF: wait for what follows.
      if (this.#buffer[end] === "\r" && end === this.#buffer.length - 1) return events;
      const line = this.#buffer.slice(0, end);
      this.#buffer = this.#buffer.slice(this.#buffer.startsWith("\r\n", end) ? end + 2 : end + 1);
      const event = this.#line(line);
      if (event) events.push(event);
    }
  }

  #line(line: string): ServerEvent | null {
    if (line === "") {
      const event = this.#data.length > 0 ? { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id } : null;
      this.#type = "";
      this.#data = [];
      return event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment: the server's sign of life
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }
}

/** Silence after which a stream counts as dead; the server sends a comment every 30 s. */
const SILENCE_MS = 75_000;

/**
 * Calls `onEvent` for each event until the reply ends, and waits for it when it returns a promise (a full terminal slows its own stream).
 * Rejects when the connection breaks, stays silent for 75 s, or `abort` fires.
 */
export async function readEvents(
  response: Response,
  onEvent: (event: ServerEvent) => void | Promise<void>,
  abort: AbortController,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const parser = new SseParser();
  const decoder = new TextDecoder();
  let silence: ReturnType<typeof setTimeout> | undefined;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), SILENCE_MS);
  };
  try {
    listen();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      listen();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        const busy = onEvent(event);
        if (busy) await busy;
      }
    }
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {});
  }
}
