/** Writes the escape sequences that make a fresh terminal look, and behave, exactly like a given one. */

import type { IBuffer, IBufferCell, Terminal } from "@xterm/headless";
import { type BufferInside, type Colors, type Inside, inside, type Pen } from "./inside.ts";

/*
 * The library's own serialize addon loses links, underline styles and colours, mouse encodings, scroll regions, saved cursors,
 * character sets and the "wrap pending" cursor; all of them are visible once an agent goes on drawing. So this is written by hand.
 * Known to be lost: title stack, protected cells, and a line-drawing set, link, underline or origin mode that is on while the cursor is
 * saved or restored or the screen is switched.
 */

const ESC = "\x1b";
const CSI = "\x1b[";

/** All that redraws `terminal` with up to `scrollback` lines above its screen. Begins with a full reset. */
export function redraw(terminal: Terminal, scrollback: number, colors: Colors): string {
  const core = inside(terminal);
  const onAlternate = terminal.buffer.active.type === "alternate";
  const out: string[] = [`${ESC}c`];
  out.push(title(core), palette(colors));
  out.push(content(terminal, terminal.buffer.normal, scrollback));
  // The alternate screen is empty while it is away, but it remembers the cursor saved on it.
  const remembered = onAlternate ? "" : saved(core.buffers.alt);
  if (remembered) out.push(`${CSI}?47h${remembered}${CSI}?47l`);
  out.push(place(core, core.buffers.normal));
  if (onAlternate) {
    // 47 and not 1049: that one would overwrite the saved cursor just restored.
    out.push(`${CSI}m${CSI}?47h${CSI}H`, content(terminal, terminal.buffer.alternate, 0), place(core, core.buffers.alt));
  }
  out.push(modes(terminal, core), finish(terminal, core));
  return out.join("");
}

/** The visible rows as plain text, right-trimmed. */
export function screenText(terminal: Terminal): string[] {
  const buffer = terminal.buffer.active;
  return Array.from({ length: terminal.rows }, (_, y) => (buffer.getLine(buffer.baseY + y)?.translateToString(true) ?? "").trimEnd());
}

/** The rows of one buffer, from the top. Rows that continue the one above are made to wrap again, so that a later resize reflows them alike. */
function content(terminal: Terminal, buffer: IBuffer, scrollback: number): string {
  const first = Math.max(0, buffer.baseY - scrollback);
  const last = buffer.baseY + terminal.rows - 1;
  const core = inside(terminal);
  const out: string[] = [];
  const style = new Style(core);
  // The row above the first is not ours to draw; a row that wrapped from it is made by wrapping from a lent row that is then deleted.
  if (buffer.getLine(first)?.isWrapped && terminal.rows > 1) out.push("x".repeat(terminal.cols + 1), `${CSI}H${CSI}M${CSI}X`);
  for (let y = first; y <= last; y++) {
    const line = buffer.getLine(y);
    const next = y < last ? buffer.getLine(y + 1) : undefined;
    const wraps = next?.isWrapped === true && terminal.rows > 1;
    out.push(row(buffer, y, terminal.cols, style, y > first && line?.isWrapped === true && terminal.rows > 1));
    if (y === last) break;
    if (!wraps) {
      out.push(style.reset(), "\r\n");
      continue;
    }
    // A character in the last column puts the cursor into "wrap pending"; if the row has none there, one is lent and taken back.
    const lastCell = line?.getCell(terminal.cols - 1);
    const lent = !lastCell || (lastCell.getChars() === "" && lastCell.getWidth() === 1);
    if (lent) out.push(style.reset(), `${CSI}${terminal.cols}Gx`);
    const opening = next.getCell(0);
    const openingChars = opening?.getChars() ?? "";
    if (opening && openingChars !== "") {
      out.push(style.again(opening), openingChars);
      // With a background colour the wrap may have filled the whole new row with it.
      if (!opening.isBgDefault()) out.push(style.reset(), `${CSI}K`);
    } else out.push(style.reset(), `x\b${CSI}X`);
    if (lent) out.push(`${CSI}A${CSI}${terminal.cols}G`, lastCell ? blank(lastCell, 1, style, true) : `${CSI}X`, `${CSI}B`);
    out.push(`${CSI}${1 + (openingChars === "" ? 0 : Math.max(1, opening?.getWidth() ?? 1))}G`);
  }
  out.push(style.reset());
  return out.join("");
}

