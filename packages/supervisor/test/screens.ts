/** Describes everything a user or a program could notice about a terminal, and makes output that uses most of it. */

import type { Terminal as TerminalType } from "@xterm/headless";
import { inside, type Pen } from "../src/inside.ts";

export { newTerminal } from "../src/terminal.ts";

export function feed(terminal: TerminalType, bytes: Uint8Array | string): void {
  inside(terminal).writeSync(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
}

/** A palette colour has 8 bits; the library leaves rubbish of earlier colours above them. */
function attribute(value: number): number {
  const mode = value & 0x03000000;
  return mode === 0x03000000 ? value : mode ? value & ~0x00ffff00 : value & ~0x00ffffff;
}

function pen(terminal: TerminalType, cell: Pen, links: boolean): string {
  const extended = cell.hasExtendedAttrs() ? cell.extended : null;
  const link = links && extended?.urlId ? inside(terminal)._oscLinkService.getLinkData(extended.urlId)?.uri : "";
  // "Underlined" may be said by the flag, by the kind of line or by both; without a kind it is a single line.
  const fg = cell.fg & ~0x10000000;
  // A link whose rows are gone has lost its address and is none any more.
  let ext = extended ? (link ? extended.ext : extended._ext) : 0;
  if (cell.fg & 0x10000000 && !(ext >>> 26)) ext |= 1 << 26;
  // The colour of a line that is not drawn is no part of the look.
  if (!(ext >>> 26)) ext = 0;
  return `${attribute(fg)},${attribute(cell.bg & ~0x10000000)},${(ext & ~0x03ffffff) | attribute(ext & 0x03ffffff)}${link ? `,${link}` : ""}`;
}

/** Lines of one buffer: text with a style mark at each change. A cell never printed into equals a space of the same style. */
function lines(terminal: TerminalType, alternate: boolean, scrollback: number, links: boolean): string[] {
  const buffer = alternate ? terminal.buffer.alternate : terminal.buffer.normal;
  const found: string[] = [];
  const first = Math.max(0, buffer.baseY - scrollback);
  for (let y = first; y < buffer.baseY + terminal.rows; y++) {
    const line = buffer.getLine(y);
    let text = line?.isWrapped && y > first ? "~" : "";
    let last = "0,0,0";
    for (let x = 0; line && x < terminal.cols; x++) {
      const cell = line.getCell(x) as unknown as Pen;
      if (cell.getWidth() === 0 && cell.getChars() === "") continue;
      const style = pen(terminal, cell, links);
      if (style !== last) text += `{${style}}`;
      last = style;
      text += cell.getChars() || " ";
    }
    found.push(text.trimEnd());
  }
  return found;
}

/** Without `links` no addresses: the library drops one with the row it began on, a copy keeps it as long as the text. */
export function describeTerminal(terminal: TerminalType, scrollback = 3000, links = true): object {
  const core = inside(terminal);
  const alternate = terminal.buffer.active.type === "alternate";
  const place = (buffer: (typeof core)["buffers"]["normal"]) => ({
    saved: [
      Math.min(buffer.savedX, core.cols - 1),
      Math.max(0, buffer.savedY - buffer.ybase),
      attribute(buffer.savedCurAttrData.fg),
      attribute(buffer.savedCurAttrData.bg & ~0x10000000),
      buffer.savedCharset?.q ?? "",
    ],
    region: [buffer.scrollTop, buffer.scrollBottom],
    tabs: Object.keys(buffer.tabs).filter((x) => buffer.tabs[x] && Number(x) < core.cols),
  });
  return {
    normal: lines(terminal, false, scrollback, links),
    alternate: alternate ? lines(terminal, true, 0, links) : null,
    cursor: [core.buffers.active.x, core.buffers.active.y],
    places: alternate ? [place(core.buffers.normal), place(core.buffers.alt)] : [place(core.buffers.normal)],
    pen: pen(terminal, core._inputHandler._curAttrData, links),
    modes: { ...terminal.modes, synchronizedOutputMode: false },
    mouse: core.coreMouseService._activeEncoding,
    hidden: core.coreService.isCursorHidden,
    shape: [core.coreService.decPrivateModes.cursorStyle ?? "", core.coreService.decPrivateModes.cursorBlink ?? ""],
    title: core._inputHandler._windowTitle,
    charsets: [core._charsetService.glevel, ...[0, 1, 2, 3].map((g) => core._charsetService._charsets[g]?.q ?? "")],
  };
}

/** A repeatable source of numbers in [0, 1). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** No origin mode, usual character set, no link, no underline: before the cursor is saved or restored, because the library then mixes old and new attributes. */
const SAFE = "\x1b[?6l\x0f\x1b(B\x1b]8;;\x07\x1b[24m";

/** Output of an imagined, very lively program. */
export function livelyOutput(seed: number, pieces: number): Buffer {
  const roll = dice(seed);
  const upTo = (n: number) => Math.floor(roll() * n);
  const words = [
    "plain",
    "wörter",
    "日本語",
    "👩💻",
    "e\u0301te\u0301",
    "✔️",
    "─│┌",
    "tab\tstop",
    "a long run of ordinary words that may wrap around the end ",
  ];
  const word = () => words[upTo(words.length)] as string;
  const color = (base: number) =>
    [`${base + upTo(8)}`, `${base + 8};5;${upTo(256)}`, `${base + 8};2;${upTo(256)};${upTo(256)};${upTo(256)}`, `${base + 60 + upTo(8)}`][
      upTo(4)
    ];
  const sgr = () =>
    `\x1b[${[color(30), color(40), [1, 2, 3, 4, 5, 7, 8, 9, 53, "4:3", "4:5", "58:2::9:8:7", "58:5:77", 0, 22, 24, 27, 39, 49][upTo(19)]].slice(upTo(3)).join(";")}m`;
  const moves = () => `\x1b[${upTo(12)}${"ABCDGd"[upTo(6)]}`;
  const kinds: (() => string)[] = [
    () => word(),
    () => word(),
    () => `${word()} ${word()}\r\n`,
    () => `${word()}\n`,
    () => sgr(),
    () => sgr(),
    () => "\x1b[m",
    () => moves(),
    () => `\x1b[${1 + upTo(26)};${1 + upTo(90)}H`,
    () => `\x1b[${upTo(3)}${"JK"[upTo(2)]}`,
    () => `\x1b[${upTo(5)}${"XP@LMST"[upTo(7)]}`,
    () => `\x1b]8;id=${upTo(3)};https://example.org/${upTo(9)}\x1b\\${word()}\x1b]8;;\x07`,
    () => `\x1b]8;;https://open.example/${upTo(3)}\x07`,
    () => "\x1b]8;;\x1b\\",
    () => `\x1b]2;title ${upTo(100)}\x07`,
    () => `\x1b[?${[1, 6, 7, 25, 45, 1000, 1002, 1003, 1004, 1006, 1016, 2004][upTo(12)]}${"hl"[upTo(2)]}`,
    () => `\x1b[4${"hl"[upTo(2)]}`,
    () => `${SAFE}\x1b[?${[47, 1047, 1049][upTo(3)]}${"hl"[upTo(2)]}`,
    () => `${SAFE}\x1b${7 + upTo(2)}`,
    () => `\x1b[${1 + upTo(6)};${10 + upTo(15)}r`,
    () => "\x1b[r",
    () => `\x1b(${"0B"[upTo(2)]}lqqk`,
    () => "\x0e\x0f"[upTo(2)] as string,
    () => "\x1b)0",
    () => `\x1b[${upTo(7)} q`,
    () => "\x1bM",
    () => "\x1bD",
    () => `x\x1b[${1 + upTo(4)}b`,
    () => "\x1b[3g",
    () => "\x1bH",
    () => `\x1b[${1 + upTo(30)}`.slice(0, 2) + "5C",
    () => "=".repeat(80 + upTo(40)),
    () => "\x1b=",
    () => "\x1b>",
    () => "\x1bP$qm\x1b\\",
    () => "\x1b_ignored \x1b\\",
    () => "\b",
    () => "\r",
  ];
  const out: Buffer[] = [];
  for (let i = 0; i < pieces; i++) out.push(Buffer.from((kinds[upTo(kinds.length)] as () => string)()));
  return Buffer.concat(out);
}
