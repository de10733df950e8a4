/** The list of agents: who needs you, who works, what waits for review; it keeps its place when it refreshes. */
import type { Task } from "@argus/protocol";
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { go, hashOf, route } from "../route.ts";
import { Icon, Mark } from "../ui/icons.tsx";
import { StateGlyph, StateWord } from "../ui/state-mark.tsx";
import { absolute, ago, now } from "../ui/time.ts";
import { groupTasks, type Row, workingSentence } from "./groups.ts";
import type { Group } from "./states.ts";
import { inbox, loadError, refresh, tasks } from "./store.ts";

/** Above this many finished tasks the group starts folded: they are history, and the list is for now. */
const FOLD_DONE_ABOVE = 12;

const filter = signal("");
/** Groups the user folded or unfolded; the others follow the rule above. */
const folded = signal<Partial<Record<Group, boolean>>>({});

export function TaskList(): JSX.Element {
  const all = tasks.value;
  const groups = useMemo(() => (all ? groupTasks(all.values(), filter.value) : []), [all, filter.value]);
  if (!all) return loadError.value ? <LoadFailed text={loadError.value} /> : <Skeleton />;
  const empty = ![...all.values()].some((task) => !task.archived);
  if (empty) return <NoTasks />;
  return (
    <div class="list">
      <label class="search">
        <Icon name="search" size={16} />
        <span class="visually-hidden">Filter agents by name, project or branch</span>
        <input type="search" placeholder="Filter" value={filter.value} onInput={(event) => (filter.value = event.currentTarget.value)} />
      </label>
      {groups.map((group) => {
        const isFolded = !filter.value && (folded.value[group.id] ?? (group.id === "done" && group.rows.length > FOLD_DONE_ABOVE));
        return (
          <section key={group.id} class="group" aria-label={`${group.title}, ${group.rows.length}`}>
            <h2 class="group-title">
              <button type="button" aria-expanded={!isFolded} onClick={() => (folded.value = { ...folded.value, [group.id]: !isFolded })}>
                <span class={`fold ${isFolded ? "folded" : ""}`}>
                  <Icon name="chevron" size={16} />
                </span>
                {group.title}
                <span class="count">{group.rows.length}</span>
              </button>
            </h2>
            {!isFolded && <Rows rows={group.rows} />}
          </section>
        );
      })}
      {groups.length === 0 && <p class="quiet">No agent matches “{filter.value}”.</p>}
    </div>
  );
}

export function InboxList(): JSX.Element {
  const all = tasks.value;
  if (!all) return loadError.value ? <LoadFailed text={loadError.value} /> : <Skeleton />;
  if (inbox.value.length === 0) {
    return (
      <div class="empty">
        <Mark size={40} />
        <p class="empty-title">Nothing needs you.</p>
        <p class="muted">{workingSentence(all.values())}</p>
      </div>
    );
  }
  return (
    <div class="list">
      <Rows rows={inbox.value} />
    </div>
  );
}

function Rows({ rows }: { rows: Row[] }): JSX.Element {
  return (
    <ul class="rows">
      {rows.map((row) => (
        <TaskRow key={row.task.id} {...row} />
      ))}
    </ul>
  );
}

function TaskRow({ task, view }: Row): JSX.Element {
  const current = route.value;
  const selected = current.page === "task" && current.id === task.id;
  return (
    <li>
      <a
        class={`row ${selected ? "selected" : ""}`}
        href={hashOf({ page: "task", id: task.id, tab: "terminal" })}
        aria-current={selected ? "page" : undefined}
        data-task={task.id}
      >
        <StateGlyph look={view.look} />
        <span class="row-name" title={task.name}>
          {task.pinned && <Icon name="pin" size={12} />}
          {task.name}
        </span>
        <span class="row-time" title={absolute(view.since)}>
          {ago(view.since, now.value)}
        </span>
        <span class="row-line" title={view.evidence}>
          <StateWord look={view.look} /> <span class="row-project">{task.project}</span> {view.evidence}
        </span>
      </a>
    </li>
  );
}

function NoTasks(): JSX.Element {
  return (
    <div class="empty">
      <Mark size={40} />
      <p class="empty-title">No agents yet</p>
      <p class="muted">Give one a task: it works in its own copy of your project, and you watch it from here.</p>
      <button type="button" class="button primary" onClick={() => go({ page: "new" })}>
        New task
      </button>
    </div>
  );
}

function LoadFailed({ text }: { text: string }): JSX.Element {
  return (
    <div class="empty" role="alert">
      <p class="empty-title">The list could not be loaded</p>
      <p class="muted">{text}</p>
      <button type="button" class="button" onClick={() => refresh()}>
        Try again
      </button>
    </div>
  );
}

const SKELETON_WIDTHS = [62, 80, 48, 71, 55, 66]; // per cent; uneven, as names are

function Skeleton(): JSX.Element {
  return (
    <div class="list skeleton" role="status" aria-label="Loading agents">
      {SKELETON_WIDTHS.map((width) => (
        <div key={width} class="skeleton-row">
          <i class="skeleton-dot" />
          <i class="skeleton-bar" style={{ width: `${width}%` }} />
          <i class="skeleton-bar thin" style={{ width: `${(width * 4) / 5}%` }} />
        </div>
      ))}
    </div>
  );
}

/** Archived tasks, fetched when somebody wants to see them. */
export function ArchivedRows({ archived }: { archived: Task[] }): JSX.Element {
  return (
    <ul class="rows">
      {archived.map((task) => (
        <li key={task.id}>
          <a class="row" href={hashOf({ page: "task", id: task.id, tab: "info" })}>
            <span class="glyph" aria-hidden="true">
              ▫
            </span>
            <span class="row-name">{task.name}</span>
            <span class="row-time">{ago(task.created_at, now.value)}</span>
            <span class="row-line">
              Archived <span class="row-project">{task.project}</span>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}