/** One row; when it was opened by a wrap its first character is already there. */
function row(buffer: IBuffer, y: number, cols: number, style: Style, opened: boolean): string {
  const line = buffer.getLine(y);
  if (!line) return "";
  const out: string[] = [];
  let cell: IBufferCell | undefined;
  let gap: { from: IBufferCell; key: string; count: number } | null = null;
  const width = Math.min(cols, line.length);
  for (let x = 0; x < width; x++) {
    cell = line.getCell(x, cell);
    if (!cell) continue;
    const chars = cell.getChars();
    // The right half of a wide character. A joiner or accent that had nothing to join, though, has a cell of its own.
    if (cell.getWidth() === 0 && chars === "") continue;
    if (opened && x === 0 && chars !== "") {
      if (cell.getWidth() === 2) x++;
      continue;
    }
    if (chars === "") {
      const key = style.keyOf(cell);
      if (gap && gap.key === key) gap.count++;
      else {
        if (gap) out.push(blank(gap.from, gap.count, style, false));
        gap = { from: line.getCell(x) as IBufferCell, key, count: 1 };
      }
      continue;
    }
    if (gap) out.push(blank(gap.from, gap.count, style, false));
    gap = null;
    out.push(cell.getWidth() === 0 ? style.again(cell) : style.change(cell), chars);
  }
  if (gap && gap.key !== style.plain) out.push(blank(gap.from, gap.count, style, true));
  return out.join("");
}

/** Cells nothing was printed into: skipped when plain, erased when they only have a background, else printed as spaces. Moves past them unless `stay`. */
function blank(cell: IBufferCell, count: number, style: Style, stay: boolean): string {
  const move = stay ? "" : `${CSI}${count}C`;
  if (style.keyOf(cell) === style.plain) return stay ? `${style.reset()}${CSI}${count}X` : move;
  if (style.onlyBackground(cell)) return `${style.change(cell)}${CSI}${count}X${move}`;
  return style.change(cell) + " ".repeat(count);
}

function saved(buffer: BufferInside): string {
  const pen = buffer.savedCurAttrData;
  const y = Math.max(0, buffer.savedY - buffer.ybase);
  if (!buffer.savedX && !y && !pen.fg && !pen.bg && !buffer.savedCharset) return "";
  const set = charsetName(buffer.savedCharset);
  const [choose, back] = set === "B" ? ["", ""] : [`${ESC}(${set}`, `${ESC}(B`];
  return `${CSI}${y + 1};${buffer.savedX + 1}H${sgr(pen)}${choose}${ESC}7${CSI}m${back}`;
}

/** Saved cursor, scroll region and tab stops of one buffer, then its cursor. */
function place(core: Inside, buffer: BufferInside): string {
  const out: string[] = [saved(buffer)];
  const stops = Object.keys(buffer.tabs).filter((x) => buffer.tabs[x] && Number(x) < core.cols);
  const usual = Array.from({ length: Math.ceil(core.cols / 8) }, (_, i) => String(i * 8));
  if (stops.join() !== usual.join()) out.push(`${CSI}3g`, ...stops.map((x) => `${CSI}${Number(x) + 1}G${ESC}H`));
  if (buffer.scrollTop !== 0 || buffer.scrollBottom !== core.rows - 1)
    out.push(`${CSI}${buffer.scrollTop + 1};${buffer.scrollBottom + 1}r`);
  out.push(`${CSI}${buffer.y + 1};${buffer.x + 1}H`);
  return out.join("");
}

