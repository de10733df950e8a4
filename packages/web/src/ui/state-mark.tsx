/** Glyph, colour and word of a state together, so that no screen can show one of them alone. */
import type { JSX } from "preact";
import { LOOKS, type Look } from "../tasks/states.ts";

/** The glyph is hidden from screen readers: the word beside it says the same. */
export function StateGlyph({ look }: { look: Look }): JSX.Element {
  return (
    <span class={`glyph look-${look}`} aria-hidden="true">
      {LOOKS[look].glyph}
    </span>
  );
}

export function StateWord({ look }: { look: Look }): JSX.Element {
  return <span class={`state-word look-${look}`}>{LOOKS[look].word}</span>;
}
