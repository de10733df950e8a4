/** Short news about something the user just did, spoken by screen readers and gone by itself. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { Icon } from "./icons.tsx";

const SHOWN_MS = 6_000; // long enough to read two lines; errors stay until closed

interface Toast {
  id: number;
  text: string;
  kind: "news" | "error";
}
const toasts = signal<Toast[]>([]);
let next = 1;

export function tell(text: string, kind: Toast["kind"] = "news"): void {
  const id = next++;
  toasts.value = [...toasts.value.slice(-2), { id, text, kind }];
  if (kind === "news") setTimeout(() => dismiss(id), SHOWN_MS);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`}>
          <span>{toast.text}</span>
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}
