/** A one-line editor as a pure state machine: bytes of a terminal in, what the user meant out. Pasted newlines stay text. */

export type EditorEvent =
  | { kind: "submit"; text: string }
  /** Ctrl-C. */
  | { kind: "interrupt" }
  /** Ctrl-D on an empty line. */
  | { kind: "end" }
  | { kind: "changed" }
  /** Ctrl-L. */
  | { kind: "clear" };

const MAX_HISTORY = 200;
const PASTE_END = "\x1b[201~";

export class Editor {
  text = "";
  /** Index into `text`. */
  cursor = 0;
  private pending = "";
  private pasting = false;
  private history: string[] = [];
  /** Index into history while browsing; history.length means the line being written. */
  private at = 0;
  private draft = "";

  feed(chunk: string): EditorEvent[] {
    const events: EditorEvent[] = [];
    let rest = this.pending + chunk;
    this.pending = "";
    while (rest) {
      if (this.pasting) {
        const end = rest.indexOf(PASTE_END);
        if (end < 0) {
          const held = overlap(rest, PASTE_END);
          this.insert(rest.slice(0, rest.length - held));
          this.pending = rest.slice(rest.length - held);
          break;
        }
        this.insert(rest.slice(0, end));
        this.pasting = false;
        rest = rest.slice(end + PASTE_END.length);
        continue;
      }
      if (rest[0] === "\x1b") {
        const sequence = escapeSequence(rest);
        if (sequence === null) {
          this.pending = rest; // cut in the middle: the rest comes with the next bytes
          break;
        }
        rest = rest.slice(sequence.length);
        this.escape(sequence);
        continue;
      }
      const plain = /^[^\x00-\x1f\x7f]+/.exec(rest)?.[0];
      if (plain) {
        this.insert(plain);
        rest = rest.slice(plain.length);
        continue;
      }
      const event = this.control(rest[0] as string);
      if (event) events.push(event);
      rest = rest.slice(1);
    }
    events.push({ kind: "changed" });
    return events;
  }

  clear(): void {
    this.text = "";
    this.cursor = 0;
    this.at = this.history.length;
  }

  private insert(text: string): void {
    // A terminal sends pasted newlines as carriage returns; other control bytes have no business in a prompt.
    const clean = text.replace(/\r\n?/g, "\n").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
    this.text = this.text.slice(0, this.cursor) + clean + this.text.slice(this.cursor);
    this.cursor += clean.length;
  }

  private control(key: string): EditorEvent | null {
    if (key === "\r") return this.submit();
    if (key === "\n")
      this.insert("\n"); // Ctrl-J
    else if (key === "\x03") return { kind: "interrupt" };
    else if (key === "\x04") {
      if (this.text === "") return { kind: "end" };
      this.cut(this.cursor, this.step(1));
    } else if (key === "\x0c") return { kind: "clear" };
    else if (key === "\x7f" || key === "\b") this.cut(this.step(-1), this.cursor);
    else if (key === "\x01") this.cursor = 0;
    else if (key === "\x05") this.cursor = this.text.length;
    else if (key === "\x02") this.cursor = this.step(-1);
    else if (key === "\x06") this.cursor = this.step(1);
    else if (key === "\x15") this.cut(0, this.cursor);
    else if (key === "\x0b") this.cut(this.cursor, this.text.length);
    else if (key === "\x17") this.cut(this.text.slice(0, this.cursor).search(/\S*\s*$/), this.cursor);
    else if (key === "\x10") this.browse(-1);
    else if (key === "\x0e") this.browse(1);
    return null;
  }

  private escape(sequence: string): void {
    if (sequence === "\x1b[200~") this.pasting = true;
    else if (sequence === "\x1b[D" || sequence === "\x1bOD") this.cursor = this.step(-1);
    else if (sequence === "\x1b[C" || sequence === "\x1bOC") this.cursor = this.step(1);
    else if (sequence === "\x1b[A" || sequence === "\x1bOA") this.browse(-1);
    else if (sequence === "\x1b[B" || sequence === "\x1bOB") this.browse(1);
    else if (sequence === "\x1b[H" || sequence === "\x1b[1~" || sequence === "\x1bOH") this.cursor = 0;
    else if (sequence === "\x1b[F" || sequence === "\x1b[4~" || sequence === "\x1bOF") this.cursor = this.text.length;
    else if (sequence === "\x1b[3~") this.cut(this.cursor, this.step(1));
    else if (sequence === "\x1b\r") this.insert("\n"); // Alt-Enter
    // anything else is a key we do not have, or a terminal answering a question we did not ask
  }

  private submit(): EditorEvent {
    const text = this.text;
    if (text.trim() && this.history.at(-1) !== text) this.history = [...this.history, text].slice(-MAX_HISTORY);
    this.draft = "";
    this.clear();
    return { kind: "submit", text };
  }

  private browse(by: number): void {
    const to = this.at + by;
    if (to < 0 || to > this.history.length) return;
    if (this.at === this.history.length) this.draft = this.text;
    this.at = to;
    this.text = this.history[to] ?? this.draft;
    this.cursor = this.text.length;
  }

  /** The cursor one whole character to a side: surrogate pairs are not cut. */
  private step(by: 1 | -1): number {
    const to = Math.min(this.text.length, Math.max(0, this.cursor + by));
    const code = this.text.charCodeAt(to);
    return code >= 0xdc00 && code <= 0xdfff ? to + by : to;
  }

  private cut(from: number, to: number): void {
    this.text = this.text.slice(0, from) + this.text.slice(to);
    this.cursor = from;
  }
}

/** The escape sequence at the beginning of a text, or null when it is not complete yet. */
function escapeSequence(text: string): string | null {
  const second = text[1];
  if (second === undefined) return null;
  if (second === "[") return /^\x1b\[[\x30-\x3f]*[\x20-\x2f]*[\x40-\x7e]/.exec(text)?.[0] ?? null;
  if (second === "O") return text.length >= 3 ? text.slice(0, 3) : null;
  if (second === "]" || second === "P" || second === "_") return /^\x1b[\]P_][\s\S]*?(\x07|\x1b\\)/.exec(text)?.[0] ?? null;
  return text.slice(0, 2);
}

/** How many characters at the end of `text` could be the beginning of `mark`. */
function overlap(text: string, mark: string): number {
  for (let length = Math.min(text.length, mark.length - 1); length > 0; length--) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}
