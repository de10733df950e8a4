/** Makes an agent's terminal output readable as text: for people, for forks, for other agents (SESSION-38). */
import { type PlainLine, plainLines } from "./terminal.ts";

/** How far around a spinner line its torn pieces are looked for. */
const SPINNER_REACH = 4;
/** A repainted line is one of these last lines. */
const RECENT_LINES = 300;
/** Longer lines hold whole repaints without a line end. */
const LONG_LINE = 120;

const BOX = "─━│┃┄┅┆┇┈┉┊┋┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┠┣┤┥┨┫┬┯┰┳┴┷┸┻┼┿╂╋╌╍╎╏═║╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬╭╮╯╰╴╵╶╷╸╹╺╻▀▁▂▃▄▅▆▇█▔▕▏⎯";
const SEPARATOR = new RegExp(String.raw`^(?:[${BOX}\s]+|([-=_*~—―·•])(?:\s?\1){2,})$`, "u");
const BORDER = /^[│┃║]\s?(.*?)\s*[│┃║]$/u;
const EMPTY_PROMPT = /^[>❯›»➜▌]$/u;
/** Glyphs that turn; the asterisk is also a bullet of real text and counts only before one word and an ellipsis. */
const SPINNER = /^(?:[✻✽✶✳✢✺∗·]\s*\p{L}[\p{L}\s'-]*(?:…|\.{3})|\*\s\p{L}[\p{L}'-]*…|[⠁-⣿◐◓◑◒◴◷◶◵](?:\s|$)|[✻✽✶✳✢✺∗|/\\]$)/u;
const SPINNER_WORD = /[✻✽✶✳✢✺∗·*⠁-⣿◐◓◑◒◴◷◶◵]\s*(\p{L}+)/u;
const TIMING = /^(?:[✻✽✶✳✢✺∗·]\s*\p{L}+ for (?:\d+[hms]\s*)+|\(?(?:\d+[hm]\s*)*\d+(?:\.\d+)?s\s*[·•].*(?:tokens?|interrupt).*\)?)$/u;
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
  /^[↑↓][\d.]+k?\s.*(?:\$[\d.]+|\d%).*$/u,
];

const INLINE_SPINNER = /[✻✽✶✳✢✺∗]\s*\p{L}+…(?:\s*\([^()]*\))?|[⠁-⣿](?=\s)/gu;

/** Plain text, lines ended by LF, no trailing line end. A short real word such as OK is always kept. */
export function cleanOutput(bytes: Uint8Array): string {
  const lines = withoutPartial(plainLines(bytes)).map((line) => ({ ...line, text: readable(line.text) }));
  const torn = tornWords(lines);
  const kept: string[] = [];
  const recent = new Set<string>();
  let repainted = 0;
  for (const [index, { text, end, up }] of lines.entries()) {
    const plain = text.trim();
    if (plain === "") {
      if (end !== "move" && repainted === 0 && kept.length > 0 && kept.at(-1) !== "") kept.push("");
    } else if (!isDecoration(plain) && !torn.has(index) && !(repainted > 0 && recent.has(text))) {
      kept.push(text);
      // Put at the end again, so that the oldest is what goes.
      recent.delete(text);
      recent.add(text);
      if (recent.size > RECENT_LINES) recent.delete(recent.values().next().value ?? "");
    }
    repainted = Math.max(repainted - 1, up > 0 ? up + 1 : 0);
  }
  while (kept.at(-1) === "") kept.pop();
  return kept.join("\n");
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
