/** Everything that is not an agent: projects, archived tasks, shortcuts, logging out. */
import type { Task } from "@argus/protocol";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, sentence } from "./api/request.ts";
import { forgetToken } from "./api/token.ts";
import { go } from "./route.ts";
import { ArchivedRows } from "./tasks/list.tsx";
import { backends, fetchBackends, fetchProjects, projects, tasks } from "./tasks/store.ts";

const KEYS: [string, string][] = [
  ["Ctrl K", "Find an agent or an action"],
  ["N", "New task"],
  ["F6", "Leave the terminal, or go back to it"],
  ["Shift Enter", "New line in an agent's prompt"],
];

export function More(): JSX.Element {
  const [archived, setArchived] = useState<Task[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    Promise.all([
      fetchProjects(),
      fetchBackends(),
      ask<{ tasks: Task[] }>("GET", "/api/tasks?archived=1").then((reply) => setArchived(reply.tasks.toReversed())),
    ]).catch((failure) => setError(sentence(failure)));
  }, [tasks.value?.size]);
  return (
    <div class="page">
      <header class="page-head">
        <h1>More</h1>
      </header>
      {error && (
        <p class="form-error" role="alert">
          {error}
        </p>
      )}
      <section class="card" aria-labelledby="more-projects">
        <h2 id="more-projects">Projects</h2>
        {projects.value?.length === 0 && <p class="muted">No project yet. Add one with your first task.</p>}
        <ul class="plain">
          {projects.value?.map((project) => (
            <li key={project.name} class="fact">
              <button type="button" class="link-button" onClick={() => go({ page: "new", project: project.name })}>
                {project.name}
              </button>
              <code class="ellipsis" title={project.path}>
                {project.path}
              </code>
            </li>
          ))}
        </ul>
      </section>
      <section class="card" aria-labelledby="more-backends">
        <h2 id="more-backends">Agents that can be started</h2>
        <ul class="plain">
          {backends.value?.map((backend) => (
            <li key={backend.name} class="fact">
              <span>{backend.name}</span>
              <code class="ellipsis" title={backend.command}>
                {backend.command}
              </code>
            </li>
          ))}
        </ul>
      </section>
      <section class="card" aria-labelledby="more-archived">
        <h2 id="more-archived">Archived tasks</h2>
        {archived?.length === 0 && <p class="muted">Nothing is archived.</p>}
        {archived && archived.length > 0 && <ArchivedRows archived={archived} />}
      </section>
      <section class="card desk-only" aria-labelledby="more-keys">
        <h2 id="more-keys">Keys</h2>
        <ul class="plain">
          {KEYS.map(([key, what]) => (
            <li key={key} class="fact">
              <kbd>{key}</kbd>
              <span>{what}</span>
            </li>
          ))}
        </ul>
      </section>
      <section class="card" aria-labelledby="more-device">
        <h2 id="more-device">This device</h2>
        <p class="muted">Logging out forgets the token here. Agents keep running.</p>
        <button type="button" class="button" onClick={() => forgetToken("You logged out on this device.")}>
          Log out
        </button>
      </section>
    </div>
  );
}
