/** Makes the directory and branch name of a worktree from whatever a person called the task. */

/** Long enough to recognise, short enough for a prompt line and for Unix socket paths below the worktree. */
const SLUG_MAX = 30;
/** A cut at a hyphen must leave more than a stub of the first word. */
const SLUG_CUT_MIN = 5;

// Controls and invisible marks, lone surrogates, white space, both slashes, quotes, and what git's ref rules or a shell read as more than a letter.
const SPECIAL = /(?:[\p{Cc}\p{Cf}\p{Cs}\p{Z}\s/\\'"`´‘’“”«»‹›~^:?*[\]{}@$&|;<>()!#%]|\.{2,})+/gu;
const EDGES = /^[-.]+|[-.]+$/g;

/** WORKTREE-02. The result is never empty, never begins with a dash and is a valid git ref component. */
export function slugOf(name: string): string {
  const characters = [...name.normalize("NFC").replace(SPECIAL, "-").replace(EDGES, "")];
  let slug = characters.join("");
  if (characters.length > SLUG_MAX) {
    slug = characters.slice(0, SLUG_MAX).join("");
    const hyphen = slug.lastIndexOf("-");
    if (hyphen > SLUG_CUT_MIN) slug = slug.slice(0, hyphen);
  }
  // Replacements side by side ("a - b") leave one hyphen; git refuses names that end in .lock.
  slug = slug
    .replace(/-{2,}/g, "-")
    .replace(/\.lock$/i, "-lock")
    .replace(EDGES, "");
  return slug || "task";
}
