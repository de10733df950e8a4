/** The terminal emulator itself, in its own chunk because it is three times the size of the page. */
import { FitAddon } from "@xterm/addon-fit";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebglAddon } from "@xterm/addon-webgl";
import { type ITheme, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { silenceQueries } from "./silence.ts";

/** Lines kept above the screen; the snapshot brings 500, the rest grows while watching. Older ones are in the task's log. */
const SCROLLBACK_LINES = 5_000;
/** Below this much unparsed output the stream is read on; above, it waits (WebKit freezes when megabytes queue up). */
const QUEUE_BYTES = 512 * 1024;

export interface ScreenOptions {
  host: HTMLElement;
  label: string;
  onInput(data: string | Uint8Array): void;
  /** The size that would fill the host now. */
  onFit(size: Size): void;
  openLink(url: string): void;
}
export interface Size {
  cols: number;
  rows: number;
}

/** What a screen says of itself to the page. */
export interface Screen {
  write(bytes: Uint8Array): Promise<void> | void;
  /** The size in force, which other viewers may have made smaller than this host. */
  resize(size: Size): void;
  wanted(): Size | null;
  applicationCursor(): boolean;
  focus(): void;
  reset(): void;
  dispose(): void;
}

export async function openScreen(options: ScreenOptions): Promise<Screen> {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const phone = matchMedia("(max-width: 719px)").matches;
  const style = getComputedStyle(document.documentElement);
  const terminal = new Terminal({
    allowProposedApi: true, // unicode widths
    fontFamily: style.getPropertyValue("--mono").trim() || "monospace",
    fontSize: phone ? 12 : 13,
    lineHeight: 1.15,
    scrollback: SCROLLBACK_LINES,
    cursorBlink: false,
    minimumContrastRatio: 4.5, // agents choose colours for a dark screen; light viewers must read them too
    macOptionIsMeta: true,
    theme: themeOf(dark.matches),
    linkHandler: { activate: (_event, url) => options.openLink(url) },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  // The server's terminal counts widths by Unicode 11; counting otherwise would shift every line with an emoji.
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = "11";
  silenceQueries(terminal.parser);
  terminal.open(options.host);
  if (terminal.textarea) {
    terminal.textarea.setAttribute("aria-label", `${options.label}. Press F6 to leave the terminal.`);
    terminal.textarea.setAttribute("autocapitalize", "off");
  }
  loadWebgl(terminal);
  terminal.registerLinkProvider(webLinks(terminal, options.openLink));

  terminal.onData((data) => options.onInput(data));
  terminal.onBinary((data) => options.onInput(Uint8Array.from(data, (character) => character.charCodeAt(0))));
  terminal.attachCustomKeyEventHandler((event) => handleKey(event, terminal, options));

  const repaint = () => (terminal.options.theme = themeOf(dark.matches));
  dark.addEventListener("change", repaint);
  const untouch = scrollByTouch(options.host, terminal);
  const observer = new ResizeObserver(() => {
    const size = wanted();
    if (size) options.onFit(size);
  });
  observer.observe(options.host);

  /** Null while the host has no size (a hidden pane). */
  function wanted(): Size | null {
    const size = fit.proposeDimensions();
    if (!size || !Number.isFinite(size.cols) || !Number.isFinite(size.rows) || size.cols < 2 || size.rows < 2) return null;
    return { cols: Math.min(size.cols, 1000), rows: Math.min(size.rows, 1000) };
  }

  let queued = 0;
  return {
    write(bytes) {
      queued += bytes.length;
      const parsed = new Promise<void>((resolve) =>
        terminal.write(bytes, () => {
          queued -= bytes.length;
          resolve();
        }),
      );
      return queued > QUEUE_BYTES ? parsed : undefined;
    },
    resize({ cols, rows }) {
      // In its place between the bytes, which are parsed later: a redraw for 40 rows must not meet a terminal of 30.
      terminal.write("", () => {
        if (cols !== terminal.cols || rows !== terminal.rows) terminal.resize(cols, rows);
      });
    },
    wanted,
    applicationCursor: () => terminal.modes.applicationCursorKeysMode,
    focus: () => terminal.focus(),
    reset: () => terminal.reset(),
    dispose() {
      observer.disconnect();
      untouch();
      dark.removeEventListener("change", repaint);
      terminal.dispose();
    },
  };
}

/** The DOM renderer stays when WebGL is missing or the context is lost (a phone in the background). */
function loadWebgl(terminal: Terminal): void {
  try {
    const webgl = new WebglAddon();
    webgl.onContextLoss(() => webgl.dispose());
    terminal.loadAddon(webgl);
  } catch {
    // Drawn by the DOM instead.
  }
}

/** Returns false for keys that are not the agent's. */
function handleKey(event: KeyboardEvent, terminal: Terminal, options: ScreenOptions): boolean {
  if (event.type !== "keydown") return true;
  if (event.key === "F6") return false;
  const control = event.ctrlKey || event.metaKey;
  if (control && event.shiftKey && event.key.toLowerCase() === "k") return false; // palette
  // With text selected Ctrl C means copy, as everywhere else in a browser; without, it interrupts the agent.
  if (control && event.key.toLowerCase() === "c" && terminal.hasSelection()) {
    void navigator.clipboard?.writeText(terminal.getSelection());
    terminal.clearSelection();
    event.preventDefault();
    return false;
  }
  // A new line without sending: what the agents' own terminal setups map Shift Enter to.
  if (event.key === "Enter" && event.shiftKey && !control) {
    event.preventDefault();
    options.onInput("\x1b\r");
    return false;
  }
  return true;
}

/** Fingers scroll like a wheel: history at a shell, the program itself in full-screen programs. */
function scrollByTouch(host: HTMLElement, terminal: Terminal): () => void {
  let last: number | null = null;
  const start = (event: TouchEvent) => {
    last = event.touches.length === 1 ? (event.touches[0]?.clientY ?? null) : null;
  };
  const move = (event: TouchEvent) => {
    const touch = event.touches[0];
    if (last === null || !touch) return;
    const row = host.clientHeight / Math.max(1, terminal.rows);
    const delta = last - touch.clientY;
    if (Math.abs(delta) < row) return;
    event.preventDefault();
    last = touch.clientY;
    const target = host.querySelector(".xterm-screen") ?? host;
    target.dispatchEvent(
      new WheelEvent("wheel", {
        deltaY: delta,
        deltaMode: 0,
        bubbles: true,
        cancelable: true,
        clientX: touch.clientX,
        clientY: touch.clientY,
      }),
    );
  };
  host.addEventListener("touchstart", start, { passive: true });
  host.addEventListener("touchmove", move, { passive: false });
  return () => {
    host.removeEventListener("touchstart", start);
    host.removeEventListener("touchmove", move);
  };
}

/** Plain web addresses on one (possibly wrapped) line become links. */
function webLinks(terminal: Terminal, open: (url: string) => void): Parameters<Terminal["registerLinkProvider"]>[0] {
  return {
    provideLinks(lineNumber, give) {
      const buffer = terminal.buffer.active;
      let first = lineNumber - 1;
      while (first > 0 && buffer.getLine(first)?.isWrapped) first--;
      let text = "";
      for (let line = first; line === first || buffer.getLine(line)?.isWrapped; line++)
        text += buffer.getLine(line)?.translateToString(false) ?? "";
      const at = (index: number) => ({ x: (index % terminal.cols) + 1, y: first + Math.floor(index / terminal.cols) + 1 });
      const links = [...text.matchAll(/https?:\/\/[^\s"'<>`]+/g)].map((match) => {
        const url = match[0].replace(/[.,;:!?)\]}]+$/, "");
        return { text: url, range: { start: at(match.index), end: at(match.index + url.length - 1) }, activate: () => open(url) };
      });
      give(links.length > 0 ? links : undefined);
    },
  };
}

/** ANSI colours beside the page's own surfaces. */
function themeOf(dark: boolean): ITheme {
  return dark
    ? {
        background: "#0b0e14",
        foreground: "#dbe1ea",
        cursor: "#2fd3bf",
        cursorAccent: "#0b0e14",
        selectionBackground: "#2b4a5f",
        black: "#1b212c",
        red: "#f2646a",
        green: "#4cc38a",
        yellow: "#f5b73b",
        blue: "#5aa9ff",
        magenta: "#b18cff",
        cyan: "#2fd3bf",
        white: "#c6cedb",
        brightBlack: "#6b768a",
        brightRed: "#ff8a8e",
        brightGreen: "#7ddcaa",
        brightYellow: "#ffd071",
        brightBlue: "#8cc4ff",
        brightMagenta: "#cdb4ff",
        brightCyan: "#7ae8da",
        brightWhite: "#f4f7fb",
      }
    : {
        background: "#ffffff",
        foreground: "#1b2130",
        cursor: "#0b8277",
        cursorAccent: "#ffffff",
        selectionBackground: "#b9dcf2",
        black: "#1b2130",
        red: "#c0262d",
        green: "#1a7f4b",
        yellow: "#9a6700",
        blue: "#0b62c4",
        magenta: "#6a3fd0",
        cyan: "#0b8277",
        white: "#5c6676",
        brightBlack: "#6b7484",
        brightRed: "#d33a41",
        brightGreen: "#23935a",
        brightYellow: "#8a5c00",
        brightBlue: "#2577d4",
        brightMagenta: "#7f56e0",
        brightCyan: "#12766c",
        brightWhite: "#3b4354",
      };
}
