/** Writes terminal output onto an endless sheet of paper: what a program painted over is gone, what scrolled away stays. */
import { ESCAPE, type Hyperlink } from "./terminal.ts";

export interface PaperSize {
  cols?: number;
  rows?: number;
}

/** Programs ask for the size by moving to row 999 or beyond. */
const MAX_ROWS = 500;
/** A program that addresses only a few rows still has a whole screen. */
const USUAL_ROWS = 24;
/** A cursor jump to the right is at most a screen wide. */
const MAX_COLS = 1_000;
/** Without absolute positions the height does not matter, and cursor movements reach as far as they say. */
const NO_HEIGHT = 1_000_000;
const TAB = 8;

const PAINTS = /(?:\x1b\[|\x9b)[0-9;]*[ABEFHfdLMSTr]|\x1bM/;
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const JOINED = /\p{Mn}|\p{Me}|\u200d|\ufe0f/u;

/** True when the output moves between rows, so that reading it line by line would give torn pieces. */
export function paints(raw: string): boolean {
  return PAINTS.test(raw);
}

/** The highest row that is addressed directly. */
function heightOf(raw: string): number {
  let height = 0;
  for (const [, first, second, final] of raw.matchAll(/(?:\x1b\[|\x9b)(\d*)(?:;(\d*))?([Hfdr])/g)) {
    const row = Number(final === "r" ? second : first) || 1;
    if (row < MAX_ROWS) height = Math.max(height, row);
  }
  return height > 1 ? Math.max(height, USUAL_ROWS) : NO_HEIGHT;
}

/** The lines of the sheet, right-trimmed. `onHyperlink` is told each OSC 8 link; with `blankLinks` the text of links is left white. */
export function paperLines(
  raw: string,
  options: PaperSize & { onHyperlink?: (link: Hyperlink) => void; blankLinks?: boolean } = {},
): string[] {
  const paper = new Paper(options.rows ?? heightOf(raw), options.cols);
  let link: Hyperlink | null = null;
  const put = (text: string) => {
    if (link) link.label += text;
    paper.put(link && options.blankLinks ? text.replace(/\S/gu, " ") : text);
  };
  let at = 0;
  for (const match of raw.matchAll(ESCAPE)) {
    if (match.index > at) put(raw.slice(at, match.index));
    at = match.index + match[0].length;
    const { osc, final, parameters = "", single, feed, control } = match.groups ?? {};
    if (match.groups?.return !== undefined) paper.col = 0;
    else if (feed !== undefined) {
      // A program that paints sends a carriage return where it means one, but a log may hold bare line feeds of a cooked terminal.
      paper.col = 0;
      if (feed.includes("\n") || feed.includes("\v") || feed.includes("\f")) paper.feed();
    } else if (final) paper.sequence(final, parameters);
    else if (single) paper.escape(single);
    else if (control === "\b") paper.col = Math.max(0, paper.col - 1);
    else if (osc?.startsWith("8;")) {
      if (link) options.onHyperlink?.(link);
      const url = osc.slice(osc.indexOf(";", 2) + 1);
      link = url === "" ? null : { url, label: "" };
    }
  }
  put(raw.slice(at));
  if (link) options.onHyperlink?.(link);
  return paper.text();
}

class Paper {
  #lines: string[][] = [[]];
  /** Lines that go on in the next one because the edge was reached. */
  readonly #wrapped = new WeakSet<string[]>();
  #row = 0;
  /** Line of the sheet that is the first of the screen. */
  #top = 0;
  readonly #rows: number;
  readonly #cols: number;
  #region: { first: number; last: number };
  #saved = { row: 0, col: 0 };
  /** What was last wiped off a whole screen; put back unless it was painted again. */
  #wiped: { at: number; lines: string[][] } | null = null;
  col = 0;

  constructor(rows: number, cols?: number) {
    this.#rows = rows;
    this.#cols = cols ?? Number.POSITIVE_INFINITY;
    this.#region = { first: 1, last: rows };
  }

  text(): string[] {
    this.#settle();
    const result: string[] = [];
    let before: string[] | null = null;
    for (const line of this.#lines) {
      const text = textOfCells(line);
      if (before && this.#wrapped.has(before)) result[result.length - 1] += text;
      else result.push(text);
      before = line;
    }
    return result;
  }

  #line(index = this.#row): string[] {
    while (this.#lines.length <= index) this.#lines.push([]);
    return this.#lines[index] as string[];
  }

  put(text: string): void {
    for (const character of text) {
      if (character === "\t") {
        this.col += TAB - (this.col % TAB);
        continue;
      }
      const code = character.codePointAt(0) ?? 0;
      let line = this.#line();
      if (code >= 0x300 && JOINED.test(character)) {
        const last = line[this.col - 1] === "" ? this.col - 2 : this.col - 1;
        if (last >= 0 && line[last] !== undefined) line[last] += character;
        continue;
      }
      const width = code >= 0x1100 && WIDE.test(character) ? 2 : 1;
      if (this.col + width > this.#cols) {
        this.#wrapped.add(line);
        this.col = 0;
        this.feed();
        line = this.#line();
      }
      while (line.length < this.col) line.push(" ");
      line[this.col++] = character;
      if (width === 2) line[this.col++] = "";
    }
  }

  /** Clears the screen. Some programs do so before they end, others before they paint the same again: which of both shows later. */
  #wipe(): void {
    this.#settle();
    const lines = this.#lines.splice(this.#top);
    if (lines.some((line) => textOfCells(line) !== "")) this.#wiped = { at: this.#top, lines };
    this.#lines.length = this.#top;
  }

  #settle(): void {
    const wiped = this.#wiped;
    this.#wiped = null;
    if (!wiped) return;
    const now = new Set(this.#lines.slice(wiped.at).map(textOfCells));
    const before = wiped.lines.map(textOfCells).filter((text) => text !== "");
    if (before.filter((text) => now.has(text)).length * 2 >= before.length) return;
    this.#lines.splice(wiped.at, 0, ...wiped.lines);
    if (wiped.at <= this.#top) {
      this.#top += wiped.lines.length;
      this.#row += wiped.lines.length;
    }
  }

  /** Row within the screen, counted from 1. */
  get #screenRow(): number {
    return this.#row - this.#top + 1;
  }

  #moveTo(screenRow: number, col = this.col): void {
    this.#row = this.#top + Math.min(Math.max(screenRow, 1), this.#rows) - 1;
    this.col = Math.min(Math.max(col, 0), MAX_COLS);
  }

  feed(): void {
    if (this.#screenRow === this.#region.last) this.#scrollUp(this.#region.first, 1);
    else if (this.#screenRow < this.#rows) this.#row++;
  }

  /** Moves the rows from `first` to the end of the region up. Those that leave the screen at its top stay on the sheet above it. */
  #scrollUp(first: number, count: number): void {
    const { last } = this.#region;
    for (let step = 0; step < Math.min(count, MAX_ROWS); step++) {
      this.#line(this.#top + last - 1 < this.#row ? this.#row : Math.min(this.#top + last - 1, this.#lines.length));
      this.#lines.splice(this.#top + last, 0, []);
      if (first === 1) {
        this.#top++;
        this.#row++;
      } else this.#lines.splice(this.#top + first - 1, 1);
    }
  }

  #scrollDown(first: number, count: number): void {
    const { last } = this.#region;
    for (let step = 0; step < Math.min(count, MAX_ROWS); step++) {
      this.#line(this.#top + first - 1);
      this.#lines.splice(this.#top + first - 1, 0, []);
      if (this.#lines.length > this.#top + last) this.#lines.splice(this.#top + last, 1);
    }
  }

  /** A fresh screen below everything so far. */
  #newScreen(): void {
    this.#top = this.#row = this.#lines.at(-1)?.length === 0 ? this.#lines.length - 1 : this.#lines.length;
    this.col = 0;
    this.#region = { first: 1, last: this.#rows };
  }

  escape(single: string): void {
    if (single === "M") {
      if (this.#screenRow === this.#region.first) this.#scrollDown(this.#region.first, 1);
      else this.#row = Math.max(this.#top, this.#row - 1);
    } else if (single === "D") this.feed();
    else if (single === "E") {
      this.col = 0;
      this.feed();
    } else if (single === "7") this.#saved = { row: this.#screenRow, col: this.col };
    else if (single === "8") this.#moveTo(this.#saved.row, this.#saved.col);
    else if (single === "c") this.#newScreen();
  }

  sequence(final: string, parameters: string): void {
    if (/^[<=>?]/.test(parameters)) {
      if (/^\?(?:47|1047|1049)$/.test(parameters) && (final === "h" || final === "l")) this.#newScreen();
      return;
    }
    const [first = 0, second = 0] = parameters.split(";").map((text) => Number(text) || 0);
    const count = Math.min(first || 1, MAX_COLS);
    if (final === "A") this.#moveTo(this.#screenRow - count);
    else if (final === "B") this.#moveTo(this.#screenRow + count);
    else if (final === "C") this.col = Math.min(this.col + count, MAX_COLS);
    else if (final === "D") this.col = Math.max(0, this.col - count);
    else if (final === "E") this.#moveTo(this.#screenRow + count, 0);
    else if (final === "F") this.#moveTo(this.#screenRow - count, 0);
    else if (final === "G" || final === "`") this.col = count - 1;
    else if (final === "d") this.#moveTo(first || 1);
    else if (final === "H" || final === "f") this.#moveTo(first || 1, (second || 1) - 1);
    else if (final === "J") this.#eraseScreen(first);
    else if (final === "K") this.#eraseLine(first);
    else if (final === "X")
      this.#line().splice(this.col, count, ...Array.from({ length: Math.min(count, this.#line().length - this.col) }, () => " "));
    else if (final === "P") this.#line().splice(this.col, count);
    else if (final === "@" && this.#line().length > this.col) this.#line().splice(this.col, 0, ...Array.from({ length: count }, () => " "));
    else if (final === "L") this.#scrollDown(this.#screenRow, count);
    else if (final === "M") this.#deleteLines(count);
    else if (final === "S") this.#scrollUp(this.#region.first, count);
    else if (final === "T") this.#scrollDown(this.#region.first, count);
    else if (final === "r") {
      this.#region = { first: first || 1, last: Math.min(second || this.#rows, this.#rows) };
      this.#moveTo(1, 0);
    } else if (final === "s") this.#saved = { row: this.#screenRow, col: this.col };
    else if (final === "u") this.#moveTo(this.#saved.row, this.#saved.col);
  }

  #deleteLines(count: number): void {
    for (let step = 0; step < Math.min(count, MAX_ROWS) && this.#lines.length > this.#row; step++) {
      if (this.#lines.length > this.#top + this.#region.last) this.#lines.splice(this.#top + this.#region.last, 0, []);
      this.#lines.splice(this.#row, 1);
    }
  }

  #eraseScreen(part: number): void {
    if (part === 0 && this.#row === this.#top && this.col === 0) this.#wipe();
    else if (part === 0) {
      this.#eraseLine(0);
      this.#lines.length = Math.min(this.#lines.length, this.#row + 1);
    } else if (part === 1) {
      for (let index = this.#top; index < this.#row; index++) this.#line(index).length = 0;
      this.#eraseLine(1);
    } else if (part === 2) this.#wipe();
    else if (part === 3) {
      this.#lines.splice(0, this.#top);
      this.#row -= this.#top;
      this.#top = 0;
    }
  }

  #eraseLine(part: number): void {
    const line = this.#line();
    if (part === 0) line.length = Math.min(line.length, this.col);
    else if (part === 2) line.length = 0;
    else for (let index = 0; index <= this.col && index < line.length; index++) line[index] = " ";
  }
}

function textOfCells(line: string[]): string {
  return line.join("").trimEnd();
}
