/** Makes the headless terminals of this package alike: same widths, same limits, and without a crash of the library. */

import { createRequire } from "node:module";
import type { Terminal as TerminalType } from "@xterm/headless";
import { inside } from "./inside.ts";

// The packages are CommonJS bundles whose names an ES import cannot see.
const require = createRequire(import.meta.url);
const { Terminal } = require("@xterm/headless") as typeof import("@xterm/headless");
const { Unicode11Addon } = require("@xterm/addon-unicode11") as typeof import("@xterm/addon-unicode11");

/** Lines kept above the screen: 12 bytes per cell make about 7 MB at 200 columns. Deeper history is in the log. */
export const SCROLLBACK_LINES = 3_000;

export function newTerminal(cols: number, rows: number, scrollback = SCROLLBACK_LINES): TerminalType {
  const terminal = new Terminal({ cols: Math.max(2, cols), rows: Math.max(1, rows), scrollback, allowProposedApi: true, logLevel: "off" });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  survivesEraseAbove(terminal);
  return terminal;
}

/** In 6.0.0, "erase above" (CSI 1 J) in the last cell of a screen without scrollback throws and the rest of the chunk is lost. */
function survivesEraseAbove(terminal: TerminalType): void {
  const core = inside(terminal);
  terminal.parser.registerCsiHandler({ final: "J" }, (params) => {
    const buffer = core.buffers.active;
    if (params[0] !== 1 || buffer.ybase !== 0 || buffer.y !== core.rows - 1 || buffer.x + 1 < core.cols) return false;
    const x = buffer.x;
    buffer.x = core.cols - 2;
    core._inputHandler.eraseInDisplay({ params: [1], length: 1 }, false);
    buffer.x = core.cols - 1;
    core._inputHandler.eraseChars({ params: [1], length: 1 });
    buffer.x = x;
    return true;
  });
}
