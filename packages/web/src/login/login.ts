/** Trades a one-time login link or a pasted token for this device's own token. */
import { ArgusError } from "@argus/protocol";
import { signal } from "@preact/signals";
import { ask, isUnreachable, sentence } from "../api/request.ts";
import { keepToken, loginReason, token } from "../api/token.ts";
import { loginCodeOf } from "../route.ts";

/** True while a login link is being checked. */
export const checkingLink = signal(false);
/** A code that could not be tried because the daemon did not answer; kept for the "Try again" button. */
export const untriedCode = signal<string | null>(null);

/** What to tell about a link that did not work. Codes are used once and live for minutes, so there is one remedy for all refusals. */
export function linkRefusal(error: unknown): string {
  if (error instanceof ArgusError && error.code === "RATE_LIMITED") {
    return "Too many logins were tried from here. Wait a minute, then use a new link.";
  }
  return "This login link is wrong, was already used, or has expired. Ask for a new one on the machine where Argus runs, or paste a token below.";
}

/** Takes `#login=<code>` out of the address before anything else, so that it stays in no history, and trades it. Returns false when there was none. */
export function takeLoginLink(): boolean {
  const code = loginCodeOf(location.hash);
  if (!code) return false;
  history.replaceState(null, "", `${location.pathname}#/`);
  void tradeCode(code);
  return true;
}

export async function tradeCode(code: string): Promise<void> {
  checkingLink.value = true;
  untriedCode.value = null;
  try {
    const reply = await ask<{ token: string }>("POST", "/api/login", { json: { code } });
    keepToken(reply.token);
  } catch (error) {
    // A device that is logged in already loses nothing by a stale link.
    if (token.value) return;
    if (isUnreachable(error)) {
      untriedCode.value = code;
      loginReason.value =
        "The Argus daemon did not answer, so the link was not used yet. Check that this device reaches it, then try again.";
    } else loginReason.value = linkRefusal(error);
  } finally {
    checkingLink.value = false;
  }
}

/** Tries a pasted token, and keeps it only when the daemon accepts it. Returns why not, or null. */
export async function tryToken(pasted: string): Promise<string | null> {
  const candidate = pasted.trim();
  if (!candidate) return "Paste the token first.";
  // HTTP headers carry visible ASCII only; anything else was not a token.
  if (!/^[\x21-\x7e]+$/.test(candidate))
    return "That does not look like a token: it holds blanks or unusual characters. Copy it again, whole.";
  try {
    await ask("GET", "/api/status", { headers: { authorization: `Bearer ${candidate}` } });
    keepToken(candidate);
    return null;
  } catch (error) {
    if (error instanceof ArgusError && error.code === "AUTH_REQUIRED") {
      return "The daemon does not know this token. Copy it again, or ask for a new login link on the machine where Argus runs.";
    }
    return sentence(error);
  }
}
