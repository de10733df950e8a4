/** The frame around everything: rail or bottom bar, list and detail side by side on a desk and one after the other on a phone. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { reach, tryNow } from "./api/reach.ts";
import { token } from "./api/token.ts";
import { Login } from "./login/view.tsx";
import { More } from "./more.tsx";
import { Palette, paletteOpen } from "./palette.tsx";
import { go, hashOf, type Route, route } from "./route.ts";
import { TaskPage } from "./tasks/detail.tsx";
import { InboxList, TaskList } from "./tasks/list.tsx";
import { NewTask } from "./tasks/new.tsx";
import { inbox, startStore, tasks } from "./tasks/store.ts";
import { Icon, type IconName, Mark } from "./ui/icons.tsx";
import { ago, now } from "./ui/time.ts";
import { Toasts } from "./ui/toast.tsx";

const LIST_WIDTH = "argus.list-width";
const [MIN_LIST, MAX_LIST] = [260, 560]; // px: a name stays readable; the terminal keeps 80 columns on a laptop

export function App(): JSX.Element {
  if (!token.value) {
    return (
      <>
        <Login />
        <Toasts />
      </>
    );
  }
  return <Shell key={token.value} />;
}

function Shell(): JSX.Element {
  useEffect(() => startStore(), []);
  useTitle();
  useShortcuts();
  const current = route.value;
  const listPage = lastList(current);
  const hasDetail = current.page === "task" || current.page === "new" || current.page === "more";
  return (
    <div class={`shell page-${current.page} ${hasDetail ? "has-detail" : ""}`}>
      <OfflineBanner />
      <nav class="rail" aria-label="Main">
        <a class="brand" href={hashOf({ page: "agents" })} aria-label="Argus, all agents">
          <Mark />
        </a>
        <RailLink to={{ page: "inbox" }} icon="inbox" label="Inbox" count={inbox.value.length} />
        <RailLink to={{ page: "agents" }} icon="agents" label="Agents" />
        <RailLink to={{ page: "new" }} icon="plus" label="New task" />
        <RailLink to={{ page: "more" }} icon="gear" label="More" />
      </nav>
      <aside class="list-pane" aria-label={listPage === "inbox" ? "Inbox" : "Agents"}>
        <header class="pane-head">
          <h1>{listPage === "inbox" ? "Inbox" : "Agents"}</h1>
          <button type="button" class="button primary compact desk-only" onClick={() => go({ page: "new" })}>
            <Icon name="plus" size={16} />
            <span>New task</span>
          </button>
        </header>
        <div class="scroll">{listPage === "inbox" ? <InboxList /> : <TaskList />}</div>
        <Divider />
      </aside>
      <main class="detail-pane">
        {current.page === "task" && <TaskPage id={current.id} tab={current.tab} />}
        {current.page === "new" && <NewTask project={current.project} />}
        {current.page === "more" && <More />}
        {!hasDetail && <NothingOpen />}
      </main>
      {paletteOpen.value && <Palette />}
      <Toasts />
    </div>
  );
}

let previousList: "agents" | "inbox" = "agents";
/** On a desk the list beside a task stays the one the user came from. */
function lastList(current: Route): "agents" | "inbox" {
  if (current.page === "agents" || current.page === "inbox") previousList = current.page;
  return previousList;
}

function RailLink({ to, icon, label, count = 0 }: { to: Route; icon: IconName; label: string; count?: number }): JSX.Element {
  const current = route.value.page === "task" ? previousList : route.value.page;
  const active = current === to.page;
  return (
    <a class={`rail-link ${active ? "active" : ""}`} href={hashOf(to)} aria-current={active ? "page" : undefined}>
      <span class="rail-icon">
        <Icon name={icon} />
        {count > 0 && (
          <span class="badge">
            {count > 99 ? "99+" : count}
            <span class="visually-hidden"> waiting</span>
          </span>
        )}
      </span>
      <span class="rail-label">{label}</span>
    </a>
  );
}

function NothingOpen(): JSX.Element {
  const count = [...(tasks.value?.values() ?? [])].filter((task) => !task.archived).length;
  return (
    <div class="empty">
      <Mark size={48} />
      <p class="empty-title">{inbox.value.length > 0 ? "Choose an agent to see its terminal" : "Nothing needs you."}</p>
      {count > 0 && (
        <p class="muted">
          <kbd>Ctrl K</kbd> finds any agent.
        </p>
      )}
    </div>
  );
}

function OfflineBanner(): JSX.Element | null {
  const { offline, since } = reach.value;
  if (!offline) return null;
  return (
    <div class="banner" role="alert">
      <span>
        The daemon does not answer{since && now.value - since > 60_000 ? ` since ${ago(since, now.value)}` : ""}. Agents keep running; this
        page reconnects by itself. Away from home? Check that Tailscale is on.
      </span>
      <button type="button" class="button compact" onClick={tryNow}>
        Try now
      </button>
    </div>
  );
}

/** Drags or keys change the list's width; remembered on this device. */
function Divider(): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const set = (width: number) => {
    const clamped = Math.round(Math.min(MAX_LIST, Math.max(MIN_LIST, width)));
    document.documentElement.style.setProperty("--list-width", `${clamped}px`);
    element.current?.setAttribute("aria-valuenow", String(clamped));
    try {
      localStorage.setItem(LIST_WIDTH, String(clamped));
    } catch {
      // Convenience only.
    }
  };
  const width = () => element.current?.parentElement?.getBoundingClientRect().width ?? MIN_LIST;
  useEffect(() => {
    const kept = Number(localStorage.getItem(LIST_WIDTH));
    if (kept) set(kept);
  }, []);
  return (
    <div
      ref={element}
      class="divider"
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label="Width of the list"
      aria-valuemin={MIN_LIST}
      aria-valuemax={MAX_LIST}
      aria-valuenow={360}
      onKeyDown={(event) => {
        if (event.key === "ArrowLeft") set(width() - 16);
        if (event.key === "ArrowRight") set(width() + 16);
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        event.preventDefault();
      }}
      onPointerMove={(event) => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
        set(event.clientX - (event.currentTarget.parentElement?.getBoundingClientRect().left ?? 0));
      }}
    />
  );
}

function useTitle(): void {
  const current = route.value;
  const name = current.page === "task" ? tasks.value?.get(current.id)?.name : undefined;
  const count = inbox.value.length;
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ""}${name ? `${name} · ` : ""}Argus`;
    const badge = navigator as Navigator & { setAppBadge?: (count: number) => Promise<void> };
    void badge.setAppBadge?.(count).catch(() => {});
  }, [name, count]);
}

/** Keys of the page. Inside a terminal every key but F6 belongs to the agent, except Command or Shift with the palette's K. */
function useShortcuts(): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const target = event.target instanceof HTMLElement ? event.target : null;
      const inTerminal = Boolean(target?.closest(".terminal"));
      if (event.key === "F6") {
        event.preventDefault();
        const next = inTerminal
          ? document.querySelector<HTMLElement>(".row.selected, .rail-link.active")
          : document.querySelector<HTMLElement>(".terminal textarea");
        next?.focus();
        return;
      }
      if (event.key.toLowerCase() === "k" && (event.metaKey || (event.ctrlKey && (!inTerminal || event.shiftKey)))) {
        event.preventDefault();
        paletteOpen.value = true;
        return;
      }
      const typing = inTerminal || target?.closest("input, textarea, select, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "n") {
        event.preventDefault();
        go({ page: "new" });
      }
    };
    document.addEventListener("keydown", onKeyDown, true);
    return () => document.removeEventListener("keydown", onKeyDown, true);
  }, []);
}
