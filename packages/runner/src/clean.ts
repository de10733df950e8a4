/** Makes an agent's terminal output readable as text: for people, for forks, for other agents (SESSION-38). */
import { type PaperSize, paints, paperLines } from "./paper.ts";
import { type PlainLine, plainLines, textOf } from "./terminal.ts";

/** How far around a spinner line its torn pieces are looked for. */
const SPINNER_REACH = 4;
/** Longer lines hold whole repaints without a line end. */
const LONG_LINE = 120;

const BOX = "─━│┃┄┅┆┇┈┉┊┋┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┠┣┤┥┨┫┬┯┰┳┴┷┸┻┼┿╂╋╌╍╎╏═║╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬╭╮╯╰╴╵╶╷╸╹╺╻▀▁▂▃▄▅▆▇█▔▕▏⎯";
/** Rules, frames and drawings made of blocks or Braille dots. */
const SEPARATOR = new RegExp(String.raw`^(?:[${BOX}▖-▟\s]+|[⠀-⣿▀-▟·~\s]{4,}|([-=_*~—―·•])(?:\s?\1){2,})$`, "u");
const BORDER = /^[│┃║]\s?(.*?)\s*[│┃║]$/u;
const EMPTY_PROMPT = /^[>❯›»➜▌]$/u;
/** Glyphs that turn; the asterisk is also a bullet of real text and counts only before one word and an ellipsis. */
const SPINNER =
  /^(?:─+ [⠁-⣿✻✽✶✳✢✺] .*─|[✻✽✶✳✢✺∗·]\s*\p{L}[\p{L}\s'-]*(?:…|\.{3})|\*\s\p{L}[\p{L}'-]*…|[⠁-⣿◐◓◑◒◴◷◶◵](?:\s|$)|[✻✽✶✳✢✺∗|/\\]$)/u;
const SPINNER_WORD = /[✻✽✶✳✢✺∗·*⠁-⣿◐◓◑◒◴◷◶◵]\s*(\p{L}+)/u;
const TIMING =
  /^(?:[✻✽✶✳✢✺∗·]\s*\p{L}+ for (?:\d+[hms]\s*)+(?:·.*)?|(?:Took|Elapsed) [\d.]+m?s|\(?(?:\d+[hm]\s*)*\d+(?:\.\d+)?s\s*[·•].*(?:tokens?|interrupt).*\)?)$/u;
/** Foot lines of the harnesses; each pattern covers the whole line, so that a sentence about such a key stays. */
const STATUS_BARS = [
  /\([^()]*\b(?:esc|ctrl\+c) to (?:interrupt|cancel)\b[^()]*\)?$/i,
  /^\W*(?:esc|ctrl\+c) to (?:interrupt|cancel)$/i,
  /^\(?press (?:esc|ctrl[-+][a-z]) again to \w+\)?$/i,
  /^\? for shortcuts\b/i,
  /^⏵⏵|^⏸ (?:plan|manual) mode/u,
  /\(shift\+tab to cycle\)$/i,
  /^(?:context left until auto-compact: )?\d+% (?:context left|until auto-compact)\b.*$/i,
  /^context left until auto-compact: \d+%$/i,
  /^(?:⏎|enter) (?:to )?send\b.*\bquit\b/iu,
  /^› Ask Codex to do anything$/u,
  /^● \w+ · \/effort$/u,
  /^← for agents\b/u,
  /^\S+ default · \S+(?: · .*)?$/u,
  /^(?:[↑↓].*\s)?[\d.]+%\/[\d.]+[kM] \(auto\)/u,
  /^[↑↓][\d.]+k?\s.*(?:\$[\d.]+|\d%).*$/u,
];

const INLINE_SPINNER = /[✻✽✶✳✢✺∗]\s*\p{L}+…(?:\s*\([^()]*\))?|[⠁-⣿](?=\s)/gu;

/**
 * Plain text, lines ended by LF, no trailing line end. Output of a program that paints is read as what its painting left, for which the size of the terminal
 * helps but is not needed; other output is read line by line, a lone carriage return being a line end. A short real word such as OK is always kept.
 */
export function cleanOutput(bytes: Uint8Array, size: PaperSize = {}): string {
  const raw = textOf(bytes);
  const lines = paints(raw) ? paperLines(raw, size).map(readable) : streamed(raw);
  const kept: string[] = [];
  for (const text of lines) {
    const plain = text.trim();
    if (plain === "") {
      if (kept.length > 0 && kept.at(-1) !== "") kept.push("");
    } else if (!isDecoration(plain)) kept.push(text);
  }
  while (kept.at(-1) === "") kept.pop();
  return kept.join("\n");
}

function streamed(raw: string): string[] {
  const lines = withoutPartial(plainLines(raw)).map((line) => ({ ...line, text: readable(line.text) }));
  const torn = tornWords(lines);
  return lines.filter((_, index) => !torn.has(index)).map(({ text }) => text);
}

/** A line that was overwritten by a longer one beginning with it was only half painted. */
function withoutPartial(lines: PlainLine[]): PlainLine[] {
  return lines.filter(
    ({ text, end }, index) => end !== "return" || text.trim() === "" || !lines[index + 1]?.text.startsWith(text.trimEnd()),
  );
}

function readable(text: string): string {
  const plain = text
    .replace(/[\u00a0\u202f\u2007]/g, " ")
    .replace(/[\u200b\ufeff]/g, "")
    .trimEnd();
  const inside = BORDER.exec(plain.trimStart())?.[1] ?? plain;
  return inside.length > LONG_LINE ? inside.replace(INLINE_SPINNER, " ").trimEnd() : inside;
}

function isDecoration(plain: string): boolean {
  return (
    SEPARATOR.test(plain) ||
    EMPTY_PROMPT.test(plain) ||
    SPINNER.test(plain) ||
    TIMING.test(plain) ||
    STATUS_BARS.some((bar) => bar.test(plain))
  );
}

/** Lines of one to four letters that are a piece of the word of a spinner nearby: terminals repaint only the letters that changed colour. */
function tornWords(lines: PlainLine[]): Set<number> {
  const torn = new Set<number>();
  const words = lines.map(({ text }) => (SPINNER.test(text.trim()) ? (SPINNER_WORD.exec(text.trim())?.[1] ?? "") : ""));
  for (const [index, { text }] of lines.entries()) {
    const piece = text.trim().replace(/…$/, "");
    if (!/^\p{L}{1,4}$/u.test(piece)) continue;
    const near = words.slice(Math.max(0, index - SPINNER_REACH), index + SPINNER_REACH + 1);
    if (near.some((word) => word.length > piece.length && word.includes(piece))) torn.add(index);
  }
  return torn;
}
