/** Every setting with its type and default: the loader, the settings menu, validation and `argus config show` all read this table. */
import os from "node:os";
import path from "node:path";

export type KeyType = "string" | "bool" | "int" | "port" | "list";

export interface Key {
  type: KeyType;
  default: string | boolean | number | string[];
  /** Allowed values of a string. */
  of?: readonly string[];
  /** Only the master token may change it (the sandbox is the host's boundary). */
  master?: boolean;
  about: string;
}

export const PERMISSION_MODES = ["default", "acceptEdits", "plan", "bypass-allow", "bypass-active"] as const;

const key = (type: KeyType, fallback: Key["default"], about: string, more: Partial<Key> = {}): Key => ({
  type,
  default: fallback,
  about,
  ...more,
});

export const KEYS: Record<string, Key> = {
  "defaults.backend": key("string", "claude", "Backend of a new task when none is chosen"),
  "defaults.share_project": key("string", "", "Project preselected when something is shared into Argus"),
  "defaults.permission_mode": key("string", "bypass-active", "Permission flags of Claude-style backends", { of: PERMISSION_MODES }),
  "ui.spinner_style": key("string", "progress", "Spinner", { of: ["progress", "dots", "braille", "classic"] }),
  "ui.default_agent_zoom": key("bool", true, "Agent view opens as a single pane"),
  "ui.theme": key("string", "default", "Reserved"),
  "ui.show_elapsed": key("bool", true, "Elapsed time in lists"),
  "ui.show_icons": key("bool", true, "Icons in lists"),
  "ui.cleanup_worktrees": key("bool", true, "Destroying and pruning remove worktree and branch"),
  "keybindings.new": key("string", "n", "New task"),
  "keybindings.attach": key("string", "enter", "Open the agent"),
  "keybindings.status": key("string", "s", "Advance the status"),
  "keybindings.delete": key("string", "d", "Delete the task"),
  "keybindings.quit": key("string", "q", "Quit"),
  "keybindings.help": key("string", "?", "Help"),
  "keybindings.filter": key("string", "/", "Filter"),
  "keybindings.prompt": key("string", "p", "Prompt"),
  "keybindings.worktree": key("string", "w", "Worktree"),
  "sandbox.enabled": key("bool", false, "Fence agent processes", { master: true }),
  "sandbox.deny_read": key("list", [], "More paths agents may not read", { master: true }),
  "sandbox.extra_write": key("list", [], "More paths agents may write", { master: true }),
  "sandbox.allow_apple_events": key("list", [], "AppleEvent destinations (macOS)", { master: true }),
  "kb.enabled": key("bool", false, "Serve the knowledge tools"),
  "kb.http_port": key("port", 7742, "Port of the MCP server"),
  "kb.metis_vault_path": key(
    "string",
    path.join(os.homedir(), "Library/Mobile Documents/iCloud~md~obsidian/Documents/Metis"),
    "Vault that is indexed",
  ),
  "api.enabled": key("bool", false, "Serve REST API and web page"),
  "api.http_port": key("port", 7743, "Port of REST API and web page"),
  "api.allowed_hosts": key("list", [], "More Host names that are answered"),
  "hera.enabled": key("bool", true, "Native multi-agent coordination"),
  "hera.max_workers": key("int", 10, "Workers per orchestrator"),
  "mcp.require_token": key("bool", false, "Refuse MCP callers without a token"),
  "supervisor.enabled": key("bool", true, "Agents live in a process of their own"),
  "supervisor.resume_interrupted": key("bool", true, "Resume agents that a restart of the supervisor interrupted"),
  "session.log_max_mb": key("int", 1024, "Output kept on disk per task, MiB"),
  "worktree.disk_warn_gb": key("int", 20, "Warn above this total size of worktrees, GB"),
  "push.content": key("string", "full", "What a push notification says", { of: ["full", "none"] }),
  "approval.ttl_seconds": key("int", 600, "How long an approval waits for an answer"),
  "argus.source_path": key("string", "", "Local clone that self-update pulls", { master: true }),
};

/** The value as the key's type, or undefined when it does not fit (CONFIG-07: the lower layer holds). */
export function fit(key: Key, value: unknown): Key["default"] | undefined {
  switch (key.type) {
    case "string":
      return typeof value === "string" && (!key.of || key.of.includes(value)) ? value : undefined;
    case "bool":
      return typeof value === "boolean" ? value : undefined;
    case "list":
      return Array.isArray(value) && value.every((entry) => typeof entry === "string") ? (value as string[]) : undefined;
    case "port":
      return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535 ? (value as number) : undefined;
    case "int":
      return Number.isInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
  }
}

/** Nearest known key by edit distance, for "did you mean". */
export function nearestKey(unknown: string, known: string[] = Object.keys(KEYS)): string {
  let best = known[0] ?? "";
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = edits(unknown, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length] ?? 0;
}
