/** Finds the links in an agent's terminal output, whole again where the terminal's width had cut them (SESSION-37). */
import { type PaperSize, paints, paperLines } from "./paper.ts";
import { type Hyperlink, plainLines, textOf } from "./terminal.ts";

export interface Link {
  label: string;
  url: string;
}

/** Narrower output is not wrapped by a terminal but written that way. */
const MIN_WIDTH = 40;
/** From the narrowest usual terminal on, a line as wide as the widest is taken as cut by the width whatever follows. */
const USUAL_WIDTH = 79;
/** Wider lines are program output that the terminal wrapped itself, and say nothing of its width. */
const MAX_WIDTH = 400;
/** Frames keep this much free at the right edge. */
const FRAME = 4;
const MAX_LABEL = 200;

const URL_CHARACTERS = String.raw`[^\s<>"'\x60\\^{}|│┃║\u200b\ufffd]`;
const OPEN_URL = new RegExp(String.raw`https?://${URL_CHARACTERS}*$`, "iu");
const BARE = new RegExp(String.raw`https?://${URL_CHARACTERS}+`, "giu");
const MARKDOWN = new RegExp(String.raw`\[([^\]\n]{1,300})\]\((https?://(?:[^\s()<>"]|\([^\s()]*\))+)(?:\s+"[^"]*")?\)`, "giu");
const CONTINUATION = new RegExp(String.raw`^${URL_CHARACTERS}+`, "u");

/**
 * OSC 8 links, then markdown links, then bare addresses, each address once, in order of appearance. When the size of the terminal is not
 * known, the widest line tells its width.
 */
export function extractLinks(bytes: Uint8Array, size: PaperSize = {}): Link[] {
  const found = new Map<string, Link>();
  const add = (label: string, address: string) => {
    const url = trimmed(address);
    if (!isWeb(url)) return;
    const known = found.get(url);
    const name = [...label.replace(/\s+/g, " ").trim()].slice(0, MAX_LABEL).join("") || url;
    if (!known) found.set(url, { label: name, url });
    else if (known.label === url) known.label = name;
  };
  const raw = textOf(bytes);
  const options = { onHyperlink: ({ label, url }: Hyperlink) => add(label, url), blankLinks: true };
  const lines = paints(raw) ? paperLines(raw, { ...size, ...options }) : plainLines(raw, options).map(({ text }) => text);
  const text = joined(lines.map(unframed), size.cols).join("\n");
  const rest = text.replace(MARKDOWN, (whole: string, label: string, url: string) => {
    add(label, url);
    return " ".repeat(whole.length);
  });
  for (const [url] of rest.matchAll(BARE)) add("", url);
  return [...found.values()];
}

function unframed(text: string): string {
  return text
    .replaceAll("\u00a0", " ")
    .trimEnd()
    .replace(/^(\s*)[│┃║](.*?)\s*[│┃║]?$/u, "$1 $2");
}

/** Lines with addresses that run over the right edge put together. */
function joined(lines: string[], cols?: number): string[] {
  const widths = lines.map((line) => [...line].length);
  const width = cols ? cols - FRAME : Math.max(0, ...new Set(widths.filter((candidate) => candidate <= MAX_WIDTH))) - 1;
  const result: string[] = [];
  for (let index = 0; index < lines.length; index++) {
    let line = lines[index] ?? "";
    // The whole of a line must be part of the address before the line after it can be.
    let last = index;
    while (OPEN_URL.test(line) && (widths[last] ?? 0) >= Math.max(width, MIN_WIDTH)) {
      const next = (lines[last + 1] ?? "").trim();
      const piece = CONTINUATION.exec(next)?.[0] ?? "";
      if (piece === "" || !continues(line, piece, cols !== undefined || width + 1 >= USUAL_WIDTH)) break;
      last++;
      line += next;
      if (piece !== next) break;
    }
    result.push(line);
    index = last;
  }
  return result;
}

/** An ordinary word, or another address, after an address at the end of a line is the next sentence unless the edge is certain. */
function continues(line: string, piece: string, certain: boolean): boolean {
  if (/^https?:/i.test(piece) || /^[-*•]$/.test(piece)) return false;
  if (certain) return true;
  return /[-_=&?%+#]$/.test(line) || !/^\p{L}+[.,:;!]?$/u.test(piece);
}

/** Without the punctuation of the sentence around it; a bracket stays when it was opened inside. */
function trimmed(address: string): string {
  let url = address;
  for (;;) {
    const last = url.at(-1) ?? "";
    const opening = { ")": "(", "]": "[" }[last];
    const count = (character: string) => url.split(character).length - 1;
    if (/[.,;:!?'"*_~。，、；：！？）」』】]/u.test(last) || (opening && count(last) > count(opening))) url = url.slice(0, -1);
    else return untailed(url);
  }
}

/** Cuts at a closing bracket that was never opened, as in `[https://a.b/c](text`. */
function untailed(url: string): string {
  let depth = 0;
  for (const [index, character] of [...url].entries()) {
    if (character === "(" || character === "[") depth++;
    else if ((character === ")" || character === "]") && --depth < 0) return trimmed([...url].slice(0, index).join(""));
  }
  return url;
}

function isWeb(url: string): boolean {
  return /^https?:\/\/[^\s/?#]/i.test(url) && URL.canParse(url);
}
