/** The one place secrets leave text: known values are blanked wherever they appear. */

const MASK = "[redacted]";
/** Shorter values are too common to blank without mangling ordinary text. */
const SHORTEST_SECRET = 8;

export class Redactor {
  #values = new Set<string>();

  add(secret: string): void {
    if (secret.length >= SHORTEST_SECRET) this.#values.add(secret);
  }

  remove(secret: string): void {
    this.#values.delete(secret);
  }

  readonly redact = (text: string): string => {
    let clean = text;
    for (const value of this.#values) if (clean.includes(value)) clean = clean.replaceAll(value, MASK);
    // A token that came in an address: REST-13.
    return clean.replace(/([?&]token=)[^&\s"]+/g, `$1${MASK}`);
  };
}
