/** Writes to the user's terminal: plain lines, colour only where it is understood, nothing that a program's output could abuse. */
import { stripVTControlCharacters } from "node:util";
import type { Editor } from "./editor.ts";

const MARKER = "› ";

export interface ScreenOutput {
  write(text: string): unknown;
  readonly columns?: number;
}

export class Screen {
  private readonly out: ScreenOutput;
  /** False on a dumb terminal: no colour, no cursor movement, no title. */
  private readonly rich: boolean;
  private readonly colour: boolean;
  private lineStart = true;
  private prompting = false;

  constructor(out: ScreenOutput, env: NodeJS.ProcessEnv) {
    this.out = out;
    this.rich = Boolean(env.TERM) && env.TERM !== "dumb";
    this.colour = this.rich && !env.NO_COLOR;
  }

  open(): void {
    if (this.rich) this.out.write("\x1b[?2004h"); // bracketed paste
  }

  close(): void {
    this.hidePrompt();
    if (this.rich) this.out.write("\x1b[?2004l\x1b]0;\x07");
  }

  title(text: string): void {
    if (this.rich) this.out.write(`\x1b]0;${text}\x07`);
  }

  /** Text as it streams in; foreign control sequences are taken out. */
  text(delta: string): void {
    const clean = sanitize(delta);
    if (!clean) return;
    this.out.write(clean);
    this.lineStart = clean.endsWith("\n");
  }

  line(text: string, style?: "dim" | "bold" | "red" | "blue"): void {
    this.freshLine();
    this.out.write(`${this.paint(sanitize(text), style)}\n`);
  }

  /** A tool's name and what it does, cut to the width: one call, one line. */
  tool(name: string, about: string): void {
    this.freshLine();
    const first = sanitize(about).split("\n")[0] as string;
    const more = about.includes("\n") ? " …" : "";
    this.out.write(`${this.paint("●", "blue")} ${this.paint(name, "bold")} ${fitStart(first, this.width() - name.length - 6)}${more}\n`);
  }

  freshLine(): void {
    if (!this.lineStart) this.out.write("\n");
    this.lineStart = true;
  }

  prompt(editor: Editor): void {
    this.freshLine();
    const { shown, cursor } = visible(editor.text.replaceAll("\n", "↵"), editor.cursor, this.width() - MARKER.length - 1);
    if (this.rich) this.out.write(`\r\x1b[K${MARKER}${shown}\r\x1b[${MARKER.length + cursor}C`);
    else this.out.write(`\r${MARKER}${shown} \b`);
    this.prompting = true;
  }

  /** Takes the prompt line away; with a text, leaves that text as what the user said. */
  hidePrompt(said?: string): void {
    if (this.prompting) this.out.write(this.rich ? "\r\x1b[K" : "\n");
    this.prompting = false;
    if (said !== undefined) this.out.write(`${this.paint(`${MARKER}${sanitize(said).replaceAll("\n", "\n  ")}`, "bold")}\n`);
  }

  clear(): void {
    if (this.rich) this.out.write("\x1b[H\x1b[2J");
  }

  private width(): number {
    return Math.max(20, this.out.columns ?? 80);
  }

  private paint(text: string, style?: "dim" | "bold" | "red" | "blue"): string {
    if (!this.colour || !style) return text;
    return `\x1b[${{ dim: 2, bold: 1, red: 31, blue: 34 }[style]}m${text}\x1b[0m`;
  }
}

/** Without escape sequences and control bytes other than newline and tab. */
export function sanitize(text: string): string {
  return stripVTControlCharacters(text.replace(/\r\n/g, "\n")).replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");
}

/** The part of a line around the cursor that fits into `width` columns, and the cursor's column in it. */
export function visible(text: string, cursor: number, width: number): { shown: string; cursor: number } {
  let start = 0;
  while (widthOf(text.slice(start, cursor)) > width) start += text.codePointAt(start)! > 0xffff ? 2 : 1;
  return { shown: fitStart(text.slice(start), width), cursor: widthOf(text.slice(start, cursor)) };
}

function fitStart(text: string, width: number): string {
  let used = 0;
  let shown = "";
  for (const character of text) {
    used += widthOf(character);
    if (used > width) break;
    shown += character;
  }
  return shown;
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += /\p{Mn}/u.test(character) ? 0 : WIDE.test(character) || character > "\uffff" ? 2 : 1;
  return width;
}
