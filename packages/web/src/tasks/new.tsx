/** Gives an agent a task: project, prompt, agent; errors of the daemon appear beside the field they are about. */
import type { Project } from "@argus/protocol";
import { ArgusError } from "@argus/protocol";
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, isUnreachable, sentence } from "../api/request.ts";
import { go } from "../route.ts";
import { Icon } from "../ui/icons.tsx";
import { backends, fetchBackends, fetchOne, fetchProjects, projects, refresh } from "./store.ts";

/** Fetching the base and checking out a large repository are part of creating. */
const CREATE_MS = 180_000;
const REMEMBERED = "argus.new-task";

interface Draft {
  project: string;
  backend: string;
  name: string;
  prompt: string;
  base: string;
  model: string;
}
/** Survives going elsewhere and back; a prompt typed on a phone must not be lost to a tap. */
const draft = signal<Draft>({ project: "", backend: "", name: "", prompt: "", base: "", model: "", ...remembered() });

function remembered(): Partial<Draft> {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}") as Partial<Draft>;
  } catch {
    return {};
  }
}

export function NewTask({ project }: { project?: string | undefined }): JSX.Element {
  const [adding, setAdding] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const prompt = useRef<HTMLTextAreaElement>(null);
  /** The same key for tries of the same task: a reply lost on the way must not make two agents. */
  const key = useRef(crypto.randomUUID());
  const list = projects.value;

  useEffect(() => {
    Promise.all([fetchProjects(), fetchBackends()]).catch((failure) => setError(sentence(failure)));
  }, []);
  useEffect(() => {
    if (project) draft.value = { ...draft.value, project };
  }, [project]);
  useEffect(() => {
    if (!list) return;
    // A choice stays when the list comes again; one that is gone, or was never there, gives way to the first.
    if (!list.some((item) => item.name === draft.value.project)) draft.value = { ...draft.value, project: list[0]?.name ?? "" };
    if (list.length === 0) setAdding(true);
  }, [list]);

  const set = (field: keyof Draft) => (event: { currentTarget: { value: string } }) => {
    key.current = crypto.randomUUID();
    draft.value = { ...draft.value, [field]: event.currentTarget.value };
  };
  const { value } = draft;
  const chosen = list?.find((item) => item.name === value.project);

  const create = async (event?: Event) => {
    event?.preventDefault();
    if (busy || !ready) return;
    setBusy(true);
    setError(null);
    try {
      const created = await ask<{ id: string }>("POST", "/api/tasks", {
        json: {
          name: value.name.trim() || undefined,
          prompt: value.prompt,
          project: value.project,
          backend: value.backend || undefined,
          model: value.model.trim() || undefined,
          base_branch: value.base.trim() || undefined,
        },
        headers: { "idempotency-key": key.current },
        timeoutMs: CREATE_MS,
      });
      key.current = crypto.randomUUID();
      remember({ project: value.project, backend: value.backend });
      draft.value = { ...value, name: "", prompt: "", base: "" };
      await fetchOne(created.id).catch(() => refresh());
      go({ page: "task", id: created.id, tab: "terminal" }, { replace: true });
    } catch (failure) {
      setError(
        isUnreachable(failure)
          ? "The daemon did not answer in time. Nothing is lost: press Start agent again, and a task that was already created is not created twice."
          : sentence(failure),
      );
      // An answer was given, so the next try is a new wish.
      if (failure instanceof ArgusError && !isUnreachable(failure)) key.current = crypto.randomUUID();
      setBusy(false);
    }
  };
  const ready = Boolean(value.project && (value.prompt.trim() || value.name.trim()));

  return (
    <div class="page">
      <header class="page-head">
        <h1>New task</h1>
      </header>
      <form class="form" onSubmit={create}>
        <div class="field">
          <label for="new-project">Project</label>
          <div class="field-row">
            <select id="new-project" value={value.project} onChange={set("project")} disabled={!list?.length}>
              {!list && <option value="">Loading</option>}
              {list?.length === 0 && <option value="">No project yet</option>}
              {list?.map((item) => (
                <option key={item.name} value={item.name}>
                  {item.name}
                </option>
              ))}
            </select>
            <button type="button" class="button" aria-expanded={adding} onClick={() => setAdding(!adding)}>
              <Icon name="plus" size={16} />
              <span>Add project</span>
            </button>
          </div>
          {chosen && !adding && (
            <p class="hint mono ellipsis" title={chosen.path}>
              {chosen.path}
            </p>
          )}
        </div>
        {adding && (
          <AddProject
            onAdded={(name) => {
              draft.value = { ...draft.value, project: name };
              setAdding(false);
              prompt.current?.focus();
            }}
          />
        )}
        <div class="field">
          <label for="new-prompt">What should the agent do?</label>
          <textarea
            id="new-prompt"
            ref={prompt}
            rows={7}
            value={value.prompt}
            onInput={set("prompt")}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void create();
            }}
          />
        </div>
        <div class="field-pair">
          <label class="field">
            <span>Agent</span>
            <select value={value.backend} onChange={set("backend")}>
              <option value="">{chosen?.default_backend ? `Project default (${chosen.default_backend})` : "Default"}</option>
              {backends.value?.map((backend) => (
                <option key={backend.name} value={backend.name}>
                  {backend.model ? `${backend.name} (${backend.model})` : backend.name}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            <span>Name (optional)</span>
            <input value={value.name} maxLength={200} placeholder="From the prompt" onInput={set("name")} autoComplete="off" />
          </label>
        </div>
        <details class="more-options">
          <summary>More options</summary>
          <div class="field-pair">
            <label class="field">
              <span>Start from branch or commit</span>
              <input
                class="mono"
                value={value.base}
                placeholder={chosen?.branch ?? ""}
                onInput={set("base")}
                autoComplete="off"
                autoCapitalize="off"
              />
            </label>
            <label class="field">
              <span>Model</span>
              <input
                class="mono"
                value={value.model}
                placeholder="The agent's default"
                onInput={set("model")}
                autoComplete="off"
                autoCapitalize="off"
              />
            </label>
          </div>
        </details>
        {error && (
          <p class="form-error" role="alert">
            {error}
          </p>
        )}
        <div class="buttons">
          <span class="hint key-hint">Ctrl Enter starts</span>
          <button type="submit" class="button primary" disabled={!ready || busy}>
            {busy ? "Creating worktree and starting" : "Start agent"}
          </button>
        </div>
      </form>
    </div>
  );
}

function remember(kept: Partial<Draft>): void {
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify(kept));
  } catch {
    // Convenience only.
  }
}

