/** The first screen of a device Argus does not know yet. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { loginReason } from "../api/token.ts";
import { Mark } from "../ui/icons.tsx";
import { checkingLink, tradeCode, tryToken, untriedCode } from "./login.ts";

export function Login(): JSX.Element {
  const [pasted, setPasted] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    loginReason.value = null;
    setError(await tryToken(pasted));
    setBusy(false);
  };
  if (checkingLink.value) {
    return (
      <main class="login" aria-live="polite">
        <Mark size={56} />
        <h1>Logging in</h1>
        <p class="muted">Trading the link for a token of this device.</p>
      </main>
    );
  }
  const message = error ?? loginReason.value;
  return (
    <main class="login">
      <Mark size={56} />
      <h1>Argus</h1>
      <p class="muted">Open a login link from the machine where Argus runs, or paste a token.</p>
      {message && (
        <p class="form-error" role="alert">
          {message}
        </p>
      )}
      {untriedCode.value && (
        <button type="button" class="button" onClick={() => untriedCode.value && tradeCode(untriedCode.value)}>
          Try the link again
        </button>
      )}
      <form class="form" onSubmit={submit}>
        <label class="field">
          <span>Token</span>
          <input
            type="password"
            class="mono"
            autoComplete="current-password"
            value={pasted}
            onInput={(event) => setPasted(event.currentTarget.value)}
            aria-invalid={Boolean(error)}
          />
        </label>
        <button type="submit" class="button primary wide" disabled={busy || !pasted.trim()}>
          {busy ? "Checking" : "Log in"}
        </button>
      </form>
      <p class="hint">The token stays on this device. It can be revoked on the machine where Argus runs.</p>
    </main>
  );
}
