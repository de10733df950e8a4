/** Holds the tasks as the daemon last told them, and keeps them current from the event feed with as few requests as possible. */
import type { ArgusEvent, Backend, Project, Task } from "@argus/protocol";
import { ArgusError } from "@argus/protocol";
import { computed, signal } from "@preact/signals";
import { followFeed } from "../api/feed.ts";
import { onReconnected, watchReach } from "../api/reach.ts";
import { ask } from "../api/request.ts";
import { inboxRows } from "./groups.ts";

/** Events of one action arrive together; one fetch answers them all. */
const JOIN_MS = 80;
/** Above this many changed tasks the list is cheaper than one request each. */
const SINGLE_FETCHES = 4;
/** Safety net under the feed: states derived from the passing of time have no event on every daemon. */
const POLL_MS = 30_000;

/** Tasks by id, archived ones included once they were looked at; null until the first answer. */
export const tasks = signal<ReadonlyMap<string, Task> | null>(null);
export const projects = signal<Project[] | null>(null);
export const backends = signal<Backend[] | null>(null);
/** Why the first load failed, in words, or null. */
export const loadError = signal<string | null>(null);
export const inbox = computed(() => inboxRows(tasks.value?.values() ?? []));

type Listener = (event: ArgusEvent) => void;
const listeners = new Set<Listener>();

/** Hears every event of the feed; for screens that follow one task. */
export function onEvent(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const changed = new Set<string>();
let everything = false;
let timer: ReturnType<typeof setTimeout> | undefined;
let running = false;

/** Asks for one task, or for all, soon and together with whatever else changes meanwhile. */
export function refresh(id?: string): void {
  if (id) changed.add(id);
  else everything = true;
  if (!running) timer ??= setTimeout(() => void flush(), JOIN_MS);
}

async function flush(): Promise<void> {
  timer = undefined;
  running = true;
  try {
    while (everything || changed.size > 0) {
      const ids = [...changed];
      changed.clear();
      if (everything || ids.length > SINGLE_FETCHES || !tasks.value) {
        everything = false;
        await fetchAll();
      } else await Promise.all(ids.map(fetchOne));
    }
  } catch (error) {
    // The reconnection asks for everything again.
    if (!tasks.value) loadError.value = error instanceof Error ? error.message : String(error);
  } finally {
    running = false;
  }
}

async function fetchAll(): Promise<void> {
  const reply = await ask<{ tasks: Task[] }>("GET", "/api/tasks");
  const kept = [...(tasks.value?.values() ?? [])].filter((task) => task.archived);
  tasks.value = new Map([...kept, ...reply.tasks].map((task) => [task.id, task]));
  loadError.value = null;
}

/** Fetches one task into the store. Returns null when there is none with that id. */
export async function fetchOne(id: string): Promise<Task | null> {
  try {
    const task = await ask<Task>("GET", `/api/tasks/${encodeURIComponent(id)}`);
    put(task);
    return task;
  } catch (error) {
    if (!(error instanceof ArgusError) || error.code !== "NOT_FOUND") throw error;
    drop(id);
    return null;
  }
}

export function put(task: Task): void {
  tasks.value = new Map(tasks.value ?? []).set(task.id, task);
}

export function drop(id: string): void {
  const next = new Map(tasks.value ?? []);
  if (next.delete(id)) tasks.value = next;
}

export async function fetchProjects(): Promise<Project[]> {
  projects.value = (await ask<{ projects: Project[] }>("GET", "/api/projects/full")).projects;
  return projects.value;
}

export async function fetchBackends(): Promise<Backend[]> {
  backends.value = (await ask<{ backends: Backend[] }>("GET", "/api/backends")).backends;
  return backends.value;
}

function take(event: ArgusEvent): void {
  if (event.type === "project.changed") void fetchProjects().catch(() => {});
  else if (event.type === "backend.changed") void fetchBackends().catch(() => {});
  else if (event.type === "task.deleted" && event.task_id) drop(event.task_id);
  else if (event.task_id && /^(task|session|link|approval)\./.test(event.type)) refresh(event.task_id);
  for (const listener of listeners) listener(event);
}

/** Starts following the daemon. Returns how to end it (at log out). */
export function startStore(): () => void {
  const stop = new AbortController();
  watchReach(() => ask("GET", "/api/status", { timeoutMs: 4_000 }));
  // The list is asked for at once; asked again when the feed is open, so that nothing falls between the two.
  refresh();
  void followFeed({ onOpen: () => refresh(), onEvent: take, onResync: () => refresh() }, stop.signal);
  const unlisten = onReconnected(() => refresh());
  const poll = setInterval(() => {
    if (!document.hidden) refresh();
  }, POLL_MS);
  return () => {
    stop.abort();
    unlisten();
    clearInterval(poll);
    tasks.value = projects.value = backends.value = loadError.value = null;
  };
}
