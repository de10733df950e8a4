/** The bytes behind the key bar and the compose bar, as a real terminal would send them. */

export type BarKey = "escape" | "tab" | "shift-tab" | "up" | "down" | "left" | "right" | "ctrl-c" | "enter";

const ARROWS: Partial<Record<BarKey, string>> = { up: "A", down: "B", right: "C", left: "D" };
const PLAIN: Partial<Record<BarKey, string>> = {
  escape: "\x1b",
  tab: "\t",
  "shift-tab": "\x1b[Z",
  "ctrl-c": "\x03",
  enter: "\r",
};

/** Full-screen programs switch arrows to application mode (`ESC O A`); sending the other form would move nothing. */
export function bytesOfKey(key: BarKey, applicationCursor: boolean): string {
  const arrow = ARROWS[key];
  if (arrow) return `\x1b${applicationCursor ? "O" : "["}${arrow}`;
  return PLAIN[key] ?? "";
}

/** Text as typed into the terminal: pasted when it has several lines, so that no line is taken for a finished command. */
export function composeText(text: string): string {
  // An end-of-paste mark inside the text would let the rest act as keys.
  const clean = text.replaceAll("\x1b[201~", "").replace(/\r\n?/g, "\n");
  return clean.includes("\n") ? `\x1b[200~${clean.replaceAll("\n", "\r")}\x1b[201~` : clean;
}
