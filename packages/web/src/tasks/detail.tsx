/** One task: its state, its live terminal, its changes and its facts. */
import type { Task } from "@argus/protocol";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { sentence } from "../api/request.ts";
import { DiffView } from "../diff/view.tsx";
import { go, hashOf, type TaskTab } from "../route.ts";
import { TerminalPane } from "../terminal/pane.tsx";
import { Icon } from "../ui/icons.tsx";
import { StateGlyph, StateWord } from "../ui/state-mark.tsx";
import { absolute, ago, now } from "../ui/time.ts";
import { startTask, stopTask, TaskMenu } from "./actions.tsx";
import { LOOKS, viewOf } from "./states.ts";
import { fetchOne, tasks } from "./store.ts";

const TABS: { id: TaskTab; label: string }[] = [
  { id: "terminal", label: "Terminal" },
  { id: "diff", label: "Diff" },
  { id: "info", label: "Details" },
];

export function TaskPage({ id, tab }: { id: string; tab: TaskTab }): JSX.Element {
  const task = tasks.value?.get(id);
  const [missing, setMissing] = useState<string | null>(null);
  // Archived tasks are in no list, and a link may be newer than the list.
  useEffect(() => {
    setMissing(null);
    if (!tasks.value || tasks.value.has(id)) return;
    fetchOne(id).then(
      (found) => found ?? setMissing(`There is no task ${id}. It may have been deleted; its unsaved work is kept for 30 days.`),
      (error) => setMissing(sentence(error)),
    );
  }, [id, tasks.value === null]);
  if (!task) return <Missing text={missing} />;
  return <Detail key={id} task={task} tab={tab} />;
}

function Missing({ text }: { text: string | null }): JSX.Element {
  return (
    <div class="detail">
      <header class="detail-head">
        <BackButton />
        <h1 class="detail-name">{text ? "Task not found" : "Loading"}</h1>
      </header>
      {text && (
        <div class="empty">
          <p class="muted">{text}</p>
          <button type="button" class="button" onClick={() => go({ page: "agents" })}>
            Show all agents
          </button>
        </div>
      )}
    </div>
  );
}

function BackButton(): JSX.Element {
  return (
    <button type="button" class="icon-button back" aria-label="Back to the list" onClick={() => go({ page: "agents" })}>
      <Icon name="back" />
    </button>
  );
}

function Detail({ task, tab }: { task: Task; tab: TaskTab }): JSX.Element {
  const view = viewOf(task);
  const [menu, setMenu] = useState(false);
  const [busy, setBusy] = useState(false);
  const toggle = async () => {
    setBusy(true);
    await (view.live ? stopTask(task) : startTask(task));
    setBusy(false);
  };
  return (
    <div class="detail">
      <header class="detail-head">
        <BackButton />
        <div class="detail-title">
          <h1 class="detail-name" title={task.name}>
            {task.name}
          </h1>
          <p class="detail-line" title={view.evidence}>
            <StateGlyph look={view.look} /> <StateWord look={view.look} />
            <span class="detail-project">{task.project}</span>
            <span class="detail-evidence">{view.evidence}</span>
            <span class="detail-time" title={absolute(view.since)}>
              {ago(view.since, now.value)}
            </span>
          </p>
        </div>
        <button type="button" class="button compact quick" disabled={busy} onClick={toggle}>
          <Icon name={view.live ? "stop" : "play"} size={16} />
          <span>{view.live ? "Stop agent" : task.status === "complete" ? "Restart agent" : "Resume agent"}</span>
        </button>
        <button type="button" class="icon-button" aria-label="More actions" aria-haspopup="dialog" onClick={() => setMenu(true)}>
          <Icon name="more" />
        </button>
      </header>
      <nav class="tabs" aria-label="Views of this task">
        {TABS.map(({ id, label }) => (
          <a
            key={id}
            class={`tab ${id === tab ? "active" : ""}`}
            href={hashOf({ page: "task", id: task.id, tab: id })}
            aria-current={id === tab ? "page" : undefined}
          >
            {label}
          </a>
        ))}
      </nav>
      {tab === "terminal" && <TerminalPane task={task} />}
      {tab === "diff" && <DiffView task={task} />}
      {tab === "info" && <Info task={task} />}
      {menu && <TaskMenu task={task} onClose={() => setMenu(false)} />}
    </div>
  );
}

function Info({ task }: { task: Task }): JSX.Element {
  const view = viewOf(task);
  const usage = task.usage;
  const rows: [string, string | undefined, "code"?][] = [
    ["State", `${LOOKS[view.look].word}: ${view.evidence}`],
    ["Known from", task.state && `${task.state.source}, since ${absolute(task.state.since)}`],
    ["Project", task.project],
    ["Agent", [task.backend, task.model].filter(Boolean).join(", ")],
    ["Branch", task.branch, "code"],
    ["Started from", task.base_branch, "code"],
    ["Worktree", task.worktree_path, "code"],
    ["Conversation", task.session_id, "code"],
    ["Created", absolute(task.created_at)],
    ["Worked for", task.elapsed],
    ["Used", usage ? usageText(usage) : undefined],
    ["Task id", task.id, "code"],
  ];
  return (
    <div class="info">
      <dl>
        {rows
          .filter(([, value]) => value)
          .map(([name, value, kind]) => (
            <div key={name} class="info-row">
              <dt>{name}</dt>
              <dd>{kind === "code" ? <code>{value}</code> : value}</dd>
            </div>
          ))}
      </dl>
      <h2>Prompt</h2>
      <pre class="prompt-text">{task.prompt || "No prompt was given."}</pre>
    </div>
  );
}

function usageText(usage: NonNullable<Task["usage"]>): string {
  const tokens = (count: number | null) => (count === null ? "unknown" : count.toLocaleString());
  const cost = usage.usd === null ? "" : `, ${usage.usd.toFixed(2)} USD${usage.imputed ? " (imputed)" : ""}`;
  return `${tokens(usage.tokens_in)} tokens in, ${tokens(usage.tokens_out)} out${cost}`;
}