function modes(terminal: Terminal, core: Inside): string {
  const on = terminal.modes;
  const out: string[] = [];
  const when = (condition: boolean, text: string) => {
    if (condition) out.push(text);
  };
  when(on.applicationCursorKeysMode, `${CSI}?1h`);
  when(on.applicationKeypadMode, `${ESC}=`);
  when(on.bracketedPasteMode, `${CSI}?2004h`);
  when(on.reverseWraparoundMode, `${CSI}?45h`);
  when(on.sendFocusMode, `${CSI}?1004h`);
  when(!on.wraparoundMode, `${CSI}?7l`);
  const tracking = { none: "", x10: "9", vt200: "1000", drag: "1002", any: "1003" }[on.mouseTrackingMode];
  when(tracking !== "", `${CSI}?${tracking}h`);
  const encoding = { SGR: "1006", SGR_PIXELS: "1016" }[core.coreMouseService._activeEncoding] ?? "";
  when(encoding !== "", `${CSI}?${encoding}h`);
  const { cursorStyle, cursorBlink } = core.coreService.decPrivateModes;
  if (cursorStyle) out.push(`${CSI}${{ block: 1, underline: 3, bar: 5 }[cursorStyle] + (cursorBlink ? 0 : 1)} q`);
  when(core.coreService.isCursorHidden, `${CSI}?25l`);
  when(terminal.options.convertEol === true, `${CSI}20h`);
  when(on.insertMode, `${CSI}4h`);
  return out.join("");
}

/** Character sets, cursor, pen and open link. Last, because each of the others may move the cursor. */
function finish(terminal: Terminal, core: Inside): string {
  const out: string[] = [];
  const charsets = core._charsetService;
  for (let g = 0; g < 4; g++) {
    const name = charsetName(charsets._charsets[g]);
    if (name !== "B") out.push(`${ESC}${"()*+"[g]}${name}`);
  }
  if (charsets.glevel) out.push(["", "\x0e", `${ESC}n`, `${ESC}o`][charsets.glevel] as string);
  const buffer = core.buffers.active;
  const pen = core._inputHandler._curAttrData;
  const origin = terminal.modes.originMode;
  if (origin) out.push(`${CSI}?6h`);
  const goTo = (x: number) => `${CSI}${buffer.y + 1 - (origin ? buffer.scrollTop : 0)};${x + 1}H`;
  // The cursor keeps an underline colour even while it does not underline.
  const dressed = sgr(pen, pen.extended) + link(core, pen.hasExtendedAttrs() ? pen.extended.urlId : 0);

  // A character just printed still counts: the next may combine with it, be a repetition of it, or wrap because of it.
  // No sequence restores that, so the character is printed once more.
  const line = terminal.buffer.active.getLine(buffer.ybase + buffer.y);
  let x = Math.min(buffer.x, core.cols) - 1;
  if (x > 0 && line?.getCell(x)?.getWidth() === 0 && line.getCell(x)?.getChars() === "") x--;
  const cell = x >= 0 ? line?.getCell(x) : undefined;
  const style = new Style(core);
  const reprint = core._inputHandler._parser.precedingJoinState !== 0 || buffer.x >= core.cols;
  if (reprint && cell && cell.getChars() !== "") {
    const makeRoom = terminal.modes.insertMode ? `${CSI}${cell.getWidth()}P` : "";
    if (style.keyOf(cell) === style.keyOfPen(pen)) out.push(goTo(x), dressed, makeRoom, cell.getChars());
    // Another pen than the character's: only "wrap pending" can be kept, and the pen must come after it.
    else if (buffer.x >= core.cols) out.push(goTo(x), style.change(cell), makeRoom, cell.getChars(), `${CSI}m`, dressed);
    else out.push(goTo(buffer.x), dressed);
  } else out.push(goTo(Math.min(buffer.x, core.cols - 1)), dressed);
  return out.join("");
}

function title(core: Inside): string {
  const { _windowTitle: window, _iconName: icon } = core._inputHandler;
  return (window ? `${ESC}]2;${window}${ESC}\\` : "") + (icon ? `${ESC}]1;${icon}${ESC}\\` : "");
}

function palette(colors: Colors): string {
  return [...colors].map(([index, color]) => `${ESC}]${index < 256 ? `4;${index}` : index - 246};${color}${ESC}\\`).join("");
}

function charsetName(charset: Record<string, string> | undefined): string {
  if (charset?.q === "─") return "0";
  return charset?.["#"] === "£" ? "A" : "B";
}

