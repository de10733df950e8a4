/** Where the user is, kept in the address's hash so that every screen survives a reload and the back button, from any path the daemon serves. */
import { signal } from "@preact/signals";

export const TASK_TABS = ["terminal", "diff", "info"] as const;
export type TaskTab = (typeof TASK_TABS)[number];
export type Route =
  | { page: "agents" }
  | { page: "inbox" }
  | { page: "new"; project?: string }
  | { page: "more" }
  | { page: "task"; id: string; tab: TaskTab };

/** Unknown addresses lead to the list: a link must never end on an empty screen. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first, second, third] = path.split("/").map(decode);
  if (first === "task" && second) {
    const tab = TASK_TABS.find((name) => name === third) ?? "terminal";
    return { page: "task", id: second, tab };
  }
  if (first === "inbox" || first === "more") return { page: first };
  if (first === "new") {
    const project = new URLSearchParams(query).get("project");
    return project ? { page: "new", project } : { page: "new" };
  }
  return { page: "agents" };
}

export function hashOf(route: Route): string {
  if (route.page === "agents") return "#/";
  if (route.page === "new" && route.project) return `#/new?project=${encodeURIComponent(route.project)}`;
  if (route.page === "task") return `#/task/${encodeURIComponent(route.id)}${route.tab === "terminal" ? "" : `/${route.tab}`}`;
  return `#/${route.page}`;
}

/** The one-time code of a login link (`#login=<code>`), or null. */
export function loginCodeOf(hash: string): string | null {
  const match = /^#\/?login=([^&]+)/.exec(hash);
  return match?.[1] ? decode(match[1]) : null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(parseRoute(globalThis.location?.hash ?? ""));

export function go(to: Route, options: { replace?: boolean } = {}): void {
  const hash = hashOf(to);
  if (hash === location.hash) return;
  if (options.replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  route.value = to;
}
