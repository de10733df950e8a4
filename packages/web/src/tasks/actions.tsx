/** What can be done with a task, each with its own words, its own consequences, and its own way back. */
import type { Task } from "@argus/protocol";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, sentence } from "../api/request.ts";
import { go } from "../route.ts";
import { Dialog } from "../ui/dialog.tsx";
import { tell } from "../ui/toast.tsx";
import { isLive } from "./states.ts";
import { drop, put, refresh } from "./store.ts";

const STOP_MS = 20_000; // a stubborn agent is killed after 5 s; the reply comes after that
const START_MS = 60_000; // a harness may take its time to open a conversation
const DELETE_MS = 120_000; // the safety copy of a large worktree is a commit

const pathOf = (task: Task, verb: string) => `/api/tasks/${encodeURIComponent(task.id)}${verb}`;

/** Runs an action, tells how it went, and asks for the task's new state. Returns false when it failed. */
async function perform(task: Task, done: string, run: () => Promise<unknown>): Promise<boolean> {
  try {
    await run();
    if (done) tell(done);
    return true;
  } catch (error) {
    tell(sentence(error), "error");
    return false;
  } finally {
    refresh(task.id);
  }
}

export const stopTask = (task: Task) =>
  perform(task, `Stopped ${task.name}. It is in review; its worktree is untouched.`, () =>
    ask("POST", pathOf(task, "/stop"), { timeoutMs: STOP_MS }),
  );

/** Starts the agent again with its conversation. A complete task is restarted, any other resumed. */
export const startTask = (task: Task) =>
  perform(task, "", () => ask("POST", pathOf(task, task.status === "complete" ? "/restart" : "/resume"), { timeoutMs: START_MS }));

export const setStatus = (task: Task, status: Task["status"]) =>
  perform(task, status === "complete" ? `${task.name} is marked complete.` : `${task.name} is back in review.`, () =>
    ask("POST", pathOf(task, "/status"), { json: { status } }),
  );

export const setArchived = (task: Task, archived: boolean) =>
  perform(task, archived ? `Archived ${task.name}. Find it under More.` : `${task.name} is back in the list.`, async () => {
    await ask("POST", pathOf(task, archived ? "/archive" : "/unarchive"));
    put({ ...task, archived });
  });

export const setPinned = (task: Task, pinned: boolean) => perform(task, "", () => ask("POST", pathOf(task, "/pin"), { json: { pinned } }));

type Open = "menu" | "rename" | "delete" | "links";

/** The menu of the task's header and the dialogs behind it. */
export function TaskMenu({ task, onClose }: { task: Task; onClose(): void }): JSX.Element {
  const [open, setOpen] = useState<Open>("menu");
  if (open === "rename") return <RenameDialog task={task} onClose={onClose} />;
  if (open === "delete") return <DeleteDialog task={task} onClose={onClose} />;
  if (open === "links") return <LinksDialog task={task} onClose={onClose} />;
  const item = (label: string, run: () => unknown, danger = false) => (
    <li>
      <button type="button" class={`menu-item ${danger ? "danger" : ""}`} onClick={run}>
        {label}
      </button>
    </li>
  );
  const act = (run: () => unknown) => () => {
    onClose();
    run();
  };
  return (
    <Dialog title={task.name} kind="menu" onClose={onClose}>
      <ul class="menu">
        {isLive(task)
          ? item(
              "Stop agent",
              act(() => stopTask(task)),
            )
          : item(
              task.status === "complete" ? "Restart agent" : "Resume agent",
              act(() => startTask(task)),
            )}
        {task.status === "complete"
          ? item(
              "Move back to review",
              act(() => setStatus(task, "in_review")),
            )
          : item(
              "Mark complete",
              act(() => setStatus(task, "complete")),
            )}
        {item(
          task.pinned ? "Unpin" : "Pin on top",
          act(() => setPinned(task, !task.pinned)),
        )}
        {item("Rename", () => setOpen("rename"))}
        {item("Open links", () => setOpen("links"))}
        {item(
          task.archived ? "Unarchive" : "Archive",
          act(() => setArchived(task, !task.archived)),
        )}
        {item("Delete", () => setOpen("delete"), true)}
      </ul>
    </Dialog>
  );
}