function link(core: Inside, urlId: number): string {
  const data = urlId ? core._oscLinkService.getLinkData(urlId) : undefined;
  if (!data) return "";
  return `${ESC}]8;${data.id ? `id=${data.id}` : ""};${data.uri}${ESC}\\`;
}

/** The whole style in one sequence that begins with a reset: longer than a difference, and never wrong. */
function sgr(pen: Pen, more = pen.hasExtendedAttrs() ? pen.extended : null): string {
  const codes: (number | string)[] = [0];
  if (pen.isBold()) codes.push(1);
  if (pen.isDim()) codes.push(2);
  if (pen.isItalic()) codes.push(3);
  const kind = pen.hasExtendedAttrs() ? (pen.extended._ext >>> 26) & 7 : 0;
  if (kind || pen.fg & UNDERLINE) codes.push(kind > 1 ? `4:${kind}` : 4);
  if (pen.isBlink()) codes.push(5);
  if (pen.isInverse()) codes.push(7);
  if (pen.isInvisible()) codes.push(8);
  if (pen.isStrikethrough()) codes.push(9);
  if (pen.isOverline()) codes.push(53);
  // 31 and 38;5;1 are kept apart: bold brightens only the first.
  const color = (value: number, mode: number, basic: number) => {
    if (mode === RGB) codes.push(basic + 8, 2, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
    else if (mode === PALETTE) codes.push(basic + 8, 5, value);
    else codes.push(value < 8 ? basic + value : basic + 60 + value - 8);
  };
  if (!pen.isFgDefault()) color(pen.getFgColor(), pen.getFgColorMode(), 30);
  if (!pen.isBgDefault()) color(pen.getBgColor(), pen.getBgColorMode(), 40);
  const line = more ? more._ext & COLOR_BITS : 0;
  if (line >>> 24 === 3) codes.push(`58:2::${(line >>> 16) & 255}:${(line >>> 8) & 255}:${line & 255}`);
  else if (line >>> 24) codes.push(`58:5:${line & 255}`);
  return `${CSI}${codes.length > 1 ? codes.join(";") : ""}m`;
}

/** Remembers the style in force and says what to write for the next one. */
class Style {
  readonly plain = "0,0,0,0";
  #core: Inside;
  #current = this.plain;
  #link = 0;

  constructor(core: Inside) {
    this.#core = core;
  }

  keyOf(cell: IBufferCell): string {
    return this.keyOfPen(cell as unknown as Pen);
  }

  keyOfPen(pen: Pen): string {
    const extended = pen.hasExtendedAttrs() ? pen.extended : null;
    return `${pen.fg},${pen.bg & ~HAS_EXTENDED},${extended?.ext ?? 0},${extended?.urlId ?? 0}`;
  }

  onlyBackground(cell: IBufferCell): boolean {
    const pen = cell as unknown as Pen;
    return pen.fg === 0 && (pen.bg & ~(COLOR_BITS | HAS_EXTENDED)) === 0 && !(pen.hasExtendedAttrs() && pen.extended.urlId);
  }

  /** The style even if in force: any sequence keeps the next character from joining the one before. */
  again(cell: IBufferCell): string {
    return this.change(cell) || sgr(cell as unknown as Pen);
  }

  change(cell: IBufferCell): string {
    const pen = cell as unknown as Pen;
    const key = this.keyOfPen(pen);
    if (key === this.#current) return "";
    this.#current = key;
    const urlId = pen.hasExtendedAttrs() ? pen.extended.urlId : 0;
    const linked = urlId === this.#link ? "" : link(this.#core, urlId) || `${ESC}]8;;${ESC}\\`;
    this.#link = urlId;
    return sgr(pen) + linked;
  }

  reset(): string {
    if (this.#current === this.plain) return "";
    this.#current = this.plain;
    const linked = this.#link ? `${ESC}]8;;${ESC}\\` : "";
    this.#link = 0;
    return `${CSI}m${linked}`;
  }
}

/** Bits of the library's cell attributes: underlined, colour and its mode, and "has more attributes elsewhere". */
const UNDERLINE = 0x10000000;
const PALETTE = 0x02000000;
const RGB = 0x03000000;
const COLOR_BITS = 0x03ffffff;
const HAS_EXTENDED = 0x10000000;
