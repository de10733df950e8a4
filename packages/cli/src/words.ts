/** What somebody may have meant: the nearest of the words that exist. */

/** The nearest by edit distance, or null when none is near enough to be a slip of the fingers. */
export function nearest(word: string, known: string[]): string | null {
  let best: string | null = null;
  let least = Math.max(1, Math.floor(word.length / 4)) + 1;
  for (const candidate of known) {
    const distance = edits(word, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** As an operation is typed: `task.set_status` is `task set-status`. */
export const typed = (name: string): string => name.replaceAll(".", " ").replaceAll("_", "-");
