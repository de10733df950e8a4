/** Public addresses whose engine is other open work: they answer NOT_IMPLEMENTED and say what is missing, never "not found". */
import { ArgusError } from "@argus/protocol";
import { z } from "zod";
import { operation } from "../../kernel/operation.ts";

const missing = (
  name: string,
  summary: string,
  path: string,
  tier: "readonly" | "write" | "admin",
  what: string,
  parameters: string[] = [],
) =>
  operation({
    name,
    summary,
    tier,
    input: z.looseObject(Object.fromEntries(parameters.map((parameter) => [parameter, z.string()]))),
    output: z.unknown(),
    rest: { [path]: {} },
    planned: true,
  }).run(() => {
    throw new ArgusError("NOT_IMPLEMENTED", `${name} is not available yet: ${what} is missing in this build.`);
  });

const DAG = "the dependency graph";
const MESSAGES = "messaging between tasks";
const PUSH = "Web Push";
const SCHEDULES = "the scheduler";
const PLUGINS = "the plugin host";
const ARTIFACTS = "the artifact store";
const USAGE = "the usage ledger";

export const operations = [
  missing("dag.show", "Show the dependency graph", "GET /api/dag", "readonly", DAG),
  missing("task.deps", "Show a task's neighbours in the graph", "GET /api/tasks/{id}/deps", "readonly", DAG, ["id"]),
  missing("task.link", "Add a dependency", "POST /api/tasks/{id}/deps", "write", DAG, ["id"]),
  missing("task.unlink", "Remove a dependency", "DELETE /api/tasks/{id}/deps/{parent_id}", "write", DAG, ["id", "parent_id"]),
  missing("task.halt_downstream", "Stop everything that depends on a task", "POST /api/tasks/{id}/halt-downstream", "write", DAG, ["id"]),
  missing("message.inbox", "Show a task's inbox", "GET /api/tasks/{id}/inbox", "readonly", MESSAGES, ["id"]),
  missing("message.ack", "Mark messages read", "POST /api/tasks/{id}/inbox/ack", "write", MESSAGES, ["id"]),
  missing("message.send", "Send a message to a task", "POST /api/tasks/{id}/messages", "write", MESSAGES, ["id"]),
  missing("artifact.list", "List a task's artifacts", "GET /api/tasks/{id}/artifacts", "readonly", ARTIFACTS, ["id"]),
  missing("artifact.get", "Fetch an artifact", "GET /api/tasks/{id}/artifacts/{filename}", "readonly", ARTIFACTS, ["id", "filename"]),
  missing("session.recording", "Export a session as asciicast", "GET /api/tasks/{id}/recording.cast", "readonly", "the recorder", ["id"]),
  missing("search", "Search tasks, transcripts and notes", "GET /api/search", "readonly", "the search index"),
  missing("usage.show", "Show tokens and cost of a task", "GET /api/tasks/{id}/usage", "readonly", USAGE, ["id"]),
  missing("usage.set_budget", "Set the budget of a task", "PUT /api/tasks/{id}/budget", "write", USAGE, ["id"]),
  missing("push.key", "Show the VAPID public key", "GET /api/push/vapid-public-key", "readonly", PUSH),
  missing("push.subscribe", "Register a push subscription", "POST /api/push/subscribe", "write", PUSH),
  missing("push.list", "List push subscriptions", "GET /api/push/subscriptions", "readonly", PUSH),
  missing("push.unsubscribe", "Remove a push subscription", "DELETE /api/push/subscribe/{id}", "write", PUSH, ["id"]),
  missing("push.test", "Send a test notification", "POST /api/push/test", "write", PUSH),
  missing("schedule.list", "List schedules", "GET /api/schedules", "readonly", SCHEDULES),
  missing("schedule.create", "Create a schedule", "POST /api/schedules", "write", SCHEDULES),
  missing("schedule.update", "Change a schedule", "PUT /api/schedules/{id}", "write", SCHEDULES, ["id"]),
  missing("schedule.delete", "Remove a schedule", "DELETE /api/schedules/{id}", "write", SCHEDULES, ["id"]),
  missing("schedule.run_now", "Fire a schedule at once", "POST /api/schedules/{id}/run", "write", SCHEDULES, ["id"]),
  missing("update.run", "Update Argus from its source clone", "POST /api/update", "admin", "self-update"),
  missing("plugin.tool_register", "Register an MCP tool", "POST /api/mcp/tools", "write", PLUGINS),
  missing("plugin.tool_remove", "Remove an MCP tool", "DELETE /api/mcp/tools/{name}", "write", PLUGINS, ["name"]),
  missing("plugin.view_register", "Register a view", "POST /api/plugins/views", "write", PLUGINS),
  missing("plugin.view_list", "List views", "GET /api/plugins/views", "readonly", PLUGINS),
  missing("plugin.view_remove", "Remove a view", "DELETE /api/plugins/views/{id}", "write", PLUGINS, ["id"]),
  missing("plugin.section_register", "Register a settings section", "POST /api/plugins/settings/sections", "write", PLUGINS),
  missing("plugin.section_list", "List settings sections", "GET /api/plugins/settings/sections", "readonly", PLUGINS),
  missing(
    "plugin.section_submit",
    "Save a settings section",
    "POST /api/plugins/settings/sections/{scope}/{title}/submit",
    "write",
    PLUGINS,
    ["scope", "title"],
  ),
  missing("plugin.section_remove", "Remove a settings section", "DELETE /api/plugins/settings/sections/{scope}/{title}", "write", PLUGINS, [
    "scope",
    "title",
  ]),
];
