/** `settings.get` and `settings.set`: the sections the settings menu and the phone edit. */
import { ArgusError } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";
import type { Config } from "./config.ts";
import { fit, KEYS } from "./keys.ts";

const SECTIONS: Record<string, string[]> = {
  sandbox: ["enabled", "deny_read", "extra_write", "allow_apple_events"],
  kb: ["enabled", "http_port", "metis_vault_path"],
  api: ["enabled", "http_port"],
  defaults: ["backend", "share_project", "permission_mode"],
  ui: ["spinner_style", "default_agent_zoom", "show_elapsed", "show_icons", "cleanup_worktrees"],
  push: ["content"],
  approval: ["ttl_seconds"],
  supervisor: ["enabled", "resume_interrupted"],
  session: ["log_max_mb"],
  worktree: ["disk_warn_gb"],
  hera: ["enabled", "max_workers"],
  mcp: ["require_token"],
};

const Settings = z.record(z.string(), z.record(z.string(), z.unknown()));

function read(config: Config, sandboxAvailable: boolean): z.infer<typeof Settings> {
  const settings: z.infer<typeof Settings> = {};
  for (const [section, names] of Object.entries(SECTIONS))
    settings[section] = Object.fromEntries(names.map((name) => [name, config.lookup(`${section}.${name}`).value]));
  settings.sandbox = { ...settings.sandbox, available: sandboxAvailable };
  return settings;
}

export const getSettings = operation({
  name: "settings.get",
  summary: "Show the settings the menu edits",
  tier: "readonly",
  input: z.object({}),
  output: Settings,
  rest: { "GET /api/settings": {} },
  example: { input: {} },
}).run((_input, { config, node }) => sandboxAvailable(node).then((available) => read(config, available)));

export const setSettings = operation({
  name: "settings.set",
  summary: "Change settings; what is left out stays",
  tier: "write",
  note: "The sandbox section needs the master token.",
  input: z
    .object(Object.fromEntries(Object.keys(SECTIONS).map((section) => [section, z.record(z.string(), z.unknown()).optional()])))
    .strict(),
  output: Settings,
  rest: { "PUT /api/settings": {} },
  example: { input: { defaults: { share_project: "demo" } } },
}).run(async (input, { backends, config, node, events }, { caller }) => {
  const values: Record<string, unknown> = {};
  const wrong: string[] = [];
  for (const [section, entries] of Object.entries(input as Record<string, Record<string, unknown> | undefined>))
    for (const [name, value] of Object.entries(entries ?? {})) {
      if (section === "sandbox" && name === "available") continue; // clients send back what they read
      const dotted = `${section}.${name}`;
      const key = KEYS[dotted];
      if (!key || !SECTIONS[section]?.includes(name)) wrong.push(`${dotted} is not a setting`);
      else if (fit(key, value) === undefined) wrong.push(`${dotted} must be ${key.of ? `one of ${key.of.join(", ")}` : `a ${key.type}`}`);
      else if (dotted === "defaults.backend" && !backends.all().some((one) => one.name === value))
        wrong.push(
          `defaults.backend must name a backend: ${backends
            .all()
            .map((one) => one.name)
            .join(", ")}`,
        );
      else values[dotted] = value;
    }
  if (input.sandbox !== undefined && caller.tier !== "admin")
    throw new ArgusError(
      "PERMISSION_DENIED",
      "The sandbox section governs the host's boundary: only the master token may change it. Nothing was changed.",
    );
  if (wrong.length > 0) throw new ArgusError("INVALID_INPUT", wrong.join("; "));
  await config.store(values);
  await events.change(async (_tx, emit) => emit("settings.changed", null, { keys: Object.keys(values) }));
  return read(config, await sandboxAvailable(node));
});

async function sandboxAvailable(node: { processes: { which(program: string): Promise<string | null> } }): Promise<boolean> {
  return (await node.processes.which(process.platform === "darwin" ? "sandbox-exec" : "bwrap")) !== null;
}

export const showConfig = operation({
  name: "config.show",
  summary: "Show every effective setting and the layer it came from",
  tier: "readonly",
  input: z.object({}),
  output: z.object({
    settings: z.array(z.object({ key: z.string(), value: z.unknown(), layer: z.enum(["default", "menu", "file"]), about: z.string() })),
    file: z.object({ path: z.string(), broken: z.string().nullable(), unknown: z.array(z.string()) }),
  }),
  example: { input: {} },
}).run((_input, { config }) => {
  const { broken, unknown } = config.fileLayer();
  return {
    settings: config.all().map((entry) => ({ ...entry, about: KEYS[entry.key]?.about ?? "" })),
    file: { path: config.file.path, broken, unknown },
  };
});

const PathReply = z.object({ path: z.string() });

export const getSourcePath = operation({
  name: "update.source_path",
  summary: "Show the local clone that self-update pulls",
  tier: "admin",
  input: z.object({}),
  output: PathReply,
  rest: { "GET /api/source-path": {} },
  example: { input: {} },
}).run((_input, { config }) => ({ path: config.string("argus.source_path") }));

export const setSourcePath = operation({
  name: "update.set_source_path",
  summary: "Set the local clone that self-update pulls",
  tier: "admin",
  input: z.object({ path: z.string().max(4096) }),
  output: PathReply,
  rest: { "PUT /api/source-path": {} },
  positional: ["path"],
  example: { input: { path: "" } },
}).run(async ({ path }, { config }) => {
  await config.store({ "argus.source_path": path });
  return { path };
});