/** Registers a repository of the daemon's machine. Not a form element: it stands inside one. */
function AddProject({ onAdded }: { onAdded(name: string): void }): JSX.Element {
  const [path, setPath] = useState("");
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const suggested =
    path
      .replace(/[/\\]+$/, "")
      .split(/[/\\]/)
      .at(-1) ?? "";
  const add = async () => {
    const final = name.trim() || suggested;
    if (!path.trim() || busy) return;
    setBusy(true);
    setError(null);
    try {
      await ask<Project>("POST", "/api/projects", { json: { name: final, path: path.trim() }, timeoutMs: 30_000 });
      await fetchProjects();
      onAdded(final);
    } catch (failure) {
      setError(sentence(failure));
      setBusy(false);
    }
  };
  const onEnter = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    void add();
  };
  return (
    <fieldset class="inset">
      <legend>Add a project</legend>
      <label class="field">
        <span>Path of a git repository on the machine where Argus runs</span>
        <input
          class="mono"
          value={path}
          placeholder="/home/me/code/shop"
          onInput={(event) => setPath(event.currentTarget.value)}
          onKeyDown={onEnter}
          autoCapitalize="off"
          autoComplete="off"
          spellcheck={false}
        />
      </label>
      <label class="field">
        <span>Name</span>
        <input
          value={name}
          placeholder={suggested || "From the path"}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={onEnter}
          autoComplete="off"
        />
      </label>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <div class="buttons">
        <button type="button" class="button" disabled={!path.trim() || busy} onClick={add}>
          {busy ? "Checking" : "Add project"}
        </button>
      </div>
    </fieldset>
  );
}
