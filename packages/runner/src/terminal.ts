/** Turns raw terminal output into lines of text without a terminal: what moved the cursor becomes spaces and line ends, everything else of an escape goes. */

/** How a line ended: a line feed, a lone carriage return (what follows overwrote it), or a cursor movement to another row. */
export type LineEnd = "feed" | "return" | "move";

export interface PlainLine {
  text: string;
  end: LineEnd;
  /** How many rows the cursor went up at the end: what follows paints over that many lines. */
  up: number;
}
export interface Hyperlink {
  url: string;
  label: string;
}

/** A cursor jump to the right is at most a screen wide. */
const MAX_PAD = 500;
/** Rows that an absolute cursor position may repaint. */
const SCREEN_ROWS = 60;

// One alternative per kind of sequence; unterminated ones at the end match too and vanish.
export const ESCAPE = new RegExp(
  [
    String.raw`(?:\x1b\]|\x9d)(?<osc>[^\x07\x1b\x9c]*)(?:\x07|\x1b\\|\x9c|$)`, // OSC
    String.raw`(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])(?:[^\x1b\x9c]|\x1b(?!\\))*(?:\x1b\\|\x9c|$)`, // DCS, SOS, PM, APC
    String.raw`(?:\x1b\[|\x9b)(?<parameters>[0-?]*)[ -/]*(?<final>[@-~]|$)`, // CSI
    String.raw`\x1b[ -/]+(?:[0-~]|$)`, // charset and the like
    String.raw`\x1b(?<single>[0-~]|$)`, // two bytes
    String.raw`(?<return>\r+(?!\n|$))`,
    String.raw`(?<feed>\r*[\n\v\f]|\r+$)`,
    String.raw`(?<control>[\x00-\x08\x0e-\x1f\x7f-\x9f])`,
  ].join("|"),
  "gu",
);

/** Output as text. A tail of a log may begin in the middle of a character. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("utf8")
    .replace(/^\ufffd+/, "");
}

/** `onHyperlink` is told each OSC 8 link with the text it covers; that text is in the lines too, or blanked out when `blankLinks` is set. */
export function plainLines(raw: string, options: { onHyperlink?: (link: Hyperlink) => void; blankLinks?: boolean } = {}): PlainLine[] {
  const lines: PlainLine[] = [];
  let line = "";
  let link: Hyperlink | null = null;

  const add = (text: string) => {
    if (link) link.label += text;
    line += link && options.blankLinks ? " ".repeat(text.length) : text;
  };
  const finish = (end: LineEnd, up = 0) => {
    lines.push({ text: line, end, up });
    line = "";
  };
  const endLink = () => {
    if (link) options.onHyperlink?.(link);
    link = null;
  };

  let at = 0;
  for (const match of raw.matchAll(ESCAPE)) {
    if (match.index > at) add(raw.slice(at, match.index));
    at = match.index + match[0].length;
    const { osc, final, parameters, single, feed } = match.groups ?? {};
    if (feed !== undefined) finish("feed");
    else if (match.groups?.return !== undefined) {
      if (line !== "") finish("return");
    } else if (osc?.startsWith("8;")) {
      endLink();
      const url = osc.slice(osc.indexOf(";", 2) + 1);
      if (url !== "") link = { url, label: "" };
    } else if (final) {
      const [first = 1, second = 1] = (parameters ?? "").split(";").map((text) => Number(text) || 1);
      if (final === "C") line += " ".repeat(Math.min(first, MAX_PAD));
      else if (final === "G" || final === "`") {
        if (first - 1 >= line.length) line = line.padEnd(Math.min(first - 1, MAX_PAD));
        else if (line !== "") finish("return");
      } else if (final === "A" || final === "F") finish("move", first);
      else if (final === "H" || final === "f" || final === "d") {
        finish("move", SCREEN_ROWS);
        if (final !== "d") line = " ".repeat(Math.min(second - 1, MAX_PAD));
      } else if (final === "B" || final === "E") finish("move");
    } else if (single === "M") finish("move", 1);
    else if (single === "E" || single === "D") finish("move");
  }
  add(raw.slice(at));
  endLink();
  if (line !== "") finish("feed");
  return lines;
}
