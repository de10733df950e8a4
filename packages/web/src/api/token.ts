/** Keeps this device's token between visits, and says why the page had to forget it. */
import { signal } from "@preact/signals";

const KEY = "argus.token";

/** localStorage throws in some private modes; a page that forgets on reload is better than one that does not start. */
function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** The token in use, or null when this device is not logged in. */
export const token = signal<string | null>(stored());
/** Why the login screen is shown, in words, or null on a plain first visit. */
export const loginReason = signal<string | null>(null);

export function keepToken(value: string): void {
  token.value = value;
  loginReason.value = null;
  try {
    localStorage.setItem(KEY, value);
  } catch {
    // Kept in memory for this visit.
  }
}

export function forgetToken(reason: string | null): void {
  token.value = null;
  loginReason.value = reason;
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Nothing was kept.
  }
}
