/** Reads from a screen what stands on an agent's prompt line, so that nothing is typed into somebody's half-written sentence. Pure. */

export interface Screen {
  text: string[];
  cursor: { x: number; y: number };
}

/** What prompts end with, alone or behind a shell's words: `> `, `❯ `, `│ > `, `me@host:~$ `. */
const MARKER = /^\s*[│┃|]?\s*(?:\S*?[❯›>»$#%])(?:\s|$)/;
/** A prompt that stands for itself, as coding agents draw it. */
const BOXED_MARKER = /^\s*[│┃|]?\s*[❯›>»](?:\s|$)/;
/** Hints that agents show in an empty prompt; looking at text alone, they cannot be told from typing in another way. */
const PLACEHOLDER = /^(?:Try "|Ask (?:codex|anything|a question)|Type (?:your|a) message|Send a message|Implement \{feature\})/i;
/** As far up from the last line as a prompt box with its footer reaches. */
const BOTTOM_ROWS = 10;

/** The text on the prompt line; empty when nobody has begun to write. */
export function typedOn({ text, cursor }: Screen): string {
  const row = text[cursor.y] ?? "";
  if (MARKER.test(row)) return unhinted(withoutFrame(row.slice(0, cursor.x)).replace(MARKER, ""));
  // Many agents hide the real cursor and draw one of their own: then the lowest prompt counts.
  const last = text.findLastIndex((line) => line.trim() !== "");
  for (let at = last; at >= 0 && at > last - BOTTOM_ROWS; at--) {
    const line = text[at] ?? "";
    if (BOXED_MARKER.test(line)) return unhinted(withoutFrame(line).replace(BOXED_MARKER, ""));
  }
  return unhinted(withoutFrame(row.slice(0, cursor.x)));
}

const withoutFrame = (row: string) => row.replace(/\s*[│┃|]\s*$/, "");
const unhinted = (typed: string) => (PLACEHOLDER.test(typed.trim()) ? "" : typed.trim());

/** The text as it may be typed: no control characters that would act as keys. Lines stay lines only where the program takes a paste as one piece. */
export function typeable(text: string, takesPaste: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not reach a terminal as keys
  const plain = text
    .replace(/\r\n?/g, "\n")
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "")
    .trim();
  if (!plain.includes("\n")) return plain;
  return takesPaste ? `\x1b[200~${plain}\x1b[201~` : plain.replace(/\s*\n\s*/g, " ");
}
