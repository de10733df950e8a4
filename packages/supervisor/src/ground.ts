/** Finds where an output stream stands between two escape sequences and between two characters, so that a redraw never cuts one in half. */

import type { Terminal } from "@xterm/headless";

/** The parser's "plain text" state, `ParserState.GROUND` of the terminal library. */
const GROUND = 0;
const ESCAPE_STATE = 1;

/** Actions after which an ESC byte both ends a string and begins the next sequence: `OSC_END` and `DCS_UNHOOK` of the terminal library. */
const OSC_END = 6;
const DCS_UNHOOK = 14;

/** All non-ASCII characters share this column of the transition table. */
const NON_ASCII = 0xa0;

interface ParserInside {
  _core: { _inputHandler: { _parser: { _transitions: { table: Uint8Array } } } };
}

/**
 * Follows a stream beside the terminal, with the terminal's own transition table, so that both always agree where a sequence ends.
 * The table is private to the library, whose version is pinned; a test compares both parsers on random bytes.
 */
export class GroundScanner {
  #table: Uint8Array;
  #state = GROUND;
  /** Continuation bytes that the current character still needs. */
  #need = 0;
  /** 0xC2 leads U+0080..U+00BF, of which the lower half are control codes. */
  #lead = 0;

  constructor(terminal: Terminal) {
    this.#table = (terminal as unknown as ParserInside)._core._inputHandler._parser._transitions.table;
  }

  get state(): number {
    return this.#state;
  }

  /** Number of bytes of this chunk after which the stream was last between two sequences and characters; -1 when it never was. */
  scan(bytes: Uint8Array): number {
    const table = this.#table;
    let state = this.#state;
    let need = this.#need;
    let lead = this.#lead;
    let ground = -1;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      let code = byte;
      if (byte >= 0x80) {
        if (byte < 0xc0) {
          if (need === 0) continue; // A stray continuation byte is dropped by the decoder.
          if (--need > 0) continue;
          code = lead === 0xc2 && byte < NON_ASCII ? byte : NON_ASCII;
        } else {
          need = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : byte < 0xf8 ? 3 : 0;
          lead = byte;
          continue;
        }
      } else need = 0;
      const transition = table[(state << 8) | code] as number;
      state = transition & 15;
      if (code === 0x1b && (transition >> 4 === OSC_END || transition >> 4 === DCS_UNHOOK)) state |= ESCAPE_STATE;
      if (state === GROUND) ground = i + 1;
    }
    this.#state = state;
    this.#need = need;
    this.#lead = lead;
    return ground;
  }
}
