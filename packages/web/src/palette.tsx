/** Goes to any agent or action by typing a few letters of it. */
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { go, route } from "./route.ts";
import { setArchived, setStatus, startTask, stopTask } from "./tasks/actions.tsx";
import { LOOKS, viewOf } from "./tasks/states.ts";
import { tasks } from "./tasks/store.ts";
import { Dialog } from "./ui/dialog.tsx";

const SHOWN = 12; // what fits without scrolling; typing narrows faster than scrolling

export const paletteOpen = signal(false);

interface Entry {
  label: string;
  hint: string;
  run(): unknown;
}

export function Palette(): JSX.Element {
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const entries = useMemo(() => allEntries(), [tasks.value, route.value]);
  const found = entries.filter((entry) => matches(entry.label, query)).slice(0, SHOWN);
  const list = useRef<HTMLUListElement>(null);
  const close = () => (paletteOpen.value = false);
  const pick = (entry: Entry | undefined) => {
    if (!entry) return;
    close();
    // After the dialog gave the focus back, so that the new screen may take it.
    queueMicrotask(() => entry.run());
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step && found.length > 0) {
      event.preventDefault();
      setAt((at + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      pick(found[at]);
    }
  };
  return (
    <Dialog title="Find an agent or an action" kind="palette" onClose={close}>
      <input
        data-first
        class="palette-input"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[at] ? `palette-${at}` : undefined}
        aria-label="Find an agent or an action"
        placeholder="Agent or action"
        value={query}
        onInput={(event) => {
          setQuery(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <ul id="palette-list" class="menu" role="listbox" aria-label="Results" ref={list}>
        {found.map((entry, index) => (
          <li
            key={entry.label + entry.hint}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            class={`menu-item ${index === at ? "active" : ""}`}
            onClick={() => pick(entry)}
          >
            <span class="ellipsis">{entry.label}</span>
            <small>{entry.hint}</small>
          </li>
        ))}
        {found.length === 0 && <li class="quiet">Nothing matches.</li>}
      </ul>
    </Dialog>
  );
}

/** Every word of the query somewhere in the label. */
export function matches(label: string, query: string): boolean {
  const text = label.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function allEntries(): Entry[] {
  const current = route.value;
  const open = current.page === "task" ? tasks.value?.get(current.id) : undefined;
  const entries: Entry[] = [];
  if (open) {
    const view = viewOf(open);
    entries.push(
      view.live
        ? { label: `Stop agent: ${open.name}`, hint: "action", run: () => stopTask(open) }
        : { label: `Resume agent: ${open.name}`, hint: "action", run: () => startTask(open) },
      { label: `Show diff: ${open.name}`, hint: "action", run: () => go({ page: "task", id: open.id, tab: "diff" }) },
      { label: `Mark complete: ${open.name}`, hint: "action", run: () => setStatus(open, "complete") },
      { label: `Archive: ${open.name}`, hint: "action", run: () => setArchived(open, true) },
    );
  }
  entries.push(
    { label: "New task", hint: "action", run: () => go({ page: "new" }) },
    { label: "Inbox", hint: "page", run: () => go({ page: "inbox" }) },
    { label: "All agents", hint: "page", run: () => go({ page: "agents" }) },
    { label: "More: projects, archived tasks, log out", hint: "page", run: () => go({ page: "more" }) },
  );
  for (const task of tasks.value?.values() ?? []) {
    if (task.archived) continue;
    const hint = `${LOOKS[viewOf(task).look].word} · ${task.project}`;
    entries.push({ label: task.name, hint, run: () => go({ page: "task", id: task.id, tab: "terminal" }) });
  }
  return entries;
}
