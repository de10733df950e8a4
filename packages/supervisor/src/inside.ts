/** Names the private parts of the terminal library that have no public way in. Its version is pinned exactly; `redraw.test.ts` fails if they move. */

import type { IBufferCell, Terminal } from "@xterm/headless";

/** A cell's or the cursor's attributes. */
export interface Pen extends IBufferCell {
  fg: number;
  bg: number;
  hasExtendedAttrs(): number;
  /** `_ext`: kind of underline in bits 26..28, its colour below; `ext` is the same but for links, which show as dashed. */
  extended: { _ext: number; ext: number; urlId: number };
}

export type Charset = Record<string, string> | undefined;

export interface BufferInside {
  x: number;
  y: number;
  ybase: number;
  savedX: number;
  savedY: number;
  savedCurAttrData: Pen;
  savedCharset: Charset;
  scrollTop: number;
  scrollBottom: number;
  tabs: Record<string, boolean>;
}

export interface Inside {
  cols: number;
  rows: number;
  buffers: { normal: BufferInside; alt: BufferInside; active: BufferInside };
  coreService: {
    isCursorHidden: boolean;
    decPrivateModes: { cursorStyle: "block" | "underline" | "bar" | undefined; cursorBlink: boolean | undefined };
  };
  coreMouseService: { _activeEncoding: string };
  _charsetService: { glevel: number; _charsets: Charset[] };
  _oscLinkService: { getLinkData(id: number): { id?: string; uri: string } | undefined };
  _inputHandler: {
    _windowTitle: string;
    _iconName: string;
    _curAttrData: Pen;
    _parser: { precedingJoinState: number; currentState: number };
    eraseInDisplay(params: { params: number[]; length: number }, respectProtected: boolean): boolean;
    eraseChars(params: { params: number[]; length: number }): boolean;
    onColor(listener: (events: { type: number; index?: number; color?: [number, number, number] }[]) => void): unknown;
  };
  /** Parses at once instead of in a later turn; safe because no asynchronous handler is registered. */
  writeSync(bytes: Uint8Array): void;
}

/** Colours the program changed: index 0..255 of the palette, 256 text, 257 background, 258 cursor; as `rgb:rr/gg/bb`. */
export type Colors = Map<number, string>;

export function inside(terminal: Terminal): Inside {
  return (terminal as unknown as { _core: Inside })._core;
}

const SET = 1;
const RESTORE = 2;

/** Follows colour changes, which the headless terminal announces and does not keep. */
export function followColors(terminal: Terminal): Colors {
  const colors: Colors = new Map();
  inside(terminal)._inputHandler.onColor((events) => {
    for (const { type, index, color } of events) {
      if (type === SET && index !== undefined && color)
        colors.set(index, `rgb:${color.map((part) => part.toString(16).padStart(2, "0")).join("/")}`);
      else if (type === RESTORE && index !== undefined) colors.delete(index);
      else if (type === RESTORE) colors.clear();
    }
  });
  return colors;
}