function RenameDialog({ task, onClose }: { task: Task; onClose(): void }): JSX.Element {
  const [name, setName] = useState(task.name);
  const [error, setError] = useState<string | null>(null);
  const save = async (event: Event) => {
    event.preventDefault();
    try {
      await ask("POST", pathOf(task, "/rename"), { json: { name: name.trim() } });
      put({ ...task, name: name.trim() });
      refresh(task.id);
      onClose();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  return (
    <Dialog title="Rename task" onClose={onClose}>
      <form onSubmit={save} class="form">
        <label class="field">
          <span>Name</span>
          <input data-first value={name} maxLength={200} required onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <p class="hint">Branch and worktree keep the names they were made with.</p>
        {error && (
          <p class="form-error" role="alert">
            {error}
          </p>
        )}
        <div class="buttons">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={!name.trim()}>
            Rename
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Says what is lost before, and where the safety copy is after. */
function DeleteDialog({ task, onClose }: { task: Task; onClose(): void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [refused, setRefused] = useState(false);
  const run = async (force: boolean) => {
    setBusy(true);
    setError(null);
    try {
      const reply = await ask<{ saved_ref: string | null }>("DELETE", pathOf(task, force ? "?force=1" : ""), { timeoutMs: DELETE_MS });
      tell(
        reply.saved_ref
          ? `Deleted ${task.name}. Its unsaved work is kept 30 days as ${reply.saved_ref}.`
          : `Deleted ${task.name}. Nothing was unsaved.`,
      );
      drop(task.id);
      onClose();
      go({ page: "agents" }, { replace: true });
    } catch (failure) {
      setError(sentence(failure));
      setRefused(true);
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Delete ${task.name}?`} onClose={onClose}>
      <p>
        This stops the agent and removes its worktree
        {task.branch && (
          <>
            {" "}
            and the local branch <code>{task.branch}</code>
          </>
        )}
        , together with its messages, artifacts and terminal history.
      </p>
      <p class="hint">
        Uncommitted or unpushed work is first saved as a commit under <code>refs/argus/trash/{task.id}</code> and kept for 30 days. Get it
        back with <code>argus worktree recover {task.id}</code>.
      </p>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <div class="buttons">
        <button type="button" class="button" data-first onClick={onClose}>
          Keep task
        </button>
        <button type="button" class="button danger" disabled={busy} onClick={() => run(refused)}>
          {busy ? "Deleting" : refused ? "Delete without a safety copy" : "Delete task"}
        </button>
      </div>
    </Dialog>
  );
}

interface Link {
  label: string;
  url: string;
}

/** Links the agent printed. Only http and https open: terminals carry strangers' text. */
function LinksDialog({ task, onClose }: { task: Task; onClose(): void }): JSX.Element {
  const [links, setLinks] = useState<Link[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    const pull = task.pr_url ? [{ label: "Pull request", url: task.pr_url }] : [];
    ask<{ links: Link[] }>("GET", pathOf(task, "/links")).then(
      (reply) => setLinks([...pull, ...reply.links].filter(({ url }) => isWebLink(url))),
      (failure) => {
        setLinks(pull);
        setError(sentence(failure));
      },
    );
  }, [task.id]);
  return (
    <Dialog title="Links" onClose={onClose}>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      {!links && <p class="quiet">Reading the terminal history</p>}
      {links?.length === 0 && !error && <p class="quiet">This agent has printed no links.</p>}
      <ul class="menu">
        {links?.map((link) => (
          <li key={link.url}>
            <a class="menu-item link" href={link.url} target="_blank" rel="noopener noreferrer">
              <span>{link.label || link.url}</span>
              {link.label && link.label !== link.url && <small>{link.url}</small>}
            </a>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

export function isWebLink(url: string): boolean {
  return /^https?:\/\//i.test(url);
}
