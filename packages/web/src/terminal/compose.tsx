/** Typing on a phone: a native text field for words, and the keys its keyboard lacks. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icons.tsx";
import type { BarKey } from "./keys.ts";

const MAX_HEIGHT_PX = 132; // six lines; the terminal must stay visible above

/** Half-typed text per task, kept while the page lives: going to the diff and back must not cost a dictation. */
const drafts = new Map<string, string>();

export function ComposeBar({ taskId, onSend, disabled }: { taskId: string; onSend(text: string): void; disabled: boolean }): JSX.Element {
  const [text, setText] = useState(drafts.get(taskId) ?? "");
  const field = useRef<HTMLTextAreaElement>(null);
  const change = (value: string) => {
    drafts.set(taskId, value);
    setText(value);
  };
  useEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(MAX_HEIGHT_PX, element.scrollHeight)}px`;
  }, [text]);
  const submit = (event?: Event) => {
    event?.preventDefault();
    if (disabled) return;
    // The field, not the state: dictation may still be composing what the state has not seen.
    onSend(field.current?.value ?? text);
    change("");
    field.current?.focus();
  };
  return (
    <form class="compose" onSubmit={submit}>
      <textarea
        ref={field}
        rows={1}
        aria-label="Message to the agent"
        placeholder="Message to the agent"
        enterkeyhint="send"
        value={text}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
        }}
      />
      <button
        type="submit"
        class="icon-button send"
        aria-label={text ? "Send" : "Enter"}
        disabled={disabled}
        onPointerDown={(event) => event.preventDefault()}
      >
        <Icon name={text ? "send" : "enter"} />
      </button>
    </form>
  );
}

const KEYS: { key: BarKey; label: string; name: string }[] = [
  { key: "escape", label: "Esc", name: "Escape" },
  { key: "tab", label: "Tab", name: "Tab" },
  { key: "shift-tab", label: "⇧Tab", name: "Shift Tab" },
  { key: "left", label: "←", name: "Left" },
  { key: "up", label: "↑", name: "Up" },
  { key: "down", label: "↓", name: "Down" },
  { key: "right", label: "→", name: "Right" },
  { key: "ctrl-c", label: "^C", name: "Control C" },
];

export function KeyBar({ onKey, disabled }: { onKey(key: BarKey): void; disabled: boolean }): JSX.Element {
  return (
    <div class="key-bar" role="toolbar" aria-label="Terminal keys">
      {KEYS.map(({ key, label, name }) => (
        <button
          key={key}
          type="button"
          class="key"
          aria-label={name}
          disabled={disabled}
          // Keeps the focus where it is: losing it would close the soft keyboard between two keys.
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => onKey(key)}
        >
          {label}
        </button>
      ))}
    </div>
  );
}
